"""A line through points: y = 0.1 x + 0.3, whose weights one can watch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

ROWS = 1000
SHOW_EVERY = 20


def data() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return x and y, (1000, 1) float32 each."""
    x = np.random.default_rng(0).random((ROWS, 1)).astype(np.float32)
    return x, np.float32(0.1) * x + np.float32(0.3)


def create_model() -> Any:
    """Return one dense unit, with gradient descent."""
    import keras

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, name="line")], name="linear")
    model.compile(optimizer=keras.optimizers.SGD(0.7), loss="mse")
    return model
