"""Keras models, losses and data of the tests, in one place; importable in any process without importing TensorFlow."""

from __future__ import annotations

import os
import pickle
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from jobs.errors import UserCodeError

calls: Counter[str] = Counter()
"""How many times models were created and losses traced in this process."""


@dataclass(frozen=True)
class Points:
    """Rows of random features with labels 0 .. classes - 1, or with real targets where `classes` is 0."""

    rows: int = 60
    shape: tuple[int, ...] = (5,)
    classes: int = 3
    scale: float = 0.5

    def read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        numbers = np.random.default_rng(3)
        x = numbers.standard_normal((self.rows, *self.shape))[start:stop]
        y = numbers.integers(self.classes, size=self.rows) if self.classes else numbers.standard_normal(self.rows)
        return x, y[start:stop]

    def all(self) -> tuple[np.ndarray, np.ndarray]:
        """Return what a model sees: x scaled, y."""
        x, y = self.read(0, self.rows)
        return self.scale * x, y


@dataclass(frozen=True)
class Tokens(Points):
    """Rows of six whole numbers 0 .. 8."""

    scale: float = 1

    def read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        numbers = np.random.default_rng(3).integers(9, size=(self.rows, 6))
        return numbers[start:stop], numbers[start:stop, :3].sum(axis=1) % self.classes


def mlp(outputs: int = 3, activation: str = "tanh", **options: object):
    import keras

    layers = [keras.Input((5,)), keras.layers.Dense(4, activation, **options), keras.layers.Dense(outputs)]
    return keras.Sequential(layers)


def one_output():
    return mlp(1)


def one_relu():
    return mlp(1, "relu")


def one_decayed():
    return mlp(1, kernel_regularizer="l2")


def decayed():
    return mlp(kernel_regularizer="l2")


def activity():
    return mlp(activity_regularizer="l2")


def counted():
    calls["create_model"] += 1
    return mlp()


def compiled():
    model = one_output()
    model.compile("sgd", "mse")
    return model


def digits_mlp():
    import keras

    layers = [keras.Input((64,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(10, "softmax")]
    return keras.Sequential(layers)


def convolution():
    """Layers that act otherwise in training, and in two dimensions."""
    import keras

    layers = [
        keras.Input((8, 8, 1)),
        keras.layers.Conv2D(3, 3, activation="elu"),
        keras.layers.BatchNormalization(),
        keras.layers.MaxPooling2D(2),
        keras.layers.Flatten(),
        keras.layers.Dropout(0.5),
        keras.layers.Dense(3),
    ]
    return keras.Sequential(layers)


def words():
    """Masked token numbers into an embedding and a recurrent layer."""
    import keras

    layers = [
        keras.Input((6,)),
        keras.layers.Embedding(9, 4, mask_zero=True),
        keras.layers.LSTM(3),
        keras.layers.Dense(3),
    ]
    return keras.Sequential(layers)


def frozen():
    """A random, fixed hidden layer between two trained ones."""
    import keras

    layers = [
        keras.Input((5,)),
        keras.layers.Dense(4, "tanh"),
        keras.layers.Dense(6, "tanh", trainable=False),
        keras.layers.Dense(3),
    ]
    return keras.Sequential(layers)


def all_frozen():
    model = mlp()
    model.trainable = False
    return model


def frozen_by_process():
    """A fixed layer whose weights no seed determines."""
    import keras

    model = frozen()
    model.layers[1].set_weights([np.full((4, 6), os.getpid() / 1e6), np.zeros(6)])
    assert isinstance(model, keras.Model)
    return model


def unbuilt():
    import keras

    return keras.Sequential([keras.layers.Dense(3)])


def two_inputs():
    import keras

    left, right = keras.Input((5,)), keras.Input((5,))
    return keras.Model([left, right], keras.layers.Dense(3)(left + right))


def two_outputs():
    import keras

    x = keras.Input((5,))
    return keras.Model(x, [keras.layers.Dense(3)(x), keras.layers.Dense(3)(x)])


def subclassed():
    import keras

    class Line(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(3)

        def call(self, x):
            return self.dense(x)

    model = Line()
    model(np.zeros((1, 5)))
    return model


def raises():
    raise RuntimeError("no weights.h5 here")


def no_model():
    return 7


def squares(y_true, y_pred):
    """Squared errors of a row; counts how many times it is traced."""
    import keras

    calls["squares"] += 1
    return keras.ops.sum((y_true - y_pred) ** 2, axis=-1)


def mean_of_squares(y_true, y_pred):
    import keras

    return keras.ops.mean((y_true - y_pred) ** 2)


def broadcast(y_true, y_pred):
    """Errors of every row with every label: (rows, rows)."""
    import keras

    return keras.ops.reshape(y_pred, (-1, 1)) - keras.ops.reshape(y_true, (1, -1))


def crossentropy():
    import keras

    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def build_twice(pickled: bytes) -> tuple[bool, list[bytes], str, str]:
    """Return, in a fresh process: whether unpickling imported TensorFlow, two threads' bits, fingerprint, an error."""
    problem, by_process = pickle.loads(pickled)
    needed = "tensorflow" in sys.modules
    theta = np.linspace(-1, 1, problem.x0().size)
    start = threading.Barrier(2)

    def bits(_: int) -> bytes:
        start.wait()
        data = problem.load(0, 512)
        value, gradient = problem.value_and_grad(theta, data)
        return np.float64(value).tobytes() + gradient.tobytes() + problem.hessp(theta, theta, data).tobytes()

    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(bits, range(2)))
    try:
        by_process.x0()
    except UserCodeError as error:
        return needed, answers, problem.fingerprint(), str(error)
    return needed, answers, problem.fingerprint(), ""


def mlp_wide(width: int):
    import keras

    return keras.Sequential([keras.Input((16,)), keras.layers.Dense(width, "relu"), keras.layers.Dense(3)])


def wide_line():
    import keras

    return keras.Sequential([keras.Input((100, 100)), keras.layers.Flatten(), keras.layers.Dense(3)])


def without_second_derivative():
    import keras
    import tensorflow as tf

    class Normalization(keras.layers.Layer):
        def call(self, x):
            return tf.nn.local_response_normalization(x)

    layers = [
        keras.Input((5,)),
        keras.layers.Dense(8),
        keras.layers.Reshape((1, 1, 8)),
        Normalization(),
        keras.layers.Flatten(),
        keras.layers.Dense(3),
    ]
    return keras.Sequential(layers)
