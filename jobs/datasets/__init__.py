"""Data sets of rows with labels, read by ranges of rows on the workers.

`open_dataset(spec)` finds and checks one: the shipped digits, IDX files (MNIST and its kin), NumPy arrays, or columns
of Parquet or CSV files, on a local path or in S3. What it returns holds no data: it is sent to the workers, and each
reads the rows it holds. `RowSource` is the interface of data for jobs, so that an object of the user's can be one;
`row_source` takes either.
"""

from jobs.datasets.dataset import Dataset
from jobs.datasets.open import open_dataset
from jobs.datasets.rows import RowSource, row_source

__all__ = ["Dataset", "RowSource", "open_dataset", "row_source"]
