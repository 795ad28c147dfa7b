"""The shipped network and its training step, compiled once per process for all trials on images of one shape.

A trial's own state (weights, momenta, hyperparameters, seed) comes in and goes out as tensors. So nothing in here is
mutable: trials share it one after the other, and in several threads at once.
"""

from __future__ import annotations

import functools
import math
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from jobs.keras.runtime import import_tensorflow
from jobs.tune.cnn.images import Images

FILTERS = (16, 32, 64)
"""Filters of the first, the second, and all further convolutions."""
MIN_SIZE = 4
"""Maximum height and width of the image after the convolutions, each of which halves it."""
UNITS = 64
"""Units of the dense layer before the last; dropout acts on it."""
MOMENTUM = 0.9
VALIDATED = 1024
"""Rows that are validated at once."""

Given: TypeAlias = tuple[Any, Any, Any, Any, Any, Any]
"""Inputs of an epoch: scale of the pixels, order of the rows, seed; learning rate, batch size, dropout."""

_building = threading.Lock()
_steps: dict[tuple[Any, ...], Step] = {}


@dataclass(frozen=True)
class State:
    """The state of a trial's training.

    Attributes:
        weights: of each layer its kernel, and its bias if it has one, float32.
        momenta: of the same shapes.
        epoch: number of epochs trained.
        loss: the last epoch's training loss and the validation loss after it, added up; NaN or infinite if either is.
        accuracy: of the validation images, after it.
        best: the highest accuracy after any epoch.
        best_weights: those after the first epoch that had it; None before any.
    """

    weights: list[Any]
    momenta: list[Any]
    epoch: int = 0
    loss: float = math.nan
    accuracy: float = math.nan
    best: float = 0.0
    best_weights: list[Any] | None = None


@functools.lru_cache(maxsize=1)
def _tensors(tf: Any, images: Images) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Return (x, y) for training and (x, y) for validation as tensors, on the GPU if there is one."""
    pairs = (images.x, images.y), (images.validation_x, images.validation_y)
    train, validation = (tuple(tf.convert_to_tensor(array) for array in pair) for pair in pairs)
    return train, validation


def step_of(images: Images, threads: int) -> Step:
    """Return this process's step for these images, compiled by the first caller while others wait."""
    key = images.x.shape[1:], images.x.dtype.name, images.validation_x.dtype.name, images.classes
    with _building:
        if key not in _steps:
            _steps[key] = Step(images, threads)
        return _steps[key]


def create_model(keras: Any, shape: tuple[int, ...], classes: int, *, masked: bool = True) -> Any:
    """Return the network as a Keras model of two inputs: (images, mask of the dense layer's units) -> logits.

    Without the mask, for use after training, it is a model of images alone -> probabilities.

    Convolutions of 3 x 3 with stride 2 make the image smaller until it is at most MIN_SIZE high and wide, then come a
    dense layer of UNITS and the output layer. Dropout is the mask, an input, so that its rate is one too. Units are
    leaky: a learning rate that is far too high ends in a loss that is not finite, and not in dead units.

    Args:
        keras: the module.
        shape: (height, width, channels) of an image.
        classes: their number.
        masked: whether it has the mask.
    """
    layer = functools.partial(keras.layers.Dense, dtype="float32")
    images, mask = keras.Input(shape, dtype="float32"), keras.Input((UNITS,), dtype="float32")
    hidden, depth = images, 0
    while depth == 0 or max(hidden.shape[1:3]) > MIN_SIZE:
        filters = FILTERS[min(depth, len(FILTERS) - 1)]
        # without a bias: TensorFlow's optimizer fails, loudly, to merge one with a leaky unit in a loop
        convolution = keras.layers.Conv2D(
            filters, 3, 2, "same", activation="leaky_relu", use_bias=False, dtype="float32"
        )
        hidden, depth = convolution(hidden), depth + 1
    hidden = layer(UNITS, activation="leaky_relu")(keras.layers.Flatten()(hidden))
    if not masked:
        return keras.Model(images, layer(classes, activation="softmax")(hidden))
    hidden = keras.layers.Multiply(dtype="float32")([hidden, mask])
    return keras.Model([images, mask], layer(classes)(hidden))


class Step:
    """An epoch of training and its validation, one compiled function; immutable, for any number of threads.

    Attributes:
        compiled: the tf.function, traced once.
        shapes: of the weights.
    """

    def __init__(self, images: Images, threads: int) -> None:
        self._tf, keras = import_tensorflow(threads)
        tf = self._tf
        self._model = create_model(keras, images.x.shape[1:], images.classes)
        self.shapes = [tuple(variable.shape) for variable in self._model.trainable_variables]
        rows = (None, *images.x.shape[1:])
        weights = [tf.TensorSpec(shape) for shape in self.shapes]
        labels, number, integer = tf.TensorSpec((None,), tf.int32), tf.TensorSpec(()), tf.TensorSpec((), tf.int32)
        train = tf.TensorSpec(rows, images.x.dtype), labels
        validation = tf.TensorSpec(rows, images.validation_x.dtype), labels
        given = number, labels, integer, number, integer, number
        signature = [(weights, weights), train, validation, given]
        self.compiled = tf.function(self._epoch, input_signature=signature, autograph=False)
        self.compiled.get_concrete_function()

    def start(self, seed: int, stddev: float) -> State:
        """Return the state before training: kernels from a normal distribution around 0, biases 0."""
        random = np.random.default_rng(seed)
        drawn = [random.standard_normal(shape, np.float32) * np.float32(stddev) for shape in self.shapes]
        weights = [array if array.ndim > 1 else np.zeros_like(array) for array in drawn]
        return State(weights, [np.zeros_like(array) for array in weights])

    def train(self, state: State, images: Images, seed: int, *, rate: float, batch: int, dropout: float) -> State:
        """Return the state after one more epoch.

        Args:
            state: the state before; it is not changed.
            images: of the shape and type that this step was made for.
            seed: the trial's; the order of rows and the dropout depend on it and on the epoch alone.
            rate: the learning rate.
            batch: rows of a step; the last one of an epoch may have fewer.
            dropout: the share of units that are dropped, 0 .. 1.
        """
        random = np.random.default_rng([seed, state.epoch + 1])
        order = random.permutation(len(images.y)).astype(np.int32)
        noise = np.int32(random.integers(2**31 - 1))
        given = np.float32(images.scale), order, noise, np.float32(rate), np.int32(batch), np.float32(dropout)
        weights, momenta, loss, accuracy = self.compiled(
            (state.weights, state.momenta), *_tensors(self._tf, images), given
        )
        right = float(accuracy)
        best, best_weights = state.best, state.best_weights
        if best_weights is None or right > best:
            best, best_weights = right, weights
        return State(weights, momenta, state.epoch + 1, float(loss), right, best, best_weights)

    def save(self, path: Path, weights: list[Any], shape: tuple[int, ...]) -> None:
        """Write the network with some weights as a .keras file: images, scaled, to the probabilities of the classes.

        Args:
            path: the file.
            weights: as of a `State`.
            shape: of one image.
        """
        with _building:  # one at a time: Keras counts layers in one place for all threads
            _, keras = import_tensorflow()
            model = create_model(keras, shape, self.shapes[-1][0], masked=False)
            for variable, value in zip(model.trainable_variables, weights, strict=True):
                variable.assign(value)
            model.save(path)

    def _epoch(
        self, state: tuple[list[Any], list[Any]], train: tuple[Any, Any], validation: tuple[Any, Any], given: Given
    ) -> tuple[list[Any], list[Any], Any, Any]:
        """Return (weights, momenta, loss, accuracy) after an epoch; it ends at the first loss that is not finite."""
        tf = self._tf
        scale, order, noise, rate, batch, dropout = given
        weights, momenta = state
        steps = (tf.size(order) + batch - 1) // batch

        def step(number: Any, _: Any, weights: list[Any], momenta: list[Any]) -> tuple[Any, ...]:
            rows = order[number * batch : (number + 1) * batch]
            x, y = (tf.gather(array, rows) for array in train)
            mask = self._mask(tf.size(rows), dropout, tf.stack([noise, number]))
            loss, gradient = self._loss_and_gradient(weights, scale * tf.cast(x, tf.float32), y, mask)
            momenta = [MOMENTUM * old - rate * new for old, new in zip(momenta, gradient, strict=True)]
            return number + 1, loss, [w + m for w, m in zip(weights, momenta, strict=True)], momenta

        def goes_on(number: Any, loss: Any, *_: Any) -> Any:
            return (number < steps) & tf.math.is_finite(loss)

        _, loss, weights, momenta = tf.while_loop(goes_on, step, (0, tf.zeros(()), weights, momenta))
        validated, accuracy = self._validate(weights, validation, scale)
        return weights, momenta, loss + validated, accuracy

    def _mask(self, rows: Any, dropout: Any, seed: Any) -> Any:
        """Return the factors of the units, (rows, UNITS): 1 / (1 - dropout), and 0 for those that are dropped."""
        tf = self._tf
        kept = tf.random.stateless_uniform((rows, UNITS), seed) >= dropout
        return tf.math.divide_no_nan(tf.cast(kept, tf.float32), 1 - dropout)

    def _logits(self, weights: list[Any], images: Any, mask: Any) -> Any:
        return self._model.stateless_call(weights, [], [images, mask])[0]

    def _loss_and_gradient(self, weights: list[Any], images: Any, labels: Any, mask: Any) -> tuple[Any, list[Any]]:
        with self._tf.GradientTape() as tape:
            tape.watch(weights)
            losses = self._losses(labels, self._logits(weights, images, mask))
            loss = self._tf.reduce_mean(losses)
        return loss, tape.gradient(loss, weights)

    def _losses(self, labels: Any, logits: Any) -> Any:
        return self._tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)

    def _validate(self, weights: list[Any], validation: tuple[Any, Any], scale: Any) -> tuple[Any, Any]:
        """Return mean loss and accuracy."""
        tf = self._tf
        rows = tf.size(validation[1])

        def add(start: Any, loss: Any, right: Any) -> tuple[Any, Any, Any]:
            x, y = (array[start : start + VALIDATED] for array in validation)
            logits = self._logits(weights, scale * tf.cast(x, tf.float32), tf.ones((tf.size(y), UNITS)))
            loss += tf.reduce_sum(self._losses(y, logits))
            hit = tf.argmax(logits, 1, tf.int32) == y
            return start + VALIDATED, loss, right + tf.reduce_sum(tf.cast(hit, tf.int32))

        _, loss, right = tf.while_loop(lambda start, *_: start < rows, add, (0, tf.zeros(()), 0))
        return loss / tf.cast(rows, tf.float32), right / rows
