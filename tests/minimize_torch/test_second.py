"""Second derivatives: products and Hessians of closures of each kind, however they are computed."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch_models import FEATURES, Closure, Tied, WithoutSecond, arrays, convolution, frozen, line, plain, regularized

from jobs.errors import InputError
from jobs.minimize.torch import MinimizeWrapper, second
from jobs.minimize.torch.optimizer.closure import ClosureObjective
from jobs.minimize.torch.optimizer.packing import Packing


class Recurrent(nn.Module):
    """A network with a recurrent layer."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.out = nn.GRU(2, 3, batch_first=True), nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores."""
        return self.out(self.cell(x.reshape(len(x), 2, 2))[0][:, -1])


def normalized() -> nn.Module:
    return nn.Sequential(nn.Linear(FEATURES, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 3))


def scalar_loss(model: nn.Module) -> torch.Tensor:
    images = isinstance(model, nn.Sequential) and isinstance(model[0], nn.Unflatten)
    x, y = (torch.as_tensor(part) for part in arrays(features=64 if images else FEATURES))
    return nn.functional.cross_entropy(model(x.reshape(-1, 8, 8) if images else x), y)


MODELS = {
    "line": line,
    "convolution": convolution,
    "frozen": frozen,
    "tied": Tied,
    "recurrent": Recurrent,
    "norm": normalized,
}


def objective_of(model: nn.Module, kind: str) -> tuple[ClosureObjective, np.ndarray]:
    """Return the objective of a closure of each kind, and a point."""
    optimizer = torch.optim.SGD(model.parameters())
    packing = Packing(model.parameters())
    theta = packing.vector() + 0.1 * np.random.default_rng(1).standard_normal(packing.n)
    closures = {
        "with model": Closure(optimizer, model, scalar_loss),
        "plain": plain(optimizer, lambda: scalar_loss(model)),
    }
    return ClosureObjective(closures[kind], packing, has_gradient=True), theta


@pytest.fixture(params=["with model", "plain"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("name", MODELS)
def test_hessian_and_products_are_derivatives_of_the_gradient(name, kind):
    """The Hessian is the gradient's derivative by central differences, symmetric, and products are its own."""
    torch.manual_seed(0)
    objective, theta = objective_of(MODELS[name]().double(), kind)
    matrix = objective.hess(theta)
    np.testing.assert_array_equal(matrix, matrix.T)
    v = np.random.default_rng(2).standard_normal(theta.size)
    np.testing.assert_allclose(objective.hessp(theta, v), matrix @ v, atol=1e-10)
    step = 1e-6
    difference = (objective(theta + step * v)[1] - objective(theta - step * v)[1]) / (2 * step)
    np.testing.assert_allclose(matrix @ v, difference, atol=1e-6)


def test_float32_is_computed_in_float32_and_answered_in_float64():
    """The Hessian of a float32 model is that of float64 to 1e-5."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(FEATURES, 3), nn.Tanh())
    single, theta = objective_of(model.double(), "with model")
    exact = single.hess(theta)
    model = model.float()
    optimizer = torch.optim.SGD(model.parameters())
    x, y = (torch.as_tensor(part) for part in arrays())
    closure = Closure(optimizer, model, lambda m: nn.functional.cross_entropy(m(x.float()), y))
    found = ClosureObjective(closure, Packing(model.parameters()), has_gradient=True).hess(theta)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, exact, atol=1e-5)


def test_batches_are_small_enough_and_change_nothing(monkeypatch):
    """The Hessian is computed in batches whose kept tensors stay below a limit, one row at a time if need be."""
    torch.manual_seed(0)
    objective, theta = objective_of(convolution().double(), "with model")
    whole = objective.hess(theta)
    sizes: list[int] = []
    rows = second.GradientGraph._rows

    def noted(self, start: int, stop: int):
        sizes.append(stop - start)
        return rows(self, start, stop)

    monkeypatch.setattr(second.GradientGraph, "_rows", noted)
    for limit, largest in ((1 << 17, 2), (1, 1)):
        sizes.clear()
        monkeypatch.setattr(second, "BATCH_BYTES", limit)
        np.testing.assert_allclose(objective.hess(theta), whole, atol=1e-14)
        assert max(sizes) <= largest
        assert sum(sizes) == theta.size


class Unbatched(torch.autograd.Function):
    """The square, whose derivative's derivative torch cannot compute for several vectors at once."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return Unbatched.times(grad, x)

    @staticmethod
    def times(grad, x):
        # As code does that looks at values: refused where many vectors are computed at once.
        return 2 * x * grad if grad.detach().sum().item() < math.inf else grad


def test_operations_without_a_batching_rule_go_row_by_row():
    """Where torch cannot compute many products at once, the Hessian is computed by one after the other."""
    point = nn.Parameter(torch.tensor([1.0, 2.0], dtype=torch.float64))
    loss = (Unbatched.apply(point) ** 2).sum()
    graph = second.GradientGraph(loss, [point], Packing([point]).flat)
    with pytest.raises(RuntimeError):
        graph._back([torch.eye(2, dtype=torch.float64)], batched=True)
    np.testing.assert_allclose(graph.matrix(), np.diag([12.0, 48.0]))


def test_a_linear_loss_has_a_hessian_of_zeros():
    """A gradient without a graph is a constant."""
    point = nn.Parameter(torch.ones(3, dtype=torch.float64))
    graph = second.GradientGraph((2 * point).sum(), [point], Packing([point]).flat)
    np.testing.assert_array_equal(graph.matrix(), np.zeros((3, 3)))
    np.testing.assert_array_equal(graph.product(np.ones(3)), np.zeros(3))


def test_without_second_derivatives(kind):
    """An operation without one is named, with a way out; methods that need the gradient only work."""
    for method, works in (("BFGS", True), ("Newton-CG", False)):
        model = WithoutSecond(FEATURES, 3).double()
        optimizer = MinimizeWrapper(model.parameters(), {"method": method})
        of_model = Closure(optimizer, model, regularized)
        closure = of_model if kind == "with model" else plain(optimizer, partial(regularized, model))
        if works:
            optimizer.step(closure)
        else:
            with pytest.raises(InputError, match=r"no second derivative .* a method that needs the gradient only"):
                optimizer.step(closure)


@pytest.mark.parametrize("returned", ["item", "detached"])
def test_a_closure_whose_loss_has_no_graph_is_shown_another(returned):
    """For Hessians the error shows the closure to write; the gradient's methods need no graph of what is returned."""
    for method in ("BFGS", "trust-ncg"):
        model = line()
        optimizer = MinimizeWrapper(model.parameters(), {"method": method})

        def closure():
            optimizer.zero_grad()  # noqa: B023
            loss = regularized(model)  # noqa: B023
            loss.backward()
            return loss.item() if returned == "item" else loss.detach()

        if method == "BFGS":
            optimizer.step(closure)
        else:
            with pytest.raises(InputError, match=r"class Closure:\n    def __init__"):
                optimizer.step(closure)


def test_a_graph_is_kept_for_one_point(monkeypatch):
    """Newton-CG's products at one point share one graph, and a closure with a model is not called for it."""
    made, calls = [], []
    init = second.GradientGraph.__init__
    monkeypatch.setattr(second.GradientGraph, "__init__", lambda self, *a: (made.append(1), init(self, *a))[1])
    model = line()
    optimizer = MinimizeWrapper(model.parameters(), {"method": "Newton-CG"})
    closure = Closure(optimizer, model, regularized)

    def counted():
        calls.append(1)
        return closure()

    counted.model, counted.loss = model, regularized
    optimizer.step(counted)
    assert len(made) == optimizer.res.nit
    assert optimizer.res.nhev > 2 * len(made)
    assert len(calls) == optimizer.res.nfev + 1  # the first is made twice


def test_hessians_of_another_loss_than_the_gradients_are_refused(kind):
    """A gradient of several backward() calls, or one that is clipped, has no Hessian in the returned loss's graph."""
    model = line()

    def closure():
        model.zero_grad()
        parts = [regularized(model), regularized(model)]
        for part in parts:
            part.backward()
        return parts[0].detach() + parts[1]

    if kind == "with model":
        closure.model, closure.loss = model, regularized
    optimizer = MinimizeWrapper(model.parameters(), {"method": "Newton-CG"})
    with pytest.raises(
        InputError, match="the gradient that the closure leaves is not that of the loss that it returns"
    ):
        optimizer.step(closure)


def test_wrong_second_derivatives_of_an_operation_are_refused(kind):
    """Those of torch's weight_norm are wrong: a Hessian that is not symmetric is an error, not an answer."""
    torch.manual_seed(0)
    model = nn.utils.parametrizations.weight_norm(nn.Linear(FEATURES, 3)).double()
    optimizer = MinimizeWrapper(model.parameters(), {"method": "trust-krylov"})
    closures = {
        "with model": Closure(optimizer, model, scalar_loss),
        "plain": plain(optimizer, lambda: scalar_loss(model)),
    }
    with pytest.raises(InputError, match="Hessian is not symmetric: .*weight_norm"):
        optimizer.step(closures[kind])


def test_backward_by_another_name_is_shown_the_closure():
    """torch.autograd.backward frees the graph; the error shows what to write."""
    model = line()
    optimizer = MinimizeWrapper(model.parameters(), {"method": "Newton-CG"})

    def closure():
        loss = regularized(model)
        torch.autograd.backward(loss)
        return loss

    with pytest.raises(InputError, match=r"class Closure:"):
        optimizer.step(closure)


def test_a_loss_function_as_an_attribute_is_not_a_loss_of_the_model():
    """A closure that keeps nn.CrossEntropyLoss() as `loss` beside its model is a plain one."""
    model = line()
    optimizer = MinimizeWrapper(model.parameters(), {"method": "Newton-CG"})
    closure = plain(optimizer, lambda: regularized(model))
    closure.model, closure.loss = model, nn.CrossEntropyLoss()
    optimizer.step(closure)
    assert optimizer.res.success


def test_batchnorm_in_training_mode_is_a_function_of_the_parameters():
    """It normalizes by the batch, which is all the data; Hessians are those of that function, and it converges."""
    torch.manual_seed(0)
    model = normalized().double()
    x, y = (torch.as_tensor(part) for part in arrays())

    def loss(m):
        return nn.functional.cross_entropy(m(x), y) + 0.01 * sum((p**2).sum() for p in m.parameters())

    optimizer = MinimizeWrapper(model.parameters(), {"method": "trust-ncg"})
    optimizer.step(Closure(optimizer, model, loss))
    assert optimizer.res.success
    assert loss(model).item() == pytest.approx(optimizer.res.fun, rel=1e-12)
