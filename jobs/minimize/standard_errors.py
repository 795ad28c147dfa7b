"""Standard errors of a likelihood's parameters, from the inverse of its Hessian at the optimum."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.errors import UserCodeError
from jobs.minimize.evaluate.request import Request
from jobs.minimize.objective import Objective
from jobs.minimize.problems.base import has
from jobs.minimize.problems.held_out import model_of
from jobs.minimize.softmax import Softmax
from jobs.usercode import call

MAX_PARAMETERS = 200
"""More would need an n x n matrix of every block for numbers that nobody reads."""
SINGULAR = 1e-10
"""Smallest eigenvalue of the Hessian, scaled to a diagonal of ones, per parameter: below it digits mean nothing."""

Vector = NDArray[np.float64]


def standard_errors(objective: Objective, theta: Vector, loss: float, *, restricted: str = "") -> dict[str, Any]:
    """Return `standard_errors`, n numbers for the result, or `standard_errors_note`, why there are none.

    They are the roots of the diagonal of dispersion * H^-1 at the maximum of a likelihood: Cox and Hinkley,
    "Theoretical Statistics" (1974), section 9.2. Nothing is returned for a problem without `hess` and `dispersion`, or
    with more than 200 parameters.

    Args:
        objective: the minimized one.
        theta: the optimum, (n,).
        loss: there.
        restricted: what the optimum was restricted by, such as an option's name.

    Raises:
        ClusterError: the cluster is gone.
    """
    problem = objective.problem
    try:
        if objective.n > MAX_PARAMETERS or not (objective.has_hess and has(problem, "dispersion")):
            return {}
        if restricted:
            return {"standard_errors_note": f"none with {restricted}: they are those of a likelihood alone"}
        if isinstance(model_of(problem), Softmax):
            return {
                "standard_errors_note": "none of softmax without a penalty: a number added to the weights of all "
                "classes changes nothing; of two classes, logistic regression has them"
            }
        hessian = objective.sum(Request("hess", theta[None])).reshape(objective.n, objective.n)
        factor = float(call("dispersion", problem.dispersion, loss, objective.fitted_rows(theta)))
    except UserCodeError as error:
        return {"standard_errors_note": f"not known: {error}"}
    return _errors(hessian, factor)


def _errors(hessian: Vector, factor: float) -> dict[str, Any]:
    scale = np.sqrt(np.diag(hessian).clip(min=0))
    if not (np.isfinite(hessian).all() and scale.all()):
        return {"standard_errors_note": _SINGULAR_NOTE}
    values, vectors = np.linalg.eigh(hessian / np.outer(scale, scale))
    if values[0] < SINGULAR * len(values):
        return {"standard_errors_note": _SINGULAR_NOTE}
    if not factor > 0:
        return {"standard_errors_note": "none: there are no more rows than parameters"}
    variances = (vectors**2 / values).sum(axis=1) * factor
    return {"standard_errors": (np.sqrt(variances) / scale).tolist()}


_SINGULAR_NOTE = (
    "none: the Hessian is singular, so the data do not determine all parameters; is a feature constant, or a sum of "
    "others?"
)
