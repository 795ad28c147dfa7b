"""The shipped models by name, as `--model` has them: their problems, and what they predict."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from jobs.datasets.prediction import Predictor
from jobs.errors import InputError, argument
from jobs.minimize import logistic, poisson, softmax, squared
from jobs.minimize.problems.base import Vector
from jobs.minimize.problems.held_out import HeldOut
from jobs.minimize.problems.names import ModelName
from jobs.minimize.problems.regression import predicted

OF_TARGETS = ("poisson", "squared")
"""Those whose y are numbers, and no classes."""
_OF_TWO = {"logistic": logistic.problem, "poisson": poisson.problem, "squared": squared.problem}


def problem(model: ModelName, data: Any, classes: int | None, dtype: Any, held: tuple[float | None, int]) -> Any:
    """Return the problem of a model.

    Args:
        model: its name.
        data: as of `open_dataset`, or a dataset.
        classes: of softmax alone: labels are 0 .. classes - 1.
        dtype: of stored blocks and products.
        held: the share of rows that is held out, if any, and the seed that chooses which.

    Raises:
        InputError: an argument cannot be used, or does not go with the model.
        DataError: the data are missing, damaged or of a wrong format.
        ClusterError: the storage cannot be reached.
    """
    if model == "softmax":
        found: Any = softmax.problem(data, classes, dtype)
    elif classes is not None:
        raise InputError(f"{argument('classes')} goes with softmax alone, not with {argument('model')} {model}")
    else:
        found = _OF_TWO[model](data, dtype)
    share, seed = held
    return found if share is None else HeldOut(found, share, seed)


def predictor(model: ModelName, theta: Vector, classes: int, names: list[str]) -> Predictor:
    """Return what predicts rows by a model's parameters (n,); `names` are the classes'."""
    function: Callable[..., Any] = functools.partial(predicted, model)
    if model == "softmax":
        function = functools.partial(softmax.probabilities, classes=classes)
    is_classes = model in ("softmax", "logistic")
    return Predictor(lambda x, scale: function(theta, _scaled(x, scale)), model, names, classes=is_classes)


def _scaled(x: Any, scale: float) -> Vector:
    return np.asarray(np.multiply(x, scale, dtype=np.float64))
