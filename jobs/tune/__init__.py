"""Find good hyperparameters: trials as Dask futures, stopped early, resumable, without a database.

Public: `Study`, a search on a client; `space`, the dimensions of hyperparameters; `Trial`, the second argument of a
function. Samplers and pruners are Optuna's; running them on Dask is this package's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.lazy import lazy as _lazy

if TYPE_CHECKING:
    from jobs.tune import space
    from jobs.tune.study import Study
    from jobs.tune.trials.trial import Stop, Trial

__all__ = ["Stop", "Study", "Trial", "space"]
# Optuna is imported only for a search: workers need none, and every command imports `jobs.tune.entry`.
__getattr__, __dir__ = _lazy(
    __name__,
    {"Stop": "trials.trial", "Study": "study", "Trial": "trials.trial", "space": ""},
)
