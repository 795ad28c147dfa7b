"""`minimize`: SciPy's methods on an objective, with arguments that are checked before any work begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize
from threadpoolctl import threadpool_limits

from jobs.errors import InputError, argument
from jobs.minimize.optimize.constraints import guarded
from jobs.minimize.optimize.function import Function
from jobs.minimize.optimize.l1 import Split, stationarity
from jobs.minimize.optimize.methods import METHODS, Method, check_needs, check_options, find
from jobs.minimize.problems.base import attribute_of, check_theta, penalized
from jobs.usercode import call

Vector = NDArray[np.float64]
SMALLEST_EIGENVALUE = 1e-8
"""dogleg's Hessian is shifted until its smallest eigenvalue is at least this fraction of its largest entry."""
Callback = Callable[..., Any]


def minimize(
    objective: Function, x0: Vector | None = None, *, callback: Callback | None = None, **arguments: Any
) -> optimize.OptimizeResult:
    """Minimize an objective by any method of `scipy.optimize.minimize`; the arguments are those of `Minimization`.

    `callback` is called after each iteration, as SciPy does.

    It behaves as the serial call does, and adds: the gradient, Hessian and Hessian products come from the problem;
    finite differences, where the problem has no gradient, are evaluated in parallel; dogleg's Hessian is shifted
    until it is positive definite, and the message has the shift. SciPy's own linear algebra runs on one thread, so that
    the result does not depend on cores.

    Returns:
        SciPy's result; `x` is theta (n,), also with l1. Where the gradient is known, `gradient_norm` is its largest
        entry: of the projected gradient with bounds, of the minimum subgradient with l1, of the Lagrangian's gradient
        for trust-constr.

    Raises:
        InputError: an argument is wrong; before any evaluation.
        UserCodeError, ClusterError: from an evaluation.
    """
    return Minimization(objective, x0, **arguments).solve(callback)


class Minimization:
    """One minimization, with all arguments checked.

    Args:
        objective: what to minimize.
        x0: the start, (n,); the problem's x0() if None.
        method: any of `jobs.minimize.optimize.methods.METHODS`.
        bounds: `scipy.optimize.Bounds`, n pairs, or one pair for all; the problem's `bounds` if None.
        constraints: as SciPy takes them; the problem's `constraints` if empty.
        tol: as SciPy takes it.
        options: the method's own options.
        l1: adds l1 * sum |theta_i| over the penalized entries; for L-BFGS-B, without bounds.

    Raises:
        InputError: an argument is wrong.
    """

    def __init__(
        self,
        objective: Function,
        x0: Vector | None = None,
        *,
        method: str = "L-BFGS-B",
        bounds: Any = None,
        constraints: Any = (),
        tol: float | None = None,
        options: Mapping[str, Any] | None = None,
        l1: float = 0.0,
    ) -> None:
        self._objective, self._method = objective, find(method)
        self._shifted = _Shifted(objective)
        check_options(self._method, options or {})
        self._options, self._note = _least_evaluations(self._method, options or {}, objective.n)
        check_needs(self._method, objective)
        self.x0 = objective.x0() if x0 is None else check_theta("x0", x0, objective.n)
        given = attribute_of(objective.problem, "bounds", None) if bounds is None else bounds
        self._bounds = call("bounds", bounds_of, self._method, given, objective.n)
        constraints = guarded(constraints or attribute_of(objective.problem, "constraints", ()))
        if constraints and not self._method.constraints:
            takers = ", ".join(method.name for method in METHODS.values() if method.constraints)
            raise InputError(f"{argument('method')} {self._method.name} takes no constraints; {takers} do")
        self._arguments = {"constraints": constraints, "tol": tol, "method": self._method.name}
        self.l1 = _l1(l1, self._method, self._bounds, objective)

    def solve(self, callback: Callback | None = None, *, user_api: str | None = None) -> optimize.OptimizeResult:
        """Run SciPy's method; see `minimize` for the result and the errors.

        Args:
            callback: called after each iteration.
            user_api: of threadpoolctl; 'blas' if evaluations in this process may use several threads, but not by BLAS.
        """
        with threadpool_limits(limits=1, user_api=user_api):
            return self._split(callback) if np.any(self.l1) else self._smooth(callback)

    def _smooth(self, callback: Callback | None) -> optimize.OptimizeResult:
        result = optimize.minimize(x0=self.x0, callback=callback, **self.arguments())
        return self.finished(result)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `scipy.optimize.minimize` but for x0 and the callback; not with l1."""
        arguments = self._arguments | {"bounds": self._bounds, "options": self._options, **self._hessian()}
        objective, method = self._objective, self._method
        arguments["fun"] = objective.loss
        if method.gradient != "unused" and objective.has_gradient:
            arguments |= {"fun": objective, "jac": True}
        elif method.gradient != "unused":
            arguments["options"] = self._options | {"workers": objective.map}
        return arguments

    def finished(self, result: optimize.OptimizeResult) -> optimize.OptimizeResult:
        """Return SciPy's result with `gradient_norm`, and with sentences on what was changed."""
        result.message += self._note + self._shifted.note
        return _with_gradient_norm(result, self._objective, 0.0, self._bounds)

    def _hessian(self) -> dict[str, Any]:
        """Return the Hessian's argument: products where the method takes them, since they are cheaper."""
        if self._method.name == "dogleg":
            return {"hess": self._shifted}
        if self._method.hessian in ("optional", "product") and self._objective.has_hessp:
            return {"hessp": self._objective.hessp}
        if self._method.hessian != "unused" and self._objective.has_hess:
            return {"hess": self._objective.hess}
        return {}

    def _split(self, callback: Callback | None) -> optimize.OptimizeResult:
        split = Split(self._objective, self.l1)
        arguments = self._arguments | {"options": self._options, "bounds": split.bounds(), "jac": True}
        if callback is not None:
            arguments["callback"] = lambda pq: callback(split.theta(pq))
        result = optimize.minimize(split, split.x0(self.x0), **arguments)
        # By p's half of the split gradient, l1 + grad: what is left is the gradient of the smooth part.
        result.x, result.jac = split.theta(result.x), result.jac[: self._objective.n] - self.l1
        del result["hess_inv"]  # of the 2 n split variables
        return _with_gradient_norm(result, self._objective, self.l1, None)


def _least_evaluations(method: Method, options: Mapping[str, Any], n: int) -> tuple[dict[str, Any], str]:
    """Return the options with no fewer evaluations than COBYLA makes, and a sentence on it if they were fewer.

    SciPy raises a smaller limit itself, with a warning each time. Its default is 1,000.
    """
    least, limit = n + 2, options.get("maxiter", 1000)
    if method.name != "COBYLA" or not isinstance(limit, int | float) or limit >= least:
        return dict(options), ""
    return {**options, "maxiter": least}, f" COBYLA takes at least n + 2 evaluations: {least:,}, not {limit:,}."


def _l1(l1: float, method: Method, bounds: optimize.Bounds | None, objective: Function) -> Vector:
    """Return the L1 penalty of each entry, (n,).

    Raises:
        InputError: it is not a finite number >= 0, or the method or bounds exclude it.
    """
    if not (np.isfinite(l1) and l1 >= 0):
        raise InputError(f"{argument('l1')} is {l1!r}, but must be a finite number >= 0")
    if l1 and (method.name != "L-BFGS-B" or bounds is not None):
        what = "bounds" if method.name == "L-BFGS-B" else f"{argument('method')} {method.name}"
        raise InputError(
            f"{argument('l1')} is {l1!r} together with {what}, but it works by bounds of its own: use L-BFGS-B without "
            "bounds"
        )
    if l1 and not objective.has_gradient:
        raise InputError(f"{argument('l1')} is {l1!r}, but needs a gradient, and the problem has no value_and_grad")
    return l1 * penalized(objective.problem, objective.n)


def _with_gradient_norm(
    result: optimize.OptimizeResult, objective: Function, l1: Vector | float, bounds: optimize.Bounds | None
) -> optimize.OptimizeResult:
    if "optimality" in result:  # trust-constr: the Lagrangian's gradient
        result.gradient_norm = float(result.optimality)
    elif objective.has_gradient and "jac" in result:
        result.gradient_norm = float(np.abs(stationarity(result.x, result.jac, l1, bounds)).max())
    return result


class _Shifted:
    """A Hessian shifted to positive definite by a multiple of the identity, as dogleg requires."""

    def __init__(self, objective: Function) -> None:
        self._objective, self._largest = objective, 0.0

    def __call__(self, theta: Vector) -> Vector:
        matrix = self._objective.hess(theta)
        diagonal = np.diag_indices(len(matrix))
        floor = SMALLEST_EIGENVALUE * max(float(np.abs(matrix).max()), 1.0)
        shifted = matrix.copy()
        shifted[diagonal] -= floor  # positive definite by less than the floor is too little
        try:
            np.linalg.cholesky(shifted)  # a test alone, much cheaper than eigenvalues: most Hessians pass it
        except np.linalg.LinAlgError:
            shift = 2 * floor - float(np.linalg.eigvalsh(matrix)[0])
            self._largest = max(self._largest, shift)
            matrix[diagonal] += shift
        return matrix

    @property
    def note(self) -> str:
        """A sentence on the largest shift; empty if there was none."""
        if not self._largest:
            return ""
        return f" The Hessian was shifted by up to {self._largest:.1e} to be positive definite."


def bounds_of(method: Method, bounds: Any, n: int) -> optimize.Bounds | None:
    """Return bounds as SciPy's `Bounds` of two (n,) vectors.

    Raises:
        InputError: the method takes none, their number is wrong, or one is crossed or NaN.
    """
    if bounds is None:
        return None
    if not method.bounds:
        raise InputError(
            f"{argument('method')} {method.name} takes no bounds; L-BFGS-B, TNC, Powell and trust-constr do"
        )
    try:
        if isinstance(bounds, optimize.Bounds):
            low, high = (np.broadcast_to(np.asarray(side, dtype=np.float64), (n,)) for side in (bounds.lb, bounds.ub))
        else:
            low, high = _pairs(bounds, n)
    except (TypeError, ValueError) as error:
        shown = repr(bounds) if len(repr(bounds)) < 80 else f"{len(bounds):,} entries"
        raise InputError(
            f"{argument('bounds')} is {shown}, but must be [low, high], or {n:,} such pairs, one a parameter"
        ) from error
    # So written that NaN counts: it compares as false.
    crossed = np.flatnonzero(~((low <= high) & (low < np.inf) & (high > -np.inf)))
    if crossed.size:
        i = int(crossed[0])
        raise InputError(
            f"{argument('bounds')}: pair {i} is [{low[i]}, {high[i]}], but low must be <= high, with a number between"
        )
    return optimize.Bounds(low, high)


def _pairs(bounds: Any, n: int) -> tuple[Vector, Vector]:
    pairs = list(bounds)
    if len(pairs) == 2 and not any(isinstance(side, list | tuple | np.ndarray) for side in pairs):
        pairs = [pairs] * n
    if len(pairs) != n:
        raise ValueError
    low = np.array([-np.inf if a is None else a for a, _ in pairs], dtype=np.float64)  # None is SciPy's for no bound
    high = np.array([np.inf if b is None else b for _, b in pairs], dtype=np.float64)
    return low, high
