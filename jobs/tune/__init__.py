"""Find good hyperparameters: trials as Dask futures, stopped early, resumable, without a database.

Public: `Study`, a search on a client; `space`, what hyperparameters may be; `Trial`, what a function gets as its second
argument. Samplers and pruners are Optuna's; what is ours is the running of them on Dask.
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
"""Modules of what is public."""


def __getattr__(name: str) -> Any:
    """Import Optuna only for those who search: workers do without, and every command imports `jobs.tune.entry`."""
    if name == "space":
        return import_module(f"{__name__}.space")
    if name in HOMES:
        return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
