"""Batch jobs for numerical work on Dask clusters: `connect` to one, then see `jobs.minimize` and `jobs.tune`.

Public: `connect`, and the errors of `jobs.errors`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobs.errors import ClusterError, DataError, InputError, JobError, Stopped, UserCodeError

if TYPE_CHECKING:
    from jobs.cluster.connect import connect

__all__ = ["ClusterError", "DataError", "InputError", "JobError", "Stopped", "UserCodeError", "connect"]


def __getattr__(name: str) -> Any:
    """Import Dask at the first use of `connect`: it takes a second or more."""
    if name == "connect":
        from jobs.cluster.connect import connect

        return connect
    raise AttributeError(f"module 'jobs' has no attribute {name!r}")
