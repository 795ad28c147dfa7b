"""Linear regression by least squares as a problem: `--model squared`, `--problem jobs.minimize.squared:problem`."""

from __future__ import annotations

from jobs.datasets import open_dataset
from jobs.minimize.problems.regression import Regression
from jobs.minimize.problems.sample import DataLike


def problem(data: str | DataLike, dtype: str = "float64") -> Regression:
    """Return the sum over the rows of weight / 2 * (w x + b - y)^2.

    Args:
        data: as of `open_dataset`, or a dataset; y are any numbers.
        dtype: of stored blocks and products, see `Regression`.

    Raises:
        InputError: `dtype` or `data` cannot be used.
        DataError: the data are missing, damaged or of a wrong format.
        ClusterError: the storage cannot be reached.
    """
    return Regression("squared", open_dataset(data, targets=True) if isinstance(data, str) else data, dtype)
