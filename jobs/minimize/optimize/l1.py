"""L1 by splitting theta into positive and negative parts under bounds, and the measure of stationarity then.

Minimizing f(theta) + l1 * sum(|theta_i|) over i penalized equals minimizing the smooth f(p - q) + l1 * sum(p_i + q_i)
over p, q >= 0 (Andrew & Gao 2007, section 2; Schmidt, Fung & Rosales 2007), which L-BFGS-B does. Entries without
penalty are not split: they are in p, with q fixed at 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds

from jobs.minimize.optimize.function import Function

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Split:
    """An objective with an L1 penalty as a smooth one of 2 n bounded variables (p, q).

    Args:
        objective: the smooth part f, with its L2 if any.
        l1: (n,) float64, the penalty of each entry: l1 where it is penalized, else 0.
    """

    objective: Function
    l1: Vector

    def x0(self, theta: Vector) -> Vector:
        """Return (p, q), (2 n,), for a start (n,)."""
        free = self.l1 == 0
        return np.concatenate([np.where(free, theta, np.maximum(theta, 0)), np.where(free, 0, np.maximum(-theta, 0))])

    def bounds(self) -> Bounds:
        """Return p, q >= 0, but p free and q = 0 where there is no penalty."""
        free = self.l1 == 0
        low = np.concatenate([np.where(free, -np.inf, 0), np.zeros(free.size)])
        high = np.concatenate([np.full(free.size, np.inf), np.where(free, 0, np.inf)])
        return Bounds(low, high)

    def theta(self, pq: Vector) -> Vector:
        """Return p - q, (n,)."""
        p, q = np.split(pq, 2)
        return p - q

    def __call__(self, pq: Vector) -> tuple[float, Vector]:
        """Return the split objective and its gradient (2 n,)."""
        loss, grad = self.objective(self.theta(pq))
        return loss + float(np.tile(self.l1, 2) @ pq), np.concatenate([self.l1 + grad, self.l1 - grad])


def stationarity(theta: Vector, grad: Vector, l1: Vector | float, bounds: Bounds | None) -> Vector:
    """Return the vector whose largest entry measures how far `theta` is from stationary, (n,).

    It is the gradient; with L1 the subgradient of minimum norm; with bounds the projected gradient, as in L-BFGS-B's
    gtol.
    """
    sign = np.sign(theta)
    steepest = np.where(sign != 0, grad + l1 * sign, np.sign(grad) * np.maximum(np.abs(grad) - l1, 0))
    if bounds is None:
        return steepest
    return np.asarray(theta - np.clip(theta - steepest, bounds.lb, bounds.ub))
