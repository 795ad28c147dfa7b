"""The outcome of a run: theta with its names, the numbers, and the files that hold them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from jobs.cluster.arrival import versions
from jobs.errors import UserCodeError
from jobs.minimize import softmax
from jobs.minimize.display.diagnostics import diagnose
from jobs.minimize.display.monitor import Observer
from jobs.minimize.objective import Objective, Vector
from jobs.minimize.predictions import predicts
from jobs.minimize.problems.base import MAX_LISTED, names
from jobs.minimize.problems.held_out import model_of
from jobs.minimize.problems.regression import Regression
from jobs.minimize.saving import saved
from jobs.runs.run import Run


def finish(
    folder: Run, objective: Objective, observer: Observer, result: OptimizeResult, origin: Mapping[str, Any]
) -> dict[str, Any]:
    """Write x.npy, history.csv and, last, result.json; return the content of result.json.

    Args:
        folder: the run folder.
        objective: the minimized one.
        observer: its history.
        result: SciPy's.
        origin: the run's identity, what its processes computed with, and notes of its data.
    """
    observer.save(best=False)
    theta = np.asarray(result.x, dtype=np.float64)
    folder.save_array("x.npy", theta)
    outcome = {
        "success": bool(result.success),
        "message": str(result.message),
        "seconds": observer.seconds,
        "attempt": folder.attempt,
        "workers": objective.sum.workers,
        "versions": versions(),
        "method": origin["identity"]["method"],
        "fun": float(result.fun),
        **{name: result.get(name) for name in ("nit", "nfev", "njev", "nhev", "gradient_norm")},
        **_accuracy(objective, theta),
        **_validation(objective, theta),
        "parameters": objective.n,
        **_theta(objective.problem, theta),
        **saved(objective.problem, theta, folder.storage),
        **({"predicts": True} if predicts(objective.problem) else {}),
        "diagnostics": diagnose(objective, observer),
        **origin,
        **_model(objective.problem),
    }
    observer.finished(int(result.get("nit") or observer.iterations), bool(result.success))
    return folder.finish(outcome)


def _accuracy(objective: Objective, theta: Vector) -> dict[str, Any]:
    """Return the accuracy, or its error: the result must not be lost because counting right predictions failed."""
    try:
        accuracy = objective.accuracy(theta)
    except UserCodeError as error:
        return {"accuracy_error": str(error)}
    return {} if accuracy is None else {"accuracy": accuracy}


def _validation(objective: Objective, theta: Vector) -> dict[str, Any]:
    """Return what is found on the rows that are held out."""
    found = objective.validation(theta)
    return {} if found is None else {"validation": found}


def _theta(problem: Any, theta: Vector) -> dict[str, Any]:
    """Return theta's norm, and theta itself with its names where that is short."""
    norm = {"x_norm": float(np.linalg.norm(theta))}
    if theta.size > MAX_LISTED:
        return norm
    called = names(problem, theta.size)
    return norm | {"x": theta.tolist()} | ({} if called is None else {"names": called})


def _model(problem: Any) -> dict[str, Any]:
    """Return of a shipped model what predictions need, and of softmax the data for pictures of its weights."""
    model = model_of(problem)
    if isinstance(model, Regression):
        return {"model": model.model, **_classes(model)}
    if not isinstance(model, softmax.Softmax):
        return {}
    shape = model.data.shape
    return {"model": "softmax", "image_shape": list(shape) if len(shape) == 2 else None, **_classes(model)}


def _classes(model: Any) -> dict[str, Any]:
    names = [str(name) for name in getattr(model.data, "class_names", ())]
    return {"classes": model.data.classes, **({"class_names": names} if names else {})}
