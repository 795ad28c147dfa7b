"""Batch jobs for numerical work on Dask clusters: `connect` to one, then see `jobs.minimize`.

Public: `connect`, and the errors of `jobs.errors`.
"""

from jobs.cluster import connect
from jobs.errors import ClusterError, DataError, InputError, JobError, Stopped, UserCodeError

__all__ = ["ClusterError", "DataError", "InputError", "JobError", "Stopped", "UserCodeError", "connect"]
