"""Minimize a loss that is a sum over much data, by any of SciPy's optimizers.

Public: `Objective`, a callable for `scipy.optimize`; `minimize`, any of SciPy's methods on it, or on a problem with a
run folder, whose result is a `MinimizeResult`; `held_out`, rows for validation; and problems: `softmax`, `logistic`,
`poisson`, `squared`, `keras` (any Keras model), or any object as `Problem` describes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.lazy import lazy as _lazy

if TYPE_CHECKING:
    from jobs.minimize.objective import Objective
    from jobs.minimize.problems.base import Problem
    from jobs.minimize.problems.held_out import held_out
    from jobs.minimize.python import MinimizeResult, minimize

__all__ = ["MinimizeResult", "Objective", "Problem", "held_out", "minimize"]
# Dask and SciPy are imported at first use: `jobs.minimize.entry`, which every command imports, must be cheap.
__getattr__, __dir__ = _lazy(
    __name__,
    {
        "MinimizeResult": "python",
        "Objective": "objective",
        "Problem": "problems.base",
        "held_out": "problems.held_out",
        "minimize": "python",
    },
)
