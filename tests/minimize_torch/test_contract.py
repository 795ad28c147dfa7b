"""What any `torch.optim.Optimizer` does, and what code for it relies on."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from torch_models import Closure, line, regularized

from jobs.minimize.torch import MinimizeWrapper


def fitted(steps: int = 1, **arguments):
    model = line()
    optimizer = MinimizeWrapper(model.parameters(), {"method": "L-BFGS-B", **arguments})
    closure = Closure(optimizer, model, regularized)
    for _ in range(steps):
        optimizer.step(closure)
    return model, optimizer, closure


def test_step_returns_the_first_loss_and_keeps_the_result():
    """step returns the loss at the start, as torch's L-BFGS does, and `res` is SciPy's result at the end."""
    model = line()
    optimizer = MinimizeWrapper(model.parameters(), {"method": "BFGS"})
    assert optimizer.res is None
    start = regularized(model).item()
    returned = optimizer.step(Closure(optimizer, model, regularized))
    assert isinstance(returned, torch.Tensor)
    assert float(returned) == start
    assert optimizer.res.fun < start
    np.testing.assert_array_equal(optimizer.res.x, np.concatenate([p.detach().ravel() for p in model.parameters()]))


def test_a_second_step_goes_on_from_the_parameters():
    """Two steps of two iterations are better than one of them, and a step at the optimum changes next to nothing."""
    once, twice = (fitted(steps, options={"maxiter": 2})[1].res.fun for steps in (1, 2))
    assert twice < once
    _, optimizer, closure = fitted()
    optimum = optimizer.res.fun
    optimizer.step(closure)
    assert optimizer.res.fun == pytest.approx(optimum, rel=1e-9)
    assert optimizer.res.nit <= 1


def test_the_callers_arguments_are_not_changed():
    """The dict and its options are as they were, and later changes of them do not count."""
    options = {"maxiter": 3, "disp": False}
    given = {"method": "CG", "options": options}
    model = line()
    optimizer = MinimizeWrapper(model.parameters(), given)
    optimizer.step(Closure(optimizer, model, regularized))
    assert (given, options) == ({"method": "CG", "options": options}, {"maxiter": 3, "disp": False})
    options["maxiter"] = 1
    optimizer.step(Closure(optimizer, model, regularized))
    assert optimizer.res.nit > 1


def test_state_dict_round_trip():
    """It counts evaluations and iterations as torch's L-BFGS does, and goes by torch.save into another optimizer."""
    _, optimizer, _ = fitted(2, options={"maxiter": 2})
    saved = io.BytesIO()
    torch.save(optimizer.state_dict(), saved)
    saved.seek(0)
    other = MinimizeWrapper(line().parameters(), {"method": "BFGS"})
    other.load_state_dict(torch.load(saved))
    assert other.state_dict() == optimizer.state_dict()
    (state,) = optimizer.state_dict()["state"].values()
    assert state["n_iter"] == 4
    assert state["func_evals"] >= 6


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_copies_go_on(copied):
    """A deep copy of model and optimizer, or one by pickle, optimizes by itself."""
    model, optimizer, _ = fitted(options={"maxiter": 1})
    model_copy, optimizer_copy = copied((model, optimizer))
    before = optimizer.res.x.copy()
    optimizer_copy.step(Closure(optimizer_copy, model_copy, regularized))
    assert regularized(model_copy).item() < regularized(model).item()
    np.testing.assert_array_equal(np.concatenate([p.detach().ravel() for p in model.parameters()]), before)


def test_parameter_groups():
    """Groups, and one that is added later, are optimized together; the order of theta is theirs."""
    model = line()
    optimizer = MinimizeWrapper([{"params": [model.bias], "name": "bias"}], {"method": "BFGS"})
    optimizer.step(Closure(optimizer, model, regularized))
    assert float(model.weight.detach().abs().max()) == 0
    optimizer.add_param_group({"params": [model.weight], "lr": 0.1})
    optimizer.step(Closure(optimizer, model, regularized))
    assert optimizer.res.fun == pytest.approx(fitted(method="BFGS")[1].res.fun, rel=1e-6)
    np.testing.assert_array_equal(optimizer.res.x[:3], model.bias.detach().numpy())
    assert [group["lr"] for group in optimizer.param_groups] == [1.0, 0.1]


def test_zero_grad_and_hooks():
    """zero_grad drops gradients, and step's hooks are called before and after."""
    model, optimizer, closure = fitted(options={"maxiter": 1})
    assert all(parameter.grad is not None for parameter in model.parameters())
    optimizer.zero_grad()
    assert all(parameter.grad is None for parameter in model.parameters())
    calls: list[str] = []
    optimizer.register_step_pre_hook(lambda *_: calls.append("before"))
    optimizer.register_step_post_hook(lambda *_: calls.append("after"))
    optimizer.step(closure)
    assert calls == ["before", "after"]


@pytest.mark.parametrize(
    "make", [lambda o: torch.optim.lr_scheduler.StepLR(o, 1), torch.optim.lr_scheduler.ReduceLROnPlateau]
)
def test_learning_rate_schedulers_accept_it(make):
    """A scheduler in code that is written for any optimizer works; the learning rate has no use here."""
    model = line()
    optimizer = MinimizeWrapper(model.parameters(), {"method": "BFGS", "options": {"maxiter": 1}})
    scheduler = make(optimizer)
    loss = optimizer.step(Closure(optimizer, model, regularized))
    scheduler.step(*([loss] if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau) else []))
    assert optimizer.param_groups[0]["lr"] <= 1.0


def test_a_closure_that_forgets_zero_grad_works():
    """Gradients do not add up over evaluations."""
    model = line()
    optimizer = MinimizeWrapper(model.parameters(), {"method": "BFGS"})

    def closure() -> torch.Tensor:
        loss = regularized(model)
        loss.backward()
        return loss

    optimizer.step(closure)
    assert optimizer.res.fun == pytest.approx(fitted(method="BFGS")[1].res.fun, rel=1e-9)


class Interrupted(Exception):
    """Something that a closure raises."""


@pytest.mark.parametrize("method", ["L-BFGS-B", "trust-ncg", "COBYLA"])
def test_what_a_closure_raises_leaves_the_last_iterate(method):
    """The error is the closure's own, and the parameters are where the last iteration ended, not at a trial point."""
    model, iterates = line(), []
    options = {"method": method, "callback": lambda xk: iterates.append(np.array(xk))}
    optimizer = MinimizeWrapper(model.parameters(), options)
    inner, calls = Closure(optimizer, model, regularized), []

    def closure() -> torch.Tensor:
        calls.append(1)
        if len(iterates) == 3:
            raise Interrupted
        return inner()

    with pytest.raises(Interrupted):
        optimizer.step(closure)
    found = np.concatenate([p.detach().ravel() for p in model.parameters()])
    np.testing.assert_array_equal(found, iterates[-1])
    assert optimizer.res is None
