"""The losses of regressions of one output: what a row loses by its score z = w x + b and its target y.

Sources: McCullagh and Nelder, "Generalized Linear Models" (1989), chapter 2: a canonical link's derivative by z is
prediction - y, and its second derivative the prediction's. The stable forms of log(1 + exp z): Maechler, "Accurately
computing log(1 - exp(-|a|))", the Rmpfr package's vignette (2012).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
_quiet = np.errstate(all="ignore")


@dataclass(frozen=True)
class Family:
    """A loss of one output.

    Attributes:
        name: the model's.
        losses: of z and y, (rows,) each, returns the rows' losses and predictions.
        curvature: of predictions (rows,), returns the second derivative by z.
        predict: of z, returns the predictions.
        wrong: of y, returns which targets the loss does not take.
        rule: what they must be.
    """

    name: str
    losses: Callable[[Vector, Vector], tuple[Vector, Vector]]
    curvature: Callable[[Vector], Vector]
    predict: Callable[[Vector], Vector]
    wrong: Callable[[NDArray[Any]], NDArray[np.bool_]]
    rule: str


def _squared(z: Vector, y: Vector) -> tuple[Vector, Vector]:
    return 0.5 * (z - y) ** 2, z


@_quiet
def _logistic(z: Vector, y: Vector) -> tuple[Vector, Vector]:
    """log(1 + exp z) - y z = max(z, 0) - y z + log(1 + exp -|z|): no exponential overflows, no digits cancel."""
    small = np.exp(-np.abs(z))
    return np.maximum(z, 0) - y * z + np.log1p(small), np.where(z >= 0, 1, small) / (1 + small)


@_quiet
def _sigmoid(z: Vector) -> Vector:
    small = np.exp(-np.abs(z))
    return np.asarray(np.where(z >= 0, 1, small) / (1 + small))


@_quiet
def _poisson(z: Vector, y: Vector) -> tuple[Vector, Vector]:
    """Exp z - y z; the term log y! does not depend on z, and is left out."""
    rate = np.exp(z)
    return rate - y * z, rate


@_quiet
def _rate(z: Vector) -> Vector:
    return np.asarray(np.exp(z))


FAMILIES = {
    "squared": Family("squared", _squared, np.ones_like, lambda z: z, lambda y: ~np.isfinite(y), "finite numbers"),
    "logistic": Family(
        "logistic", _logistic, lambda p: p * (1 - p), _sigmoid, lambda y: (y != 0) & (y != 1), "0 or 1, two classes"
    ),
    "poisson": Family(
        "poisson", _poisson, lambda p: p, _rate, lambda y: ~(np.isfinite(y) & (y >= 0)), "counts, finite and >= 0"
    ),
}
