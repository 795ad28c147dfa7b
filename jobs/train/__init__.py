"""Training Keras models data-parallel: replicas on workers, gradient averaging and parameter averaging.

Public: `train`, the command from Python, with a `TrainResult`; `Replicas`, a model in each worker; `GradientAveraging`
and `ParameterAveraging`, which fit it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.lazy import lazy as _lazy

if TYPE_CHECKING:
    from jobs.train.averaging import GradientAveraging, ParameterAveraging
    from jobs.train.python import TrainResult, train
    from jobs.train.replicas import Replicas

__all__ = ["GradientAveraging", "ParameterAveraging", "Replicas", "TrainResult", "train"]
# Dask is imported only for a fit: every command imports `jobs.train.entry`.
__getattr__, __dir__ = _lazy(
    __name__,
    {
        "GradientAveraging": "averaging",
        "ParameterAveraging": "averaging",
        "Replicas": "replicas",
        "TrainResult": "python",
        "train": "python",
    },
)
