"""What predicts rows by the optimum of a run: the shipped softmax, or the problem's own `predict`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.datasets.prediction import Predictor
from jobs.errors import InputError, UserCodeError
from jobs.minimize import models
from jobs.minimize.options import Options
from jobs.minimize.problems.base import CheckedProblem, Vector, has, load_problem
from jobs.minimize.problems.identity import expected, fingerprint
from jobs.options import validated
from jobs.runs.folder import RunFolder, read_array, readable
from jobs.runs.identity import warn_of_new_code
from jobs.runs.named_code import check_named, is_by_value
from jobs.storage import Storage

PREDICT = "problem.predict(theta, x)"


def predicts(problem: Any) -> bool:
    """Return whether a problem predicts rows; a property of the user's that raises does not."""
    try:
        return has(problem, "predict")
    except UserCodeError:
        return False


def predictor(run: RunFolder, storage: Storage) -> Predictor:
    """Return what predicts rows by a run's optimum.

    Raises:
        InputError: the optimum is missing or damaged, or the problem has no `predict`, or cannot be loaded here.
        UserCodeError: the problem's code raised.
    """
    theta = _theta(run, storage)
    given = {name: value for name, value in run.options.items() if name != "job"}
    options = validated(Options, given)
    if options.problem is not None:
        if is_by_value(options.problem):
            raise InputError(
                f"{run.url}: its problem, {options.problem}, was given in Python, where no command finds it: call the "
                "problem's predict(result.x, x) there"
            )
        check_named(run, options.problem)
        return _of_problem(run, load_problem(options.problem), theta)
    with readable(run.url, "result.json"):  # not of the data: they may be gone
        classes = int(run.result["classes"])
        names = [str(name) for name in run.result.get("class_names", ())]
        if options.model == "softmax" and (classes < 1 or theta.size % classes):
            raise ValueError(f"{theta.size} parameters of {classes} classes")
    return models.predictor(options.model, theta, classes, names)


def _theta(run: RunFolder, storage: Storage) -> Vector:
    theta = read_array(storage, "x.npy")
    with readable(run.url, "result.json"):
        count = int(run.result["parameters"])
    if theta is None or theta.shape != (count,):
        what = "missing" if theta is None else f"damaged: its shape is {theta.shape}, not ({count:,},)"
        raise InputError(
            f"{storage.address('x.npy')} is {what}; delete result.json, and the run's command makes it again"
        )
    return theta


def _of_problem(run: RunFolder, made: CheckedProblem, theta: Vector) -> Predictor:
    name = type(made.problem).__name__
    if not has(made.problem, "predict"):
        raise InputError(
            f"problem {name} has no predict(theta, x), which returns (rows,) or (rows, k): write it, and give the same "
            "command again"
        )
    warn_of_new_code(run, lambda: fingerprint(made, expected(made)))
    if made.x0.size != theta.size:
        raise InputError(
            f"the run's optimum has {theta.size:,} parameters, but problem {name} has {made.x0.size:,} now: bring back "
            "the code and the data that the run had"
        )
    return Predictor(lambda x, scale: made.problem.predict(theta, _scaled(x, scale)), PREDICT)


def _scaled(x: NDArray[Any], scale: float) -> Vector:
    return np.asarray(np.multiply(x, scale, dtype=np.float64))
