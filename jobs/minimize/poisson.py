"""Poisson regression of counts as a problem: `--model poisson`, `--problem jobs.minimize.poisson:problem`."""

from __future__ import annotations

from jobs.datasets import open_dataset
from jobs.minimize.problems.regression import Regression
from jobs.minimize.problems.sample import DataLike


def problem(data: str | DataLike, dtype: str = "float64") -> Regression:
    """Return the sum over the rows of weight * (rate - y log rate), where rate = exp(w x + b).

    That is the negative log-likelihood without log y!, which no parameter changes.

    Args:
        data: as of `open_dataset`, or a dataset; y are counts, or other numbers >= 0.
        dtype: of stored blocks and products, see `Regression`.

    Raises:
        InputError: `dtype` or `data` cannot be used.
        DataError: the data are missing, damaged or of a wrong format.
        ClusterError: the storage cannot be reached.
    """
    return Regression("poisson", open_dataset(data, targets=True) if isinstance(data, str) else data, dtype)
