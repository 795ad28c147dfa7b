"""What is minimized, as SciPy's methods see it: a function of one vector, with such derivatives as it has."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


class Function(Protocol):
    """The interface of `jobs.minimize.Objective` and of a torch closure.

    Attributes:
        n: parameters.
        problem: whose `bounds` and `constraints` hold where none are given, if it has any.
    """

    n: int
    problem: Any

    @property
    def has_gradient(self) -> bool:
        """Whether a call gives a gradient."""

    @property
    def has_hessp(self) -> bool:
        """Whether there are Hessian products."""

    @property
    def has_hess(self) -> bool:
        """Whether there is a Hessian."""

    def x0(self) -> Vector:
        """Return the start, (n,) float64."""

    def __call__(self, theta: Vector) -> tuple[float, Vector]:
        """Return value and gradient (n,) at `theta` (n,)."""

    def loss(self, theta: Vector) -> float:
        """Return the value at `theta` (n,)."""

    def hessp(self, theta: Vector, v: Vector) -> Vector:
        """Return the Hessian's product with `v`, (n,)."""

    def hess(self, theta: Vector) -> Vector:
        """Return the Hessian, (n, n), which the caller may change."""

    def map(self, function: Callable[[Vector], Any], thetas: Iterable[Vector]) -> list[Any]:
        """Apply a function to the points of a finite difference."""
