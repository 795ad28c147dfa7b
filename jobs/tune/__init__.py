"""Find good hyperparameters: trials as Dask futures, stopped early, resumable, without a database.

Public: `Study`, a search on a client; `space`, the dimensions of hyperparameters; `Trial`, the second argument of a
function. Samplers and pruners are Optuna's; running them on Dask is this package's.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobs.tune import space
    from jobs.tune.study import Study
    from jobs.tune.trials.trial import Stop, Trial

__all__ = ["Stop", "Study", "Trial", "space"]
HOMES = {"Stop": "trials.trial", "Study": "study", "Trial": "trials.trial"}
"""Modules of the public names."""


def __getattr__(name: str) -> Any:
    """Import Optuna only for a search: workers need none, and every command imports `jobs.tune.entry`."""
    if name == "space":
        return import_module(f"{__name__}.space")
    if name in HOMES:
        return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
