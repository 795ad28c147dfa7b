"""Batch jobs for numerical work on Dask clusters: `connect` to one, then see `jobs.minimize` and `jobs.tune`.

Public: `connect`, `from_arrays` and `from_dask` (data in memory), and the errors of `jobs.errors`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.errors import ClusterError, DataError, InputError, JobError, Stopped, UserCodeError
from jobs.lazy import lazy as _lazy

if TYPE_CHECKING:
    from jobs.cluster.connect import connect
    from jobs.datasets.memory.of_arrays import from_arrays
    from jobs.datasets.memory.of_dask import from_dask

__all__ = [
    "ClusterError",
    "DataError",
    "InputError",
    "JobError",
    "Stopped",
    "UserCodeError",
    "connect",
    "from_arrays",
    "from_dask",
]

# Dask is imported at the first use of these: that takes a second or more.
__getattr__, __dir__ = _lazy(
    __name__,
    {
        "connect": "cluster.connect",
        "from_arrays": "datasets.memory.of_arrays",
        "from_dask": "datasets.memory.of_dask",
    },
)
