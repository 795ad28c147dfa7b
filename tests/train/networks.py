"""Small networks for the tests of train; imported by workers too."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import numpy as np

NAP = 0.0
"""Seconds by which `sluggish` is slow, see `be_slow`."""


def rows(count: int = 480, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return x (count, 6) float32 and labels that depend on it."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((count, 6)).astype(np.float32)
    y = np.argmax(x[:, :classes] + 0.3 * random.standard_normal((count, classes)), axis=1)
    return x, y


def data() -> tuple[np.ndarray, np.ndarray]:
    return rows()


def dense(optimizer: str = "sgd", dtype: str = "float32") -> Any:
    """Without random layers and statistics: what plain Keras computes too."""
    import keras

    keras.config.set_floatx(dtype)  # of the loss too; undone after the build
    made = {"sgd": keras.optimizers.SGD(0.1, momentum=0.9), "adam": keras.optimizers.Adam(0.01)}[optimizer]
    layers = [
        keras.Input((6,)),
        keras.layers.Dense(16, activation="tanh", kernel_regularizer=keras.regularizers.L2(1e-3)),
        keras.layers.Dense(3, activation="softmax"),
    ]
    model = keras.Sequential(layers)
    model.compile(made, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def averaging() -> Any:
    """With moving averages of the weights."""
    import keras

    model = dense()
    optimizer = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


def adam() -> Any:
    return dense("adam")


def regression() -> Any:
    """Targets are three numbers of each row."""
    import keras

    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    model.compile(keras.optimizers.SGD(0.01), "mse")
    return model


def double() -> Any:
    return dense("sgd", "float64")


def double_adam() -> Any:
    return dense("adam", "float64")


def odd() -> Any:
    """With all that could depend on the workers: dropout, batch normalization, unseeded initializers."""
    import keras

    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(16),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    metrics = ["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2, name="top2")]
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=metrics)
    return model


def slow() -> Any:
    """`odd`, each part of which takes some milliseconds."""
    import keras

    inputs = keras.Input((6,))
    wide = keras.layers.Dense(900, activation="tanh")(inputs)
    wide = keras.layers.Dense(900, activation="tanh")(wide)
    outputs = keras.layers.Dense(3, activation="softmax")(keras.layers.Dropout(0.3)(wide))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def be_slow(seconds: float) -> None:
    """Let each part of `sluggish` take so much longer in this process."""
    global NAP  # noqa: PLW0603
    NAP = seconds


def _nap() -> np.float32:
    time.sleep(NAP)
    return np.float32(0)


def sluggish() -> Any:
    """`dense`, and slow where it shall be."""
    import keras
    import tensorflow as tf

    class Nap(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return x + tf.reshape(tf.numpy_function(_nap, [], tf.float32), ())

    model = keras.Sequential([keras.Input((6,)), Nap(), keras.layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def nothing() -> Any:
    return "no model"


def uncompiled() -> Any:
    import keras

    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])


def summed() -> Any:
    import keras

    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(reduction="sum"))
    return model


def frozen() -> Any:
    model = dense()
    model.trainable = False
    return model


def frozen_base() -> Any:
    """A layer that is not trained, and one that is."""
    import keras

    base = keras.layers.Dense(50, activation="tanh", trainable=False)
    model = keras.Sequential([keras.Input((6,)), base, keras.layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def own_step() -> Any:
    """A step of its own."""
    import keras

    class Own(keras.Sequential):
        def train_step(self, data: Any) -> Any:
            raise NotImplementedError

    model = Own([keras.Input((6,)), keras.layers.Dense(3)])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def metric_per_class() -> Any:
    import keras

    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3, activation="softmax")])
    model.compile("sgd", "categorical_crossentropy", metrics=[keras.metrics.F1Score(average=None)])
    return model


def infinite_gradient() -> Any:
    """Its loss is finite."""
    import keras

    outputs = keras.layers.Lambda(lambda x: x + keras.ops.sqrt(0 * keras.ops.abs(x)))
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1), outputs])
    model.compile("sgd", "mse")
    return model


def two_inputs() -> Any:
    import keras

    a, b = keras.Input((6,)), keras.Input((6,))
    model = keras.Model([a, b], keras.layers.Dense(1)(keras.layers.Add()([a, b])))
    model.compile("sgd", "mse")
    return model


def raises() -> Any:
    raise ValueError("not today")


def two_classes() -> Any:
    import keras

    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def exploding() -> Any:
    """Its loss is not finite after some steps."""
    import keras

    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1e18), "mse")
    return model


def batches(part: int, parts: int, epoch: int, seed: int) -> Any:
    """A factory of batches: each part has every `parts`-th row."""
    import tensorflow as tf

    x, y = rows()
    mine = np.random.default_rng((seed, epoch, part)).permutation(np.arange(part, len(x), parts))
    return tf.data.Dataset.from_tensor_slices((x[mine], y[mine])).batch(8)


def rates(after: Any = None) -> Any:
    """Callbacks that raise the learning rate after the second epoch, and lower it after the third.

    Args:
        after: called with the callbacks' model at the end of the fourth.
    """
    import keras

    class Rates(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch in (1, 2):
                self.model.optimizer.learning_rate = {1: 8.0, 2: 2.0}[epoch]
            elif epoch == 3 and after is not None:
                after(self.model)

    return [Rates()]


def rates_and_a_loss() -> Any:
    """`rates`, and all workers are killed after the fourth epoch, once."""
    left = [True]

    def kill(model: Any) -> None:
        for process in model._trainer.on_all(process_of) if left else ():
            os.kill(process, signal.SIGKILL)
        left.clear()

    return rates(kill)


def process_of(model: Any) -> int:
    return os.getpid()


def overfits() -> Any:
    """Its loss on the validation data is lowest before the last epoch."""
    import keras

    layers = [keras.Input((6,)), keras.layers.Dense(64, activation="relu"), keras.layers.Dense(3, activation="softmax")]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
