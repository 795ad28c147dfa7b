"""The softmax kernel against the same in plain NumPy on the whole matrix: 55,000 x 784, 10 classes, one core.

`python benchmarks/kernel.py` prints the table. Both are timed in turn, so that what else the machine does meets
both; the ratio is that of each turn. Needs 1.2 GB of memory.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from jobs.minimize.softmax import Softmax

ROWS, FEATURES, CLASSES = 55_000, 784, 10


@dataclass(frozen=True)
class Generated:
    """Uniform random numbers in the place of images.

    Attributes:
        x: (rows, features) float32.
        y: (rows,) int64.
    """

    x: np.ndarray
    y: np.ndarray
    classes: int = CLASSES
    scale: float = 1.0

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.x)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a row."""
        return self.x.shape[1:]

    def read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Return rows start .. stop - 1 and their labels."""
        return self.x[start:stop], self.y[start:stop]

    def fingerprint(self) -> str:
        """Return a name."""
        return "generated"


def plain(x: np.ndarray, y: np.ndarray, w: np.ndarray, b: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Return loss and gradients by the textbook: x (rows, features), w (features, classes), b (classes,), one dtype."""
    rows = np.arange(len(y))
    z = x @ w + b
    z -= z.max(axis=1, keepdims=True)
    p = np.exp(z)
    sums = p.sum(axis=1)
    loss = np.log(sums).sum() - z[rows, y].sum()
    p /= sums[:, np.newaxis]
    p[rows, y] -= 1
    return loss, x.T @ p, p.sum(axis=0)


def run(repeats: int = 15) -> list[dict[str, Any]]:
    """Return a row for each dtype: medians in milliseconds, ratios, and the gradient's largest deviation."""
    rng = np.random.default_rng(0)
    data = Generated(rng.random((ROWS, FEATURES), dtype=np.float32), rng.integers(0, CLASSES, ROWS))
    theta = rng.normal(0, 0.1, CLASSES * (FEATURES + 1))
    with threadpool_limits(limits=1):
        return [_compare(Softmax(data, dtype), theta, repeats) for dtype in ("float64", "float32")]


def _compare(problem: Softmax, theta: np.ndarray, repeats: int) -> dict[str, Any]:
    x, y = problem.data.read(0, problem.rows)
    x = x.astype(problem.dtype)
    w, b = (np.ascontiguousarray(array, problem.dtype) for array in problem.weights(theta))
    starts = range(0, problem.rows, problem.block_rows)
    blocks = [problem.load(start, min(start + problem.block_rows, problem.rows)) for start in starts]

    def in_blocks() -> np.ndarray:
        gradient = np.zeros_like(theta)
        for block in blocks:
            gradient += problem.value_and_grad(theta, block)[1]
        return gradient

    expected = plain(x, y, w, b)[1]
    deviation = np.abs(problem.weights(in_blocks())[0] - expected).max() / np.abs(expected).max()
    pairs = [(_seconds(lambda: plain(x, y, w, b)), _seconds(in_blocks)) for _ in range(repeats)]
    ratios = [slow / fast for slow, fast in pairs]
    return {
        "dtype": problem.dtype,
        "plain_ms": 1e3 * statistics.median(slow for slow, _ in pairs),
        "kernel_ms": 1e3 * statistics.median(fast for _, fast in pairs),
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "deviation": float(deviation),
    }


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    print(f"softmax loss and gradient, {ROWS:,} x {FEATURES}, {CLASSES} classes, one core")
    print(
        f"{'dtype':8} {'plain ms':>9} {'kernel ms':>10} {'plain / kernel, median (min .. max)':>36} {'deviation':>10}"
    )
    for row in run():
        ratio = f"{row['ratio']:.2f} ({row['ratio_min']:.2f} .. {row['ratio_max']:.2f})"
        print(f"{row['dtype']:8} {row['plain_ms']:9.1f} {row['kernel_ms']:10.1f} {ratio:>36} {row['deviation']:10.0e}")
