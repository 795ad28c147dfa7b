"""The dict of arguments that a wrapper is given: checked, and as `Minimization` takes them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from jobs.errors import InputError, nearest
from jobs.minimize.optimize.methods import Method, check_options, find

Vector = NDArray[np.float64]
KEYS = ("method", "options", "jac", "bounds", "constraints", "callback", "tol")


@dataclass(frozen=True)
class MinimizerArguments:
    """The arguments of `scipy.optimize.minimize`.

    Attributes:
        method: of SciPy.
        gradient: whether the closure's gradient is used; else finite differences are, where a method needs one.
        summary: whether a summary is printed at the end.
        callback: the user's, if any.
        rest: method, bounds, constraints and tol, as `Minimization` takes them.
        options: the method's.
    """

    method: Method
    gradient: bool
    summary: bool
    callback: Callable[..., Any] | None
    rest: Mapping[str, Any]
    options: Mapping[str, Any]

    def for_precision(self, start: Vector, *, single: bool) -> dict[str, Any]:
        """Return the arguments of `Minimization` for losses in float32 or float64, from `start` (n,).

        SciPy's steps of finite differences are for float64, and TNC's for exact gradients. A step is the square root of
        the relative error of what is differenced (Nocedal & Wright, Numerical Optimization, section 8.1).

        Raises:
            InputError: the method's steps cannot be set.
        """
        options, error = dict(self.options), float(np.finfo(np.float32 if single else np.float64).eps)
        if not self.gradient and single and self.method.gradient == "estimated":
            if "eps" not in self.method.options:
                raise InputError(
                    f"jac is False for float32 parameters, but {self.method.name}'s finite differences are for "
                    "float64: model.double(), or a method such as SLSQP"
                )
            if "finite_diff_rel_step" not in options:
                options.setdefault("eps", error**0.5 * np.maximum(np.abs(start), 1))  # relative where numbers are large
        # TNC differences gradients for its Hessian.
        if "accuracy" in self.method.options and (single or not self.gradient):
            options.setdefault("accuracy", error**0.5 if self.gradient else error**0.25)
        return {**self.rest, "options": options}


def minimizer_arguments(given: Any) -> MinimizerArguments:
    """Return the arguments of a wrapper, which are not changed.

    Raises:
        InputError: they are no dict, or one is unknown, or does not fit the method.
    """
    if not isinstance(given, Mapping):
        raise InputError(f"minimizer_args is {type(given).__name__}, but must be a dict, such as dict(method='BFGS')")
    check_names("minimizer_args", given, KEYS, "the derivatives come from the closure")
    options = given.get("options") or {}
    if not isinstance(options, Mapping):
        raise InputError(f"options is {type(options).__name__}, but must be a dict, such as {{'maxiter': 100}}")
    method = find(str(given.get("method") or _default(given)))
    jac = given.get("jac", True)
    if not isinstance(jac, bool | np.bool_):
        raise InputError(f"jac is {jac!r}, but must be True, the closure's gradient, or False, finite differences")
    if not jac and method.gradient == "needed":
        raise InputError(f"jac is False, but {method.name} needs the closure's gradient; BFGS estimates one")
    taken = _options(method, options)
    check_options(method, taken)
    rest = {name: given[name] for name in ("bounds", "constraints", "tol") if given.get(name) is not None}
    shown = bool(options.get("disp", False))
    return MinimizerArguments(method, bool(jac), shown, _callback(given), {**rest, "method": method.name}, taken)


def check_names(noun: str, given: Mapping[str, Any], known: Any, why: str = "") -> None:
    """Check the names of arguments.

    Raises:
        InputError: one is not known.
    """
    for name in given:
        if name not in known:
            rest = f" (it takes {', '.join(known)}{f'; {why}' if why else ''})"
            raise InputError(f"{noun} has {name!r}, which it does not take{nearest(str(name), known) or rest}")


def adapted(
    user: Callable[..., Any] | None,
    method: Method,
    after: Callable[[Any], None],
    value: Callable[[Vector], float],
) -> Callable[..., Any]:
    """Return a callback for SciPy that calls `after` with the point, then the user's, as SciPy would call that.

    SciPy looks at a callback's signature: one whose only argument is `intermediate_result` gets a result, others a
    point. TNC, COBYLA and COBYQA do not look, and give a point, whose loss is `value`'s then.
    """
    wants_result = user is not None and _parameters(user) == {"intermediate_result"}

    def callback(intermediate_result: Any) -> Any:
        whole = isinstance(intermediate_result, optimize.OptimizeResult)
        point = np.array(intermediate_result.x if whole else intermediate_result)
        after(point)
        if user is None:
            return None
        if wants_result:
            result = intermediate_result if whole else optimize.OptimizeResult(x=point, fun=value(point))
            return user(intermediate_result=result)
        return user(point, intermediate_result) if method.name == "trust-constr" else user(point)

    return callback


def _parameters(function: Callable[..., Any]) -> set[str]:
    try:
        return set(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # some of Python's own, such as max, have no signature
        return set()


def _default(given: Mapping[str, Any]) -> str:
    """Return SciPy's own choice of a method."""
    if given.get("constraints"):
        return "SLSQP"
    return "BFGS" if given.get("bounds") is None else "L-BFGS-B"


def _options(method: Method, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options as the method names them: `maxiter` as TNC's `maxfun`, without `disp`, which all have here."""
    taken = {name: value for name, value in options.items() if name != "disp"}
    if "maxiter" in taken and "maxiter" not in method.options:
        taken.setdefault(method.iterations, taken.pop("maxiter"))
        taken.pop("maxiter", None)
    return taken


def _callback(given: Mapping[str, Any]) -> Callable[..., Any] | None:
    callback = given.get("callback")
    if callback is not None and not callable(callback):
        raise InputError(f"callback is {callback!r}, but must be a function")
    return callback
