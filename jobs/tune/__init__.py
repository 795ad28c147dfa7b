"""Find good hyperparameters: trials as Dask futures, stopped early, resumable, without a database.

Public: `Study`, a search on a client; `space`, what hyperparameters may be; `Trial`, what a function gets as its second
argument. Samplers and pruners are Optuna's; what is ours is the running of them on Dask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobs.tune import space
from jobs.tune.trials.trial import Stop, Trial

if TYPE_CHECKING:
    from jobs.tune.study import Study

__all__ = ["Stop", "Study", "Trial", "space"]


def __getattr__(name: str) -> Any:
    """Import Optuna only for those who search: workers do without."""
    if name == "Study":
        from jobs.tune.study import Study

        return Study
    raise AttributeError(f"module 'jobs.tune' has no attribute {name!r}")
