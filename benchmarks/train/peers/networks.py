"""Networks that are trained by all ways, and their rows; imported by peers that do not have this project."""

from __future__ import annotations

from typing import Any

import numpy as np

BATCH = 256
ROWS = 64 * BATCH
Arrays = tuple[np.ndarray, np.ndarray]


def rows(count: int = ROWS) -> Arrays:
    """Return x (count, 8, 8, 1) float32 and labels of 10 classes."""
    random = np.random.default_rng(0)
    return random.random((count, 8, 8, 1), np.float32), random.integers(0, 10, count)


def one_batch() -> Arrays:
    """Return the rows of an epoch of one step."""
    return rows(BATCH)


def few() -> Arrays:
    """Return rows for steps that compute little."""
    return rows(1024)


def _dense(*units: int) -> Any:
    import keras

    layers = [keras.Input((8, 8, 1)), keras.layers.Flatten()]
    layers += [keras.layers.Dense(count, "relu") for count in units]
    return _compiled([*layers, keras.layers.Dense(10, "softmax")])


def _compiled(layers: list[Any]) -> Any:
    import keras

    model = keras.Sequential(layers)
    model.compile(
        keras.optimizers.SGD(1e-3, momentum=0.9),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,
    )
    return model


def small() -> Any:
    """Return a network of 10,666 parameters."""
    return _dense(72, 72)


def large() -> Any:
    """Return a network of 61.0 million parameters, 244 MB."""
    return _dense(7_700, 7_850)


def convolutional() -> Any:
    """Return a convolutional network of width 64, 70,762 parameters."""
    import keras

    return _compiled(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(64, 3, padding="same", activation="relu"),
            keras.layers.Conv2D(64, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
