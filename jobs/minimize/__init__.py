"""Minimize a loss that is a sum over much data, by any of SciPy's optimizers.

Public: `Objective`, a callable for `scipy.optimize`; `minimize`, any of SciPy's methods on it; and problems: `softmax`,
`keras` (any Keras model), or any object as `Problem` describes.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobs.minimize.objective import Objective
    from jobs.minimize.optimize.minimize import minimize
    from jobs.minimize.problems.base import Problem

__all__ = ["Objective", "Problem", "minimize"]
HOMES = {"Objective": "objective", "Problem": "problems.base", "minimize": "optimize.minimize"}
"""Modules of the public names."""


def __getattr__(name: str) -> Any:
    """Import Dask and SciPy at first use: `jobs.minimize.entry`, which every command imports, must be cheap."""
    if name in HOMES:
        return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
