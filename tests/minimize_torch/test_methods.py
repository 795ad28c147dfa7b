"""All methods of SciPy as a torch optimizer: each ends at the loss of softmax regression, in both float types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch_models import Closure, Points, line, plain, regularized

from jobs.errors import InputError
from jobs.minimize import Objective, minimize, softmax
from jobs.minimize.optimize.methods import METHODS
from jobs.minimize.torch import MinimizeWrapper

OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "Nelder-Mead": {"maxiter": 20_000, "maxfev": 20_000, "adaptive": True},
    "Powell": {"maxiter": 2_000},
    "COBYLA": {"maxiter": 5_000},
    "SLSQP": {"ftol": 1e-10, "maxiter": 300},
    "TNC": {"maxfun": 2_000},
    "CG": {"maxiter": 500},
}
"""What a method needs to end near the optimum; the others are left their defaults."""
LOST = (
    "precision loss",
    "precision",
    "ABNORMAL",
    "line search",
    "Linesearch",
    "curvature",
    "Maximum number",
    "bad approx",
)
"""What methods say whose next step is below float32's precision."""


class Data(Points):
    """The same rows as `arrays`, with what softmax regression needs to know of them."""

    scale = 1.0

    def fingerprint(self) -> str:
        """Return a name."""
        return "arrays"


@pytest.fixture(scope="module")
def reference() -> float:
    """Return the loss that SciPy finds for the same problem without torch, by the serial call."""
    with Objective(None, softmax.problem(Data()), l2=1.0) as objective:
        return float(minimize(objective, method="trust-exact", options={"gtol": 1e-9}).fun)


@pytest.mark.parametrize("kind", ["plain", "with model"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("method", METHODS)
def test_each_method_ends_at_the_optimum(method, dtype, kind, reference):
    """The loss is SciPy's to 1e-4, and in float64 the method says that it converged; the model keeps its type."""
    model = line(dtype)
    optimizer = MinimizeWrapper(model.parameters(), {"method": method, "options": dict(OPTIONS.get(method, {}))})
    closure = (
        Closure(optimizer, model, regularized) if kind == "with model" else plain(optimizer, lambda: regularized(model))
    )
    optimizer.step(closure)
    assert optimizer.res.fun == pytest.approx(reference, rel=1e-4)
    assert regularized(model).item() == pytest.approx(optimizer.res.fun, rel=1e-6)
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}
    message = str(optimizer.res.message)
    assert optimizer.res.success or (dtype == torch.float32 and any(text in message for text in LOST)), message


def test_parameters_are_those_of_the_numpy_problem(reference):
    """In float64 the optimum is that of the NumPy problem to 1e-6, in loss and in each parameter."""
    model = line()
    optimizer = MinimizeWrapper(model.parameters(), {"method": "trust-exact", "options": {"gtol": 1e-9}})
    optimizer.step(Closure(optimizer, model, regularized))
    with Objective(None, softmax.problem(Data()), l2=1.0) as objective:
        theta = minimize(objective, method="trust-exact", options={"gtol": 1e-9}).x
        weights, biases = objective.problem.weights(theta)
    assert optimizer.res.fun == pytest.approx(reference, rel=1e-6)
    np.testing.assert_allclose(model.weight.detach().numpy(), weights.T, atol=1e-6)
    # Softmax regression leaves a constant of the biases free.
    found = model.bias.detach().numpy()
    np.testing.assert_allclose(found - found.mean(), biases - biases.mean(), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("method", ["BFGS", "L-BFGS-B", "CG", "SLSQP", "TNC", "trust-constr"])
def test_finite_differences_in_place_of_the_gradient(method, dtype, reference):
    """With jac False the closure need not call backward(), and methods estimate the gradient, by steps for the type."""
    model = line(dtype)
    options = {"maxfun": 20_000} if method == "TNC" else dict(OPTIONS.get(method, {"maxiter": 500}))
    optimizer = MinimizeWrapper(model.parameters(), {"method": method, "jac": False, "options": options})
    if (method, dtype) == ("trust-constr", torch.float32):
        with pytest.raises(InputError, match=r"trust-constr's finite differences are for float64: model.double\(\)"):
            optimizer.step(lambda: regularized(model))
        return
    optimizer.step(lambda: regularized(model))
    assert optimizer.res.fun == pytest.approx(reference, rel=1e-4 if dtype == torch.float64 else 1e-3)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_an_indefinite_hessian_is_shifted_for_dogleg():
    """dogleg needs positive definite Hessians; where one is not, it is shifted, and the message has the shift."""
    point = torch.nn.Parameter(torch.tensor([0.1, 0.1], dtype=torch.float64))
    optimizer = MinimizeWrapper([point], {"method": "dogleg"})
    optimizer.step(plain(optimizer, lambda: torch.sum((point**2 - 1) ** 2)))
    np.testing.assert_allclose(np.abs(point.detach().numpy()), 1, atol=1e-4)
    assert "shifted" in optimizer.res.message


def test_bounds_constraints_and_tol_are_scipys():
    """They pass through: bounds hold, constraints bind, and tol ends early."""
    seen: list[np.ndarray] = []

    def solved(method: str, **arguments: Any) -> torch.nn.Linear:
        model = line()
        optimizer = MinimizeWrapper(model.parameters(), {"method": method, **arguments})
        optimizer.step(Closure(optimizer, model, regularized))
        seen.append(optimizer.res.nit)
        return model

    bounded = solved("L-BFGS-B", bounds=[(-0.1, 0.1)] * 15)
    assert max(float(p.detach().abs().max()) for p in bounded.parameters()) == 0.1
    total = {"type": "eq", "fun": lambda theta: theta.sum() - 2}
    constrained = solved("SLSQP", constraints=[total], options={"ftol": 1e-10})
    assert sum(float(p.detach().sum()) for p in constrained.parameters()) == pytest.approx(2, abs=1e-8)
    solved("BFGS", tol=1.0)
    solved("BFGS", tol=1e-8)
    assert seen[-2] < seen[-1]


@pytest.mark.parametrize("method", METHODS)
def test_the_callback_is_called_after_each_iteration(method):
    """It gets a point, for trust-constr a point and a state as in SciPy; one of `intermediate_result` gets a result."""
    points: list[Any] = []

    def after(xk: np.ndarray, *state: Any) -> None:
        points.append(xk)
        assert len(state) == (method == "trust-constr")

    def with_result(intermediate_result: Any) -> None:
        points.append(intermediate_result.x)

    for callback in (after, with_result):
        points.clear()
        model = line()
        options = {"maxfun": 30} if method == "TNC" else {"maxiter": 20}
        optimizer = MinimizeWrapper(model.parameters(), {"method": method, "callback": callback, "options": options})
        optimizer.step(Closure(optimizer, model, regularized))
        assert points
        assert all(point.shape == (15,) for point in points)


@pytest.mark.parametrize("method", METHODS)
def test_disp_prints_a_summary(method, capfd):
    """`disp` is taken for every method, and something is printed at the end; without it nothing is."""
    for disp in (False, True):
        model = line()
        options = {"disp": disp, **({"maxfun": 30} if method == "TNC" else {"maxiter": 20})}
        optimizer = MinimizeWrapper(model.parameters(), {"method": method, "options": options})
        optimizer.step(Closure(optimizer, model, regularized))
        assert bool(capfd.readouterr().out) is disp


def test_maxiter_is_scipys_default_unless_given():
    """Without options a method runs until it has converged; maxiter ends it; for TNC it is the evaluations' limit."""
    for options, many in (({}, True), ({"maxiter": 2}, False)):
        model = line()
        optimizer = MinimizeWrapper(model.parameters(), {"method": "BFGS", "options": options})
        optimizer.step(Closure(optimizer, model, regularized))
        assert (optimizer.res.nit > 2) is many
    model = line()
    optimizer = MinimizeWrapper(model.parameters(), {"method": "TNC", "options": {"maxiter": 5}})
    optimizer.step(Closure(optimizer, model, regularized))
    assert optimizer.res.nfev <= 6


def test_the_method_is_scipys_choice_by_default():
    """Without a method: BFGS, with bounds L-BFGS-B, with constraints SLSQP, as SciPy chooses."""
    chosen = []
    for arguments in ({}, {"bounds": [(-1, 1)] * 15}, {"constraints": {"type": "ineq", "fun": lambda theta: theta[0]}}):
        optimizer = MinimizeWrapper(line().parameters(), arguments)
        chosen.append(optimizer._arguments.method.name)
    assert chosen == ["BFGS", "L-BFGS-B", "SLSQP"]


def test_finite_differences_of_large_float32_parameters():
    """Their step is as large as the type's spacing there."""
    point = torch.nn.Parameter(torch.full((1,), 1e4))
    for method in ("L-BFGS-B", "TNC"):
        torch.nn.init.constant_(point, 1e4)
        MinimizeWrapper([point], {"method": method, "jac": False}).step(lambda: torch.sum((point / 1e4 - 2) ** 2))
        assert float(point.detach()) == pytest.approx(2e4, rel=1e-2)


def test_the_callback_sees_the_model_at_its_point():
    """While it is called, the parameters are the point's, also after trial points that were not taken."""
    for method in ("Nelder-Mead", "trust-ncg", "COBYLA"):
        model, apart = line(), []

        def callback(xk: np.ndarray) -> None:
            found = np.concatenate([p.detach().numpy().ravel() for p in model.parameters()])  # noqa: B023
            apart.append(float(np.abs(found - xk).max()))  # noqa: B023

        optimizer = MinimizeWrapper(
            model.parameters(), {"method": method, "callback": callback, "options": {"maxiter": 40}}
        )
        optimizer.step(Closure(optimizer, model, regularized))
        assert apart
        assert max(apart) == 0


@pytest.mark.parametrize("method", ["BFGS", "TNC", "COBYQA"])
def test_stop_iteration_and_callbacks_of_any_signature(method):
    """A callback ends the run by StopIteration, gets value and point if it asks for a result, and may be built in."""
    seen = []

    def stops(intermediate_result):
        seen.append((intermediate_result.fun, intermediate_result.x))
        raise StopIteration

    for callback in (seen.append, stops):
        model = line()
        optimizer = MinimizeWrapper(model.parameters(), {"method": method, "callback": callback})
        optimizer.step(Closure(optimizer, model, regularized))
        assert seen
    fun, x = seen[-1]
    np.testing.assert_array_equal(np.concatenate([p.detach().numpy().ravel() for p in model.parameters()]), x)
    assert fun == pytest.approx(regularized(model).item())


def test_constraints_may_use_torch():
    """A constraint's jacobian by torch's own differentiation works as with SciPy."""

    def jac(theta: np.ndarray) -> np.ndarray:
        point = torch.tensor(theta, requires_grad=True)
        (point**2).sum().backward()
        return point.grad.numpy()

    ball = {"type": "ineq", "fun": lambda theta: 1 - (theta**2).sum(), "jac": lambda theta: -jac(theta)}
    model = line()
    optimizer = MinimizeWrapper(model.parameters(), {"method": "SLSQP", "constraints": ball})
    optimizer.step(Closure(optimizer, model, regularized))
    assert sum(float((p.detach() ** 2).sum()) for p in model.parameters()) == pytest.approx(1, abs=1e-4)


def test_autocast_works_as_far_as_its_precision_goes(reference):
    """With some three digits L-BFGS-B ends near the optimum."""
    model = line(torch.float32)
    optimizer = MinimizeWrapper(model.parameters(), {"method": "L-BFGS-B"})

    def loss() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return regularized(model)

    optimizer.step(plain(optimizer, loss))
    assert regularized(model).item() == pytest.approx(reference, rel=0.02)
