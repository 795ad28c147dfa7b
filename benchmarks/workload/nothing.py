"""A problem that computes nothing, and the same as a task and as an actor: what is left is what calls cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Nothing:
    """A problem of as many rows as there are workers, a block each, and n parameters."""

    rows: int
    n: int
    block_rows: int = 1

    def x0(self) -> np.ndarray:
        """Return zeros, (n,) float64."""
        return np.zeros(self.n)

    def load(self, start: int, stop: int) -> None:
        """Load nothing."""

    def value_and_grad(self, theta: np.ndarray, data: None) -> tuple[float, np.ndarray]:  # noqa: ARG002
        """Return zeros at once."""
        return 0.0, np.zeros_like(theta)

    def fingerprint(self) -> str:
        """Return the identity of nothing."""
        return "nothing"


class Actor:
    """Computes nothing in a process of its own."""

    def value_and_grad(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Return zeros at once."""
        return task(theta)


def task(theta: np.ndarray) -> tuple[float, np.ndarray]:
    """Return zeros at once."""
    return 0.0, np.zeros_like(theta)


def objective(params: dict[str, float]) -> float:
    """Return a hyperparameter at once."""
    return params["x"]
