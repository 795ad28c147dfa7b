"""Logistic regression of two classes as a problem: `--model logistic`, `--problem jobs.minimize.logistic:problem`."""

from __future__ import annotations

from jobs.datasets import open_dataset
from jobs.errors import InputError
from jobs.minimize.problems.regression import Logistic
from jobs.minimize.problems.sample import DataLike, classified


def problem(data: str | DataLike, dtype: str = "float64") -> Logistic:
    """Return the sum over the rows of weight * -log P(y), where P(1) = 1 / (1 + exp(-(w x + b))).

    Args:
        data: as of `open_dataset`, or a dataset; its labels are two classes.
        dtype: of stored blocks and products, see `Regression`.

    Raises:
        InputError: `dtype` or `data` cannot be used, or there are more or fewer classes.
        DataError: the data are missing, damaged or of a wrong format.
        ClusterError: the storage cannot be reached.
    """
    source = open_dataset(data) if isinstance(data, str) else classified(data)
    if source.classes != 2:
        raise InputError(
            f"logistic regression needs labels of two classes, but the data have {source.classes}; softmax takes more"
        )
    return Logistic("logistic", source, dtype)
