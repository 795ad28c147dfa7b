"""Data sets of rows with labels, read by ranges of rows on the workers.

`open_dataset(spec)` finds and checks one: the shipped digits, IDX files (MNIST and its kin), NumPy arrays, or columns
of Parquet or CSV files, on a local path or in S3. What it returns holds no data: it is sent to the workers, and each
reads the rows it holds. `RowSource` is the interface of data for jobs, so that an object of the user's can be one;
`row_source` takes either. `from_arrays` and `from_dask` make one of arrays, frames and Dask collections in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.datasets.dataset import Dataset
from jobs.datasets.open import open_dataset
from jobs.datasets.rows import RowSource, row_source
from jobs.lazy import lazy as _lazy

if TYPE_CHECKING:
    from jobs.datasets.memory.of_arrays import from_arrays
    from jobs.datasets.memory.of_dask import from_dask

__all__ = ["Dataset", "RowSource", "from_arrays", "from_dask", "open_dataset", "row_source"]
# Dask and SciPy are imported at first use, since all commands import this package.
__getattr__, __dir__ = _lazy(__name__, {"from_arrays": "memory.of_arrays", "from_dask": "memory.of_dask"})
