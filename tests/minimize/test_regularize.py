"""L1 and the elastic net by splitting; bounds, constraints, tolerances and callbacks as SciPy has them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.optimize
from distributed import Client
from problems import LeastSquares, Logistic, SmallSoftmax

from jobs.errors import InputError
from jobs.minimize import Objective, minimize
from jobs.minimize.optimize.l1 import stationarity
from jobs.minimize.optimize.methods import METHODS

EXACT = {"ftol": 1e-15, "gtol": 1e-10}


@pytest.mark.parametrize("l2", [0.0, 0.5])
@pytest.mark.parametrize("problem", [LeastSquares(), Logistic(), SmallSoftmax()])
def test_l1_satisfies_the_conditions_of_the_optimum(problem: object, l2: float) -> None:
    """The gradient is -l1 sign(theta) where theta is not 0, at most l1 where it is, and 0 without penalty."""
    l1 = 12.0
    with Objective(None, problem, l2=l2) as objective:
        result = minimize(objective, l1=l1, options=EXACT)
        grad = objective.grad(result.x)
        mask = problem.penalized() if hasattr(problem, "penalized") else np.ones(objective.n, dtype=bool)
    zero = result.x == 0
    assert result.success
    assert grad[~zero & mask] == pytest.approx(-l1 * np.sign(result.x[~zero & mask]), abs=1e-5)
    assert np.abs(grad[zero & mask]).max(initial=0) <= l1
    assert grad[~mask] == pytest.approx(0, abs=1e-5)
    assert result.gradient_norm == pytest.approx(0, abs=1e-5)
    assert result.fun == pytest.approx(objective_value(problem, result.x, l1, l2, mask), rel=1e-12)


def objective_value(problem: object, theta: np.ndarray, l1: float, l2: float, mask: np.ndarray) -> float:
    """Return the penalized loss by its definition."""
    loss, _ = problem.value_and_grad(theta, problem.load(0, problem.rows))  # type: ignore[attr-defined]
    return float(loss + l1 * np.abs(theta[mask]).sum() + l2 / 2 * np.sum(theta[mask] ** 2))


def test_a_large_l1_leaves_nothing() -> None:
    """Above the gradient at zero, every penalized entry is exactly zero."""
    with Objective(None, LeastSquares()) as objective:
        limit = np.abs(objective.grad(np.zeros(3))).max()
        assert (minimize(objective, l1=1.01 * limit).x == 0).all()
        assert (minimize(objective, l1=0.9 * limit).x != 0).any()


def test_l1_gives_equal_bits_on_a_cluster(client: Client) -> None:
    """The split objective is summed like any other."""
    with Objective(client, Logistic()) as objective, Objective(None, Logistic()) as serial:
        assert minimize(objective, l1=3.0).x.tobytes() == minimize(serial, l1=3.0).x.tobytes()


def test_stationarity_is_the_gradient_without_penalty_or_bounds() -> None:
    """Unpenalized and free, it is the gradient; at a bound that holds it is zero; with L1 the least subgradient."""
    theta, grad = np.array([0.0, 1.0, -1.0]), np.array([0.3, -0.2, 0.5])
    assert (stationarity(theta, grad, 0.0, None) == grad).all()
    bounds = scipy.optimize.Bounds(np.array([0.0, -9.0, -9.0]), np.full(3, 9.0))
    assert stationarity(theta, grad, 0.0, bounds) == pytest.approx([0.0, -0.2, 0.5])
    assert stationarity(theta, grad, 0.4, None) == pytest.approx([0.0, 0.2, 0.1])


@pytest.mark.parametrize("method", [method.name for method in METHODS.values() if method.bounds])
def test_bounds_are_kept(method: str) -> None:
    """Methods that take bounds end at SciPy's bounded optimum."""
    data = LeastSquares().load(0, LeastSquares.rows)
    exact = scipy.optimize.lsq_linear(data[0], data[1], (0.0, 1.5)).x
    options = {"COBYLA": {"tol": 1e-6}}.get(method)
    with Objective(None, LeastSquares()) as objective, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # trust-constr's "delta_grad == 0.0"
        result = minimize(objective, np.full(3, 0.5), method=method, bounds=(0.0, 1.5), options=options)
    assert result.success
    assert result.x == pytest.approx(exact, abs=2e-3)


@pytest.mark.parametrize("method", [method.name for method in METHODS.values() if method.constraints])
def test_constraints_are_kept(method: str) -> None:
    """Methods that take constraints end on the constrained optimum; a problem may bring its own constraints."""

    class Constrained(LeastSquares):
        constraints = scipy.optimize.LinearConstraint(np.ones((1, 3)), -np.inf, 3.0)

    with Objective(None, Constrained()) as objective, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = minimize(objective, method=method, options={"COBYLA": {"tol": 1e-6}}.get(method))
    assert result.success
    assert result.x.sum() == pytest.approx(3.0, abs=1e-3)


def test_cobyla_has_its_least_evaluations(recwarn: pytest.WarningsRecorder) -> None:
    """Fewer evaluations than COBYLA makes are its least number, said once in the message, not by SciPy's warnings."""
    with Objective(None, LeastSquares()) as objective:
        result = minimize(objective, method="COBYLA", options={"maxiter": 2})
    assert result.nfev == 5
    assert result.message.endswith(" COBYLA takes at least n + 2 evaluations: 5, not 2.")
    assert not recwarn.list


def test_tol_and_callback_are_passed_on() -> None:
    """A looser tolerance ends sooner, and the callback sees each iteration, with L1 as theta."""
    with Objective(None, Logistic()) as objective:
        assert minimize(objective, tol=1e-1).nit < minimize(objective, tol=1e-12).nit
        seen: list[np.ndarray] = []
        result = minimize(objective, l1=1.0, callback=seen.append)
        assert len(seen) == result.nit
        assert seen[-1] == pytest.approx(result.x)


def test_the_table_of_options_is_scipys() -> None:
    """Each method's table lists the options that SciPy's own function takes: none missing, none unknown."""
    import inspect

    from scipy.optimize import _cobyla_py, _cobyqa_py, _lbfgsb_py, _optimize, _slsqp_py, _tnc, _trustregion
    from scipy.optimize._trustregion_constr import minimize_trustregion_constr as constr

    functions = {
        "Nelder-Mead": _optimize._minimize_neldermead,
        "Powell": _optimize._minimize_powell,
        "CG": _optimize._minimize_cg,
        "BFGS": _optimize._minimize_bfgs,
        "Newton-CG": _optimize._minimize_newtoncg,
        "L-BFGS-B": _lbfgsb_py._minimize_lbfgsb,
        "TNC": _tnc._minimize_tnc,
        "COBYLA": _cobyla_py._minimize_cobyla,
        "COBYQA": _cobyqa_py._minimize_cobyqa,
        "SLSQP": _slsqp_py._minimize_slsqp,
        "trust-constr": constr._minimize_trustregion_constr,
        **dict.fromkeys(["dogleg", "trust-ncg"], _trustregion._minimize_trust_region),
    }
    ours = ["fun", "func", "x0", "args", "jac", "grad", "hess", "hessp", "bounds", "constraints", "callback"]
    ours += ["workers", "unknown_options", "subproblem", "inexact", "subproblem_maxiter"]
    deprecated = {"L-BFGS-B": ["disp", "iprint"]}
    for name, function in functions.items():
        expected = set(inspect.signature(function).parameters) - {*ours, *deprecated.get(name, [])}
        assert set(METHODS[name].options) == expected, name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x0": np.zeros(2)}, "x0 has 2 entries, but the problem has 3 parameters"),
        ({"x0": [0.0, np.inf, 0.0]}, "x0 is not finite: entry 1 is inf"),
        ({"x0": np.zeros((3, 1))}, r"x0 has shape \(3, 1\)"),
        ({"bounds": [(0, 1)] * 2}, "bounds is .*but must be .low, high., or 3 such pairs"),
        ({"bounds": (1, 0)}, "pair 0 is .1.0, 0.0., but low must be <= high"),
        ({"bounds": [(0, 1), (0, np.nan), (0, 1)]}, "pair 1"),
        ({"bounds": (0, 1), "method": "CG"}, "method CG takes no bounds"),
        (
            {"constraints": {"type": "eq", "fun": sum}},
            "method L-BFGS-B takes no constraints; COBYLA, COBYQA, SLSQP, trust",
        ),
        ({"l1": -1.0}, "l1 is -1.0"),
        ({"l1": 1.0, "method": "BFGS"}, "l1 is 1.0 together with method BFGS"),
        ({"method": "Newton"}, "did you mean 'Newton-CG'"),
        ({"method": "trust_ncg"}, "did you mean 'trust-ncg'"),
        ({"options": {"gtoll": 1}}, "did you mean 'gtol'"),
        ({"options": {"zzzz": 1}}, "it takes maxcor, ftol"),
    ],
)
def test_bad_arguments(arguments: dict[str, object], message: str) -> None:
    """Wrong arguments are refused before any evaluation."""
    with Objective(None, LeastSquares()) as objective:
        with pytest.raises(InputError, match=message):
            minimize(objective, **arguments)  # type: ignore[arg-type]
        assert objective.sum.timings.evaluations == 0


def test_a_hessian_that_would_not_fit_is_refused() -> None:
    """dogleg and trust-exact need n * n numbers; the error says how many bytes and what to use instead."""
    with Objective(None, LeastSquares(n=40_000)) as objective:
        for method in ("dogleg", "trust-exact"):
            with pytest.raises(InputError, match=r"40,000 parameters is 13 GB \(limit 4 GB\); trust-ncg and L-BFGS-B"):
                minimize(objective, method=method)
