"""Batch jobs for numerical work on Dask clusters: `connect` to one, then see `jobs.minimize` and `jobs.tune`.

Public: `connect`, and the errors of `jobs.errors`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.errors import ClusterError, DataError, InputError, JobError, Stopped, UserCodeError
from jobs.lazy import lazy as _lazy

if TYPE_CHECKING:
    from jobs.cluster.connect import connect

__all__ = ["ClusterError", "DataError", "InputError", "JobError", "Stopped", "UserCodeError", "connect"]

# Dask is imported at the first use of `connect`: that takes a second or more.
__getattr__, __dir__ = _lazy(__name__, {"connect": "cluster.connect"})
