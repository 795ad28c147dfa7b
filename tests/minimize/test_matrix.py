"""Every SciPy method on every problem: success, plain SciPy's optimum, and equal bits for any number of workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
import scipy.optimize
from distributed import Client
from problems import MATRIX, Case, ValueOnly

from jobs import connect
from jobs.minimize import Objective, minimize
from jobs.minimize.optimize.methods import METHODS

OPTIONS: dict[str, dict[str, Any]] = {"COBYLA": {"tol": 1e-4}, "Nelder-Mead": {"adaptive": True}}
ROUGH = {"Nelder-Mead": 1e-3, "Powell": 1e-3, "COBYLA": 1e-2}
"""How far from the optimum the default tolerances of some methods leave them; others come closer than 1e-6."""


@cache
def _optimum(name: str) -> float:
    """Return the least loss, by plain SciPy on the undivided data."""
    case = MATRIX[name]
    return float(_plain(case, "BFGS", {"gtol": 1e-8}).fun)


def _plain(case: Case, method: str, options: dict[str, Any]) -> Any:
    problem = case.problem
    data = problem.load(0, problem.rows)
    mask = problem.penalized() if hasattr(problem, "penalized") else np.ones(problem.x0().size)

    def fun(theta: np.ndarray) -> tuple[float, np.ndarray]:
        loss, grad = problem.value_and_grad(theta, data)
        return loss + case.l2 / 2 * np.sum(mask * theta**2), grad + case.l2 * mask * theta

    return scipy.optimize.minimize(fun, problem.x0(), jac=True, method=method, options=options)


@cache
def _serial(name: str, method: str) -> Any:
    case = MATRIX[name]
    with Objective(None, case.problem, l2=case.l2) as objective:
        return minimize(objective, method=method, options=OPTIONS.get(method))


@pytest.mark.filterwarnings("ignore:delta_grad == 0.0:UserWarning")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", MATRIX)
def test_serial_reaches_the_optimum_of_plain_scipy(name: str, method: str) -> None:
    """A method succeeds, in one process, at the optimum that plain SciPy finds on the undivided data."""
    result = _serial(name, method)
    assert result.success, result.message
    assert result.fun == pytest.approx(_optimum(name), rel=ROUGH.get(method, 1e-6), abs=ROUGH.get(method, 1e-6))


@pytest.mark.filterwarnings("ignore:delta_grad == 0.0:UserWarning")
@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", MATRIX)
def test_bits_do_not_depend_on_workers(
    name: str, method: str, workers: int, client_of: Callable[[int], Client]
) -> None:
    """On 1, 2 and 3 workers a method takes the same steps to the same point as in one process, to the bit."""
    case, serial = MATRIX[name], _serial(name, method)
    with Objective(client_of(workers), case.problem, l2=case.l2) as objective:
        result = minimize(objective, method=method, options=OPTIONS.get(method))
    assert result.success, result.message
    assert result.x.tobytes() == serial.x.tobytes()
    assert (result.fun, result.nfev, result.message) == (serial.fun, serial.nfev, serial.message)


@pytest.mark.parametrize("name", MATRIX)
def test_bits_do_not_depend_on_threads(name: str, threaded: Client) -> None:
    """Workers of three threads each, which take blocks in no fixed order, give the serial bits; Hessians too."""
    case = MATRIX[name]
    with (
        Objective(threaded, case.problem, l2=case.l2) as objective,
        Objective(None, case.problem, l2=case.l2) as serial,
    ):
        for method in ("L-BFGS-B", "trust-ncg", "dogleg"):
            assert minimize(objective, method=method).x.tobytes() == _serial(name, method).x.tobytes()
        theta = np.linspace(-1, 1, objective.n)
        assert objective.hess(theta).tobytes() == serial.hess(theta).tobytes()


@pytest.fixture(scope="module")
def threaded() -> Iterator[Client]:
    """Yield a client of two workers with three threads each."""
    with connect(workers=2, threads=3) as client:
        yield client


@pytest.mark.parametrize(
    "method", [method.name for method in METHODS.values() if method.gradient in ("estimated", "unused")]
)
def test_problems_without_a_gradient(method: str, client: Client) -> None:
    """Methods that need no gradient, or estimate it, minimize a problem that has none; serial bits."""
    results = []
    for place in (None, client):
        with Objective(place, ValueOnly()) as objective:
            results.append(minimize(objective, method=method, options=OPTIONS.get(method)))
    assert results[0].success
    assert results[0].fun == pytest.approx(_optimum("least-squares"), rel=1e-3)
    assert results[0].x.tobytes() == results[1].x.tobytes()


def test_dogleg_says_that_it_shifted_the_hessian() -> None:
    """Softmax's Hessian is singular: the message says by how much it was shifted."""
    assert "shifted by up to" in _serial("softmax", "dogleg").message
    assert "shifted" not in _serial("least-squares", "dogleg").message
