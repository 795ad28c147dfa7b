"""Data made from a seed, the same rows wherever and in whatever pieces they are made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SEED = 20
DRAWS = 4
"""Numbers that one step of Philox's counter gives."""


@dataclass(frozen=True)
class Generated:
    """Uniform random numbers in the place of images; the class of a row follows from its first number.

    Attributes:
        rows: how many rows there are.
        features: numbers in a row, a multiple of 4.
        classes: labels are 0 .. classes - 1.
        scale: what numbers are multiplied by.
    """

    rows: int
    features: int
    classes: int = 10
    scale: float = 1.0

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a row."""
        return (self.features,)

    @property
    def size(self) -> int:
        """Length of theta for softmax regression on these data."""
        return self.classes * (self.features + 1)

    def read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Return rows start .. stop - 1, (stop - start, features) float64, and their labels, (stop - start,) int64."""
        stream = np.random.Philox(key=SEED).advance(start * self.features // DRAWS)
        x = np.random.Generator(stream).random((stop - start, self.features))
        return x, (x[:, 0] * self.classes).astype(np.int64)

    def fingerprint(self) -> str:
        """Return the identity of the data."""
        return f"generated/{SEED}/{self.rows}/{self.features}/{self.classes}"


def theta(number: int, size: int) -> np.ndarray:
    """Return the point of evaluation `number`, (size,) float64, the same for all who are measured."""
    return np.random.default_rng([SEED, number]).normal(0, 0.05, size)
