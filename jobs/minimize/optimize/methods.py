"""SciPy's methods: their requirements and options, checked before any work begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from jobs.errors import InputError, argument, nearest

if TYPE_CHECKING:  # NumPy: options are parsed before it is loaded
    from jobs.minimize.optimize.function import Function

HESS_BYTES = 4 << 30
"""Maximum bytes of a dense Hessian."""

_TRUST = ("initial_trust_radius", "max_trust_radius", "eta", "gtol", "maxiter", "disp", "return_all")


@dataclass(frozen=True)
class Method:
    """One method of `scipy.optimize.minimize`.

    Attributes:
        name: as SciPy's documentation writes it.
        options: the keys of its `options`.
        gradient: 'unused', 'needed', or 'estimated': by finite differences where the problem has none.
        hessian: 'unused', 'optional', 'product' (hessp or hess needed) or 'matrix' (hess needed).
        bounds, constraints: whether it takes them.
        iterations: the option that limits its iterations.
        counts_evaluations: whether that option limits evaluations instead, since the method has no other limit.
        gtol: SciPy's default of the option `gtol`, where that is a bound of the largest entry of the gradient.
    """

    name: str
    options: tuple[str, ...]
    gradient: Literal["unused", "needed", "estimated"] = "estimated"
    hessian: Literal["unused", "optional", "product", "matrix"] = "unused"
    bounds: bool = False
    constraints: bool = False
    iterations: str = "maxiter"
    counts_evaluations: bool = False
    gtol: float | None = None

    def gradient_tolerance(self, options: Mapping[str, Any], tol: float | None) -> float | None:
        """Return the largest gradient entry at which it ends, None if it has no such rule.

        Args:
            options: its own.
            tol: as of `scipy.optimize.minimize`.
        """
        if self.gtol is None or "norm" in options:
            return None
        tolerance = options.get("gtol", self.gtol if tol is None else tol)
        return float(tolerance) if isinstance(tolerance, int | float) else None


METHODS = {
    method.name: method
    for method in (
        Method(
            "Nelder-Mead",
            ("maxiter", "maxfev", "disp", "return_all", "initial_simplex", "xatol", "fatol", "adaptive"),
            gradient="unused",
            bounds=True,
        ),
        Method(
            "Powell",
            ("xtol", "ftol", "maxiter", "maxfev", "disp", "direc", "return_all"),
            gradient="unused",
            bounds=True,
        ),
        Method(
            "CG",
            ("gtol", "norm", "eps", "maxiter", "disp", "return_all", "finite_diff_rel_step", "c1", "c2"),
            gtol=1e-5,
        ),
        Method(
            "BFGS",
            (
                *("gtol", "norm", "eps", "maxiter", "disp", "return_all", "finite_diff_rel_step"),
                *("xrtol", "c1", "c2", "hess_inv0"),
            ),
            gtol=1e-5,
        ),
        Method(
            "Newton-CG",
            ("xtol", "eps", "maxiter", "disp", "return_all", "c1", "c2"),
            gradient="needed",
            hessian="optional",
        ),
        Method(
            "L-BFGS-B",
            ("maxcor", "ftol", "gtol", "eps", "maxfun", "maxiter", "maxls", "finite_diff_rel_step"),
            bounds=True,
            gtol=1e-5,
        ),
        Method(
            "TNC",
            (
                *("eps", "scale", "offset", "mesg_num", "maxCGit", "eta", "stepmx", "accuracy", "minfev"),
                *("ftol", "xtol", "gtol", "rescale", "disp", "finite_diff_rel_step", "maxfun"),
            ),
            bounds=True,
            iterations="maxfun",
            counts_evaluations=True,
        ),
        Method(
            "COBYLA",
            ("rhobeg", "tol", "maxiter", "disp", "catol", "f_target"),
            gradient="unused",
            bounds=True,
            constraints=True,
            counts_evaluations=True,
        ),
        Method(
            "COBYQA",
            (
                *("disp", "maxfev", "maxiter", "f_target", "feasibility_tol"),
                *("initial_tr_radius", "final_tr_radius", "scale"),
            ),
            gradient="unused",
            bounds=True,
            constraints=True,
        ),
        Method(
            "SLSQP",
            ("maxiter", "ftol", "iprint", "disp", "eps", "finite_diff_rel_step"),
            bounds=True,
            constraints=True,
        ),
        Method(
            "trust-constr",
            (
                *("xtol", "gtol", "barrier_tol", "sparse_jacobian", "maxiter", "verbose", "finite_diff_rel_step"),
                *("initial_constr_penalty", "initial_tr_radius", "initial_barrier_parameter"),
                *("initial_barrier_tolerance", "factorization_method", "disp"),
            ),
            hessian="optional",
            bounds=True,
            constraints=True,
        ),
        Method("dogleg", _TRUST, gradient="needed", hessian="matrix"),
        Method("trust-ncg", _TRUST, gradient="needed", hessian="product"),
        Method("trust-exact", (*_TRUST, "subproblem_maxiter"), gradient="needed", hessian="matrix"),
        Method("trust-krylov", (*_TRUST, "inexact"), gradient="needed", hessian="product"),
    )
}
COUNT_EVALUATIONS = tuple(name for name, method in METHODS.items() if method.counts_evaluations)


def find(name: str) -> Method:
    """Return a method by its name; case does not matter.

    Raises:
        InputError: there is none of that name.
    """
    for method in METHODS.values():
        if method.name.lower() == name.lower():
            return method
    raise InputError(f"{argument('method')} is {name!r}{nearest(name, METHODS)} (methods: {', '.join(METHODS)})")


def check_options(method: Method, options: Mapping[str, Any]) -> None:
    """Check the keys of a method's options.

    Raises:
        InputError: the method takes no such option.
    """
    for key in options:
        if key not in method.options:
            hint = nearest(key, method.options) or f" (it takes {', '.join(method.options)})"
            raise InputError(f"{argument('options', key)}: {method.name} takes no option {key!r}{hint}")


def check_needs(method: Method, objective: Function) -> None:
    """Check that a problem has the derivatives that a method needs.

    Raises:
        InputError: it has not, or its dense Hessian would not fit.
    """
    has = {"value_and_grad": objective.has_gradient, "hess": objective.has_hess, "hessp": objective.has_hessp}
    name = type(objective.problem).__name__
    if method.gradient == "needed" and not has["value_and_grad"]:
        raise InputError(
            f"{argument('method')} {method.name} needs a gradient, but problem {name} has no value_and_grad"
        )
    if method.hessian == "product" and not (has["hess"] or has["hessp"]):
        raise InputError(
            f"{argument('method')} {method.name} needs a Hessian, but problem {name} has neither hessp nor hess"
        )
    if method.hessian == "matrix" and not has["hess"]:
        raise InputError(
            f"{argument('method')} {method.name} needs hess, but problem {name} has none; trust-ncg needs only hessp"
        )
    if method.hessian == "matrix" and 8 * objective.n**2 > HESS_BYTES:
        raise InputError(
            f"{argument('method')} {method.name} needs a dense Hessian, which for {objective.n:,} parameters is "
            f"{8 * objective.n**2 / 1e9:,.0f} GB (limit {HESS_BYTES / 1e9:.0f} GB); trust-ncg and L-BFGS-B need none"
        )
