"""What a user may get wrong: each is an error that says what was given, what the rule is, and what to do."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn
from torch_models import FEATURES, Closure, arrays, line, mlp, plain, regularized

from jobs.errors import InputError, UserCodeError
from jobs.minimize.torch import (
    BasinHoppingWrapper,
    DifferentialEvolutionWrapper,
    DualAnnealingWrapper,
    MinimizeWrapper,
    SHGOWrapper,
)

BAD_ARGUMENTS = {
    "no dict": ("BFGS", "minimizer_args is str, but must be a dict"),
    "method": ({"method": "Newton-GC"}, "method is 'Newton-GC'.*Newton-CG"),
    "key": ({"methd": "BFGS"}, "'methd', which it does not take.*method"),
    "hess": ({"method": "BFGS", "hess": None}, "'hess', which it does not take.*derivatives come from the closure"),
    "option": ({"method": "BFGS", "options": {"maxitr": 3}}, "takes no option 'maxitr'.*maxiter"),
    "options": ({"method": "BFGS", "options": 3}, "options is int, but must be a dict"),
    "jac": ({"method": "BFGS", "jac": "2-point"}, "jac is '2-point', but must be True"),
    "jac needed": ({"method": "dogleg", "jac": False}, "dogleg needs the closure's gradient"),
    "callback": ({"method": "BFGS", "callback": 3}, "callback is 3, but must be a function"),
}


def one_line(error: pytest.ExceptionInfo) -> None:
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", BAD_ARGUMENTS)
def test_arguments(name):
    """They are refused when the optimizer is made, with the nearest right name."""
    arguments, text = BAD_ARGUMENTS[name]
    with pytest.raises(InputError, match=text) as error:
        MinimizeWrapper(line().parameters(), arguments)
    one_line(error)


AT_STEP = {
    "bounds": ({"method": "BFGS", "bounds": [(0, 1)] * 15}, "BFGS takes no bounds"),
    "number of bounds": ({"method": "L-BFGS-B", "bounds": [(0, 1)] * 3}, "must be .* 15 such pairs"),
    "constraints": (
        {"method": "BFGS", "constraints": {"type": "eq", "fun": sum}},
        "BFGS takes no constraints; .*SLSQP",
    ),
}


@pytest.mark.parametrize("name", AT_STEP)
def test_arguments_that_do_not_fit(name):
    """What the method does not take, or does not fit the parameters, is refused before the closure is called."""
    arguments, text = AT_STEP[name]
    optimizer, calls = MinimizeWrapper(line().parameters(), arguments), []
    with pytest.raises(InputError, match=text) as error:
        optimizer.step(lambda: calls.append(1))
    one_line(error)
    assert not calls


def parameters():
    shared = nn.Parameter(torch.zeros(3))
    twin = nn.Parameter(torch.zeros(3))
    twin.data = shared.data
    fixed = nn.Parameter(torch.zeros(3), requires_grad=False)
    return {
        "none": ([], "params is empty"),
        "fixed": ([fixed], "no parameter has requires_grad"),
        "integers": (
            [nn.Parameter(torch.zeros(3, dtype=torch.int64), requires_grad=False)],
            "is int64, but must be float32",
        ),
        "complex": ([nn.Parameter(torch.zeros(3, dtype=torch.complex64))], "is complex64, but must be float32"),
        "half": ([nn.Parameter(torch.zeros(3, dtype=torch.bfloat16))], "is bfloat16, but must be float32"),
        "meta": ([nn.Parameter(torch.zeros(3, device="meta"))], "parameter 0.*has no dense values"),
        "one memory": ([shared, twin], "parameters 0 and 1 share memory: tie them as one Parameter"),
        "expanded": ([nn.Parameter(torch.zeros(1).expand(3))], "parameter 0 has one number as several"),
        "overlapping": ([nn.Parameter(torch.zeros(9).unfold(0, 3, 1))], "parameter 0 has one number as several"),
    }


@pytest.mark.parametrize("name", parameters())
def test_parameters(name):
    """Parameters that cannot be optimized are refused when the optimizer is made."""
    given, text = parameters()[name]
    with pytest.raises(InputError, match=text) as error:
        MinimizeWrapper(given, {"method": "BFGS"})
    one_line(error)


def test_parameters_that_are_not_finite():
    """They are no start."""
    model = line()
    nn.init.constant_(model.bias, float("nan"))
    optimizer = MinimizeWrapper(model.parameters(), {"method": "BFGS"})
    with pytest.raises(InputError, match=r"parameter 1, of shape \(3,\), is not finite"):
        optimizer.step(Closure(optimizer, model, regularized))


def closures(model: nn.Module):
    def backward(loss):
        loss.backward()
        return loss

    def forgets():
        backward(regularized(model))

    def detached():
        with torch.no_grad():
            return regularized(model)

    def changes():
        with torch.no_grad():
            model.bias.clamp_(min=1)
        return backward(regularized(model))

    other = nn.Parameter(torch.ones(2))
    vector = lambda: model(torch.ones(2, FEATURES, dtype=torch.float64))  # noqa: E731
    return {
        "no function": (None, "closure is NoneType, but must be a function"),
        "no return": (forgets, "returned NoneType, but must return the loss: end it with `return loss`"),
        "vector": (vector, r"returned a tensor of shape \(2, 3\), but must return one number: reduce it"),
        "complex": (lambda: torch.ones((), dtype=torch.complex64), "returned a complex number"),
        "changes": (changes, r"changes the parameters that it is to evaluate \(clamp_"),
        "no backward": (lambda: regularized(model), "computed no gradient: call loss.backward"),
        "no graph": (detached, "computed without a graph"),
        "other parameters": (lambda: backward((other**2).sum()), "computed no gradient: call loss.backward"),
    }


@pytest.mark.parametrize("name", closures(line()))
def test_closures(name):
    """What a closure must do is said at its first evaluation, and the parameters are as they were."""
    model = line()
    closure, text = closures(model)[name]
    optimizer = MinimizeWrapper(model.parameters(), {"method": "BFGS"})
    with pytest.raises(InputError, match=text) as error:
        optimizer.step(closure)
    one_line(error)
    assert max(float(parameter.detach().abs().max()) for parameter in model.parameters()) == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite(value):
    """It is an error that says at which evaluation; the parameters are those of the last iteration."""
    model, calls = line(), []
    optimizer = MinimizeWrapper(model.parameters(), {"method": "BFGS"})

    def loss():
        calls.append(1)
        return regularized(model) * (value if len(calls) == 5 else 1)  # the first evaluation is made twice

    with pytest.raises(
        UserCodeError, match=rf"the loss of evaluation 4 is {value}: SciPy's methods need finite ones"
    ) as error:
        optimizer.step(plain(optimizer, loss))
    one_line(error)
    assert torch.isfinite(model.weight).all()


def test_a_gradient_that_is_not_finite():
    """The square root's gradient at zero is infinite."""
    point = nn.Parameter(torch.zeros(2))
    optimizer = MinimizeWrapper([point], {"method": "BFGS"})
    with pytest.raises(UserCodeError, match="the gradient of evaluation 1 is inf"):
        optimizer.step(plain(optimizer, lambda: point.sqrt().sum()))


def test_an_infinite_loss_is_a_wall_for_methods_without_a_gradient():
    """Nelder-Mead does not enter where the loss is infinite; NaN is an error."""
    point = nn.Parameter(torch.tensor([1.0, 1.0], dtype=torch.float64))
    for outside, fine in ((float("inf"), True), (float("nan"), False)):
        optimizer = MinimizeWrapper([point], {"method": "Nelder-Mead"})
        wall = lambda: ((point - 2) ** 2).sum() if float(point.detach().max()) < 1.5 else torch.tensor(outside)  # noqa: B023, E731
        if fine:
            optimizer.step(wall)
            assert float(point.detach().max()) < 1.5
        else:
            with pytest.raises(UserCodeError, match="is nan"):
                optimizer.step(wall)


def test_modes():
    """Dropout that is on, BatchNorm layers of both modes, and random losses of any kind are refused."""
    model = mlp().double()
    x, y = (torch.as_tensor(part) for part in arrays())
    loss = lambda m: nn.functional.cross_entropy(m(x), y)  # noqa: E731
    optimizer = MinimizeWrapper(model.parameters(), {"method": "BFGS", "options": {"maxiter": 2}})
    with pytest.raises(InputError, match=r"dropout is on in '3': .*call model.eval\(\) first") as error:
        optimizer.step(Closure(optimizer, model, loss))
    one_line(error)
    with pytest.raises(InputError, match=r"the closure's loss is random: .* model.eval\(\) turns dropout off") as error:
        optimizer.step(plain(optimizer, lambda: loss(model)))
    one_line(error)
    both = nn.Sequential(nn.Linear(FEATURES, 3), nn.BatchNorm1d(3), nn.BatchNorm1d(3)).double()
    both[2].eval()
    with pytest.raises(InputError, match="'1' is in training mode and '2' in evaluation mode") as error:
        optimizer.step(Closure(optimizer, both, loss))
    one_line(error)
    model.eval()
    optimizer.step(Closure(optimizer, model, loss))


def test_a_loss_of_changing_data_is_random():
    """Whatever makes two losses at the start differ is found: batches in turn, or another library's random numbers."""
    model = line()
    x, y = (torch.as_tensor(part) for part in arrays())
    batches = itertools.cycle([slice(0, 30), slice(30, 60)])
    optimizer = MinimizeWrapper(model.parameters(), {"method": "L-BFGS-B"})

    def loss():
        rows = next(batches)
        return nn.functional.cross_entropy(model(x[rows]), y[rows])

    with pytest.raises(InputError, match="the closure's loss is random"):
        optimizer.step(plain(optimizer, loss))


def test_a_loader_that_draws_random_numbers_is_no_random_loss():
    """Iterating over a DataLoader draws a seed each time, which changes no loss."""
    model = line()
    dataset = torch.utils.data.TensorDataset(*(torch.as_tensor(part) for part in arrays()))
    loader = torch.utils.data.DataLoader(dataset, batch_size=20)
    optimizer = MinimizeWrapper(model.parameters(), {"method": "BFGS", "options": {"maxiter": 3}})

    def closure():
        optimizer.zero_grad()
        total = 0.0
        for x, y in loader:
            loss = nn.functional.cross_entropy(model(x), y, reduction="sum")
            loss.backward()
            total += loss.detach()
        return total

    optimizer.step(closure)
    assert optimizer.res.nit == 3


SEARCHES = {
    "differential evolution": (DifferentialEvolutionWrapper, "de_kwargs"),
    "SHGO": (lambda p, k: SHGOWrapper(p, {"method": "SLSQP"}, k), "shgo_kwargs"),
    "annealing": (lambda p, k: DualAnnealingWrapper(p, {"method": "L-BFGS-B"}, k), "da_kwargs"),
    "basins": (lambda p, k: BasinHoppingWrapper(p, {"method": "CG"}, k), "basinhopping_kwargs"),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_arguments_of_searches(name):
    """Unknown names are refused with the nearest right one, and so is a search without bounds that needs them."""
    make, noun = SEARCHES[name]
    with pytest.raises(InputError, match=f"{noun} is list, but must be a dict"):
        make(line().parameters(), [])
    with pytest.raises(InputError, match=f"{noun} has 'callbck', which it does not take.*callback"):
        make(line().parameters(), {"callbck": None})
    if name != "basins":
        point = nn.Parameter(torch.zeros(2, dtype=torch.float64))
        optimizer = make([point], {"bounds": [(-1, 1)] * 3})
        closure = plain(optimizer, lambda: torch.sum(point**2))
        with pytest.raises(InputError, match="bounds are of 3 numbers, but the parameters have 2"):
            optimizer.step(closure)
        with pytest.raises(InputError, match=f"{noun} has no 'bounds', but must say where to search"):
            make(line().parameters(), {})
