"""SciPy's global optimizers on functions of many local minima, whose global one is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from jobs.minimize.torch import BasinHoppingWrapper, DifferentialEvolutionWrapper, DualAnnealingWrapper, SHGOWrapper

BOUNDS = [(-5.12, 5.12)] * 2


def ackley(x: torch.Tensor) -> torch.Tensor:
    """Return Ackley's function, 0 at 0 (Ackley, A Connectionist Machine for Genetic Hillclimbing, 1987)."""
    # The root's derivative at 0 is infinite: the optimum is one point off.
    root = torch.sqrt((x**2).mean() + 1e-30)
    return -20 * torch.exp(-0.2 * root) - torch.exp(torch.cos(2 * math.pi * x).mean()) + 20 + math.e


def rastrigin(x: torch.Tensor) -> torch.Tensor:
    """Return Rastrigin's function, 0 at 0 (Rastrigin, Systems of Extremal Control, 1974)."""
    return (x**2 - 10 * torch.cos(2 * math.pi * x) + 10).sum()


WRAPPERS = {
    "basin hopping": lambda p: BasinHoppingWrapper(
        p, {"method": "L-BFGS-B"}, {"niter": 200, "rng": 1, "stepsize": 1.0}
    ),
    "differential evolution": lambda p: DifferentialEvolutionWrapper(p, {"bounds": BOUNDS, "rng": 1}),
    "SHGO": lambda p: SHGOWrapper(p, {"method": "SLSQP"}, {"bounds": BOUNDS, "n": 100, "sampling_method": "sobol"}),
    "dual annealing": lambda p: DualAnnealingWrapper(p, {"method": "L-BFGS-B"}, {"bounds": BOUNDS, "rng": 1}),
    "annealing without gradients": lambda p: DualAnnealingWrapper(
        p,
        {"method": "Nelder-Mead", "jac": False, "options": {"xatol": 1e-8, "fatol": 1e-8}},
        {"bounds": BOUNDS, "rng": 1, "maxiter": 300},
    ),
}


@pytest.mark.parametrize("function", [ackley, rastrigin], ids=lambda function: function.__name__)
@pytest.mark.parametrize("name", WRAPPERS)
def test_the_global_minimum_is_found(name, function):
    """From a point with a local minimum nearby, the parameters end at 0, and `res` is SciPy's result."""
    point = nn.Parameter(torch.tensor([3.2, -2.1], dtype=torch.float64))
    optimizer = WRAPPERS[name]([point])

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = function(point)
        if name != "differential evolution":  # which needs no gradient
            loss.backward()
        return loss

    first = optimizer.step(closure)
    assert optimizer.res.fun < 1e-4 < float(first)
    assert float(point.detach().abs().max()) < 1e-4
    assert function(point.detach()).item() == pytest.approx(optimizer.res.fun, abs=1e-12)


def test_what_a_closure_raises_leaves_the_best_point():
    """A search that is ended by an error leaves the best point that it has seen."""
    point = nn.Parameter(torch.tensor([3.2, -2.1], dtype=torch.float64))
    optimizer = DifferentialEvolutionWrapper([point], {"bounds": BOUNDS, "rng": 1})
    losses: list[float] = []

    def closure() -> torch.Tensor:
        if len(losses) == 100:
            raise KeyboardInterrupt
        losses.append(float(rastrigin(point.detach())))
        return rastrigin(point)

    with pytest.raises(KeyboardInterrupt):
        optimizer.step(closure)
    assert float(rastrigin(point.detach())) == min(losses)


@pytest.mark.parametrize("name", ["SHGO", "dual annealing"])
def test_local_searches_stay_within_the_bounds(name):
    """With the bounds given once, the optimum on their edge is found."""
    point = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    make = {"SHGO": SHGOWrapper, "dual annealing": DualAnnealingWrapper}[name]
    more = {"rng": 1, "maxiter": 20} if name == "dual annealing" else {}
    optimizer = make([point], {}, {"bounds": [(-1, 1)] * 2, **more})

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = ((point - torch.tensor([3.0, -2.0])) ** 2).sum()
        loss.backward()
        return loss

    assert float(optimizer.step(closure)) == 13
    assert [round(value, 6) for value in point.tolist()] == [1, -1]


@pytest.mark.parametrize("name", ["differential evolution", "SHGO", "dual annealing"])
def test_a_good_start_is_not_lost(name):
    """A start within the bounds counts: a search that finds nothing better ends there."""
    keywords = {"bounds": [(-5, 5)] * 4}
    make = {
        "differential evolution": lambda p: DifferentialEvolutionWrapper(
            p, {**keywords, "maxiter": 1, "rng": 1, "polish": False}
        ),
        "SHGO": lambda p: SHGOWrapper(p, {"method": "Nelder-Mead", "options": {"maxiter": 2}}, {**keywords, "n": 8}),
        "dual annealing": lambda p: DualAnnealingWrapper(
            p, {}, {**keywords, "maxiter": 1, "rng": 1, "no_local_search": True}
        ),
    }[name]
    point = nn.Parameter(torch.full((4,), 0.01, dtype=torch.float64))
    optimizer = make([point])
    first = optimizer.step(lambda: backward(rastrigin(point)))
    assert optimizer.res.fun <= float(first) == pytest.approx(4 * 0.01984, rel=0.01)


def backward(loss: torch.Tensor) -> torch.Tensor:
    """Return a loss after its backward()."""
    loss.backward()
    return loss
