"""Softmax regression as the textbook has it: whole matrices in plain NumPy.

theta is flat as in `jobs.minimize.softmax`: weights class by class, then biases.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.workload.data import Generated


def _forward(x: np.ndarray, y: np.ndarray, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the loss and the probabilities, (rows, classes), of rows x (rows, features) with labels y (rows,)."""
    features = x.shape[1]
    classes = theta.size // (features + 1)
    w = np.ascontiguousarray(theta[: classes * features].reshape(classes, features).T, x.dtype)
    z = x @ w + theta[classes * features :].astype(x.dtype)
    z -= z.max(axis=1, keepdims=True)
    p = np.exp(z)
    sums = p.sum(axis=1)
    value = np.log(sums).sum(dtype=np.float64) - z[np.arange(len(y)), y].sum(dtype=np.float64)
    p /= sums[:, np.newaxis]
    return float(value), p


def loss(x: np.ndarray, y: np.ndarray, theta: np.ndarray) -> float:
    """Return the loss, summed over the rows."""
    return _forward(x, y, theta)[0]


def value_and_grad(x: np.ndarray, y: np.ndarray, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """Return loss and gradient, (n,) float64, summed over the rows."""
    value, p = _forward(x, y, theta)
    p[np.arange(len(y)), y] -= 1
    return value, np.concatenate([(x.T @ p).T.ravel(), p.sum(axis=0)]).astype(np.float64)


def read(data: Generated, start: int, stop: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Return rows start .. stop - 1 in `dtype`, and their labels."""
    x, y = data.read(start, stop)
    return x.astype(dtype, copy=False), y


class Shard:
    """Rows start .. stop - 1 of the data in one process, an actor of Dask or Ray."""

    def __init__(self, data: Generated, start: int, stop: int, dtype: str) -> None:
        self._x, self._y = read(data, start, stop, dtype)

    def value_and_grad(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Return loss and gradient, (n,) float64, summed over the rows."""
        return value_and_grad(self._x, self._y, theta)


def halves(rows: int) -> list[tuple[int, int]]:
    """Return the rows of each of two workers as (start, stop)."""
    return [(0, rows // 2), (rows // 2, rows)]


def add(answers: Any) -> tuple[float, np.ndarray]:
    """Return the sum of some (loss, gradient)."""
    losses, gradients = zip(*answers, strict=True)
    return sum(losses), np.sum(gradients, axis=0)
