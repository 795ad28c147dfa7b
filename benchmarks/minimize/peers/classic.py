"""The classic structure: batches of 100 rows, for each a loss task and a gradient task.

SciPy asks for loss and gradient apart, so that they are two passes over the batches.
"""

from __future__ import annotations

import numpy as np

from benchmarks.workload import plain
from benchmarks.workload.data import Generated

ROWS = 100
Batch = tuple[np.ndarray, np.ndarray]


def starts(data: Generated) -> range:
    """Return the first row of each batch."""
    return range(0, data.rows, ROWS)


def batch(start: int, data: Generated, dtype: str) -> Batch:
    """Return the batch that starts at a row."""
    return plain.read(data, start, min(start + ROWS, data.rows), dtype)


def loss(batch: Batch, theta: np.ndarray) -> float:
    """Be the loss task."""
    return plain.loss(*batch, theta)


def grad(batch: Batch, theta: np.ndarray) -> np.ndarray:
    """Be the gradient task."""
    return plain.value_and_grad(*batch, theta)[1]


def both(batch: Batch, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """Be one task for loss and gradient."""
    return plain.value_and_grad(*batch, theta)
