"""The objective: SciPy's plain callables on a cluster, one pass over the data for each theta."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from distributed import Client
from faulty import Wide
from problems import MATRIX, LeastSquares, Logistic, SmallSoftmax, ValueOnly
from scipy.optimize import OptimizeResult, approx_fprime, fmin_l_bfgs_b, minimize

import jobs.minimize
from jobs.errors import DataError, InputError
from jobs.minimize import Objective


def test_fmin_l_bfgs_b_takes_it_as_it_is(client: Client) -> None:
    """The example of the README: SciPy's oldest interface, called with an objective, gives the serial bits."""
    with Objective(client, Logistic()) as objective, Objective(None, Logistic()) as serial:
        theta, loss, info = fmin_l_bfgs_b(objective, objective.x0())
        expected = fmin_l_bfgs_b(serial, serial.x0())
    assert info["warnflag"] == 0
    assert theta.tobytes() == expected[0].tobytes()
    assert loss == expected[1]


def test_loss_and_gradient_apart_cost_one_pass(client: Client) -> None:
    """`fmin_l_bfgs_b(loss, x0, fprime=grad)` asks twice for each theta and pays once."""
    with Objective(client, Logistic()) as objective:
        *_, info = fmin_l_bfgs_b(objective.loss, objective.x0(), fprime=objective.grad)
        assert objective.sum.timings.evaluations == info["funcalls"]


def test_the_memo_does_not_see_changes_of_the_callers_array(client: Client) -> None:
    """SciPy writes into the vectors it passes and gets; neither changes what is remembered."""
    with Objective(client, Logistic()) as objective:
        theta = objective.x0()
        grad = objective.grad(theta)
        expected = grad.copy()
        grad[:] = 7.0
        assert (objective.grad(theta) == expected).all()
        theta[:] = 1.0
        assert not (objective.grad(theta) == expected).all()
        assert (objective.grad(objective.x0()) == expected).all()


@pytest.mark.parametrize("l2", [0.0, 0.7])
@pytest.mark.parametrize("name", MATRIX)
def test_derivatives_agree_with_finite_differences(name: str, l2: float, client: Client) -> None:
    """Gradient, Hessian product and Hessian, with L2, are those of the loss."""
    with Objective(client, MATRIX[name].problem, l2=l2) as objective:
        generator = np.random.default_rng(3)
        theta, v = generator.standard_normal((2, objective.n))
        assert objective.grad(theta) == pytest.approx(approx_fprime(theta, objective.loss, 1e-7), rel=1e-4, abs=1e-4)
        step = 1e-5 * v
        product = (objective.grad(theta + step) - objective.grad(theta - step)) / 2e-5
        assert objective.hessp(theta, v) == pytest.approx(product, rel=1e-5, abs=1e-5)
        assert objective.hess(theta) @ v == pytest.approx(objective.hessp(theta, v), rel=1e-9, abs=1e-9)


def test_l2_leaves_out_what_a_problem_does_not_penalize() -> None:
    """Softmax's biases are free of L2."""
    problem = SmallSoftmax()
    theta = np.arange(1.0, problem.x0().size + 1)
    mask = problem.penalized()
    with Objective(None, problem) as plain, Objective(None, problem, l2=2.0) as penalized:
        assert penalized.loss(theta) - plain.loss(theta) == pytest.approx(np.sum(theta[mask] ** 2))
        assert (penalized.grad(theta) - plain.grad(theta))[~mask] == pytest.approx(0)


def test_finite_differences_are_one_round_trip(client: Client) -> None:
    """The n + 1 points of a gradient's estimate are evaluated together."""
    with Objective(client, ValueOnly()) as objective:
        result = minimize(objective.loss, objective.x0(), method="BFGS", options={"workers": objective.map})
        assert result.success
        assert objective.sum.timings.evaluations == result.nfev - (objective.n - 1) * result.njev


def test_large_sums_come_back_as_one_vector(client_of: Callable[[int], Client]) -> None:
    """Above the limit the driver receives one vector, whatever the number of workers, and the bits stay."""
    with Objective(client_of(3), Wide()) as objective, Objective(None, Wide()) as serial:
        theta = np.linspace(-1, 1, objective.n)
        loss, grad = objective(theta)
        assert objective.sum.timings.bytes_received == 8 * (1 + objective.n)
        assert (loss, grad.tobytes()) == (serial(theta)[0], serial(theta)[1].tobytes())


def test_theta_goes_once_to_each_worker(client: Client) -> None:
    """An evaluation sends the vector once for each worker, however many blocks that holds."""
    with Objective(client, LeastSquares(rows=500, block_rows=2)) as objective:
        objective(objective.x0())
        assert objective.sum.timings.bytes_sent == 2 * 8 * objective.n


@pytest.mark.parametrize("method", ["L-BFGS-B", "BFGS", "CG", "trust-ncg", "Nelder-Mead", "TNC", "SLSQP"])
def test_on_nan_inf_lets_the_search_back_off(method: str) -> None:
    """With `on_nan` 'inf' a method goes around a region of NaN and reaches the optimum on its border or inside."""
    losses: list[float] = []
    with Objective(None, Hole(), on_nan="inf") as objective:
        objective.on_evaluation = lambda _theta, loss, _grad, _seconds: losses.append(loss)
        result: OptimizeResult = jobs.minimize.minimize(objective, method=method)
    assert np.inf in losses
    assert result.x == pytest.approx([1.0, 1.0], abs=1e-3)


class Hole(LeastSquares):
    """A quadratic whose first full step lands where it is NaN."""

    def x0(self) -> np.ndarray:
        return np.array([3.0, 40.0])

    def load(self, start: int, stop: int) -> int:
        return stop - start

    def value_and_grad(self, theta: np.ndarray, rows: int) -> tuple[float, np.ndarray]:
        with np.errstate(invalid="ignore", divide="ignore"):
            return rows * float(np.sum(theta - np.log(theta))), rows * (1 - 1 / theta)

    def hessp(self, theta: np.ndarray, v: np.ndarray, rows: int) -> np.ndarray:
        return rows * v / theta**2


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (object(), "problem object has no 'rows'"),
        (type("P", (), {"rows": 3, "x0": None, "load": None})(), "neither value_and_grad"),
        (LeastSquares(rows=0), "problem.rows is 0, but must be a positive integer"),
        (LeastSquares(block_rows=0), "problem.block_rows is 0"),
        (LeastSquares(rows=2.5), "problem.rows is 2.5"),  # type: ignore[arg-type]
        (type("P", (LeastSquares,), {"x0": lambda _: [[1.0]]})(), r"problem.x0\(\) has shape \(1, 1\)"),
        (
            type("P", (LeastSquares,), {"x0": lambda _: [1.0, np.nan]})(),
            r"problem.x0\(\) is not finite: entry 1 is nan",
        ),
        (type("P", (LeastSquares,), {"x0": lambda _: "abc"})(), r"problem.x0\(\) is str, but must be a vector"),
        ("my_model", "problem is 'my_model', but must be 'module:function'"),
        ("no_such_module:problem", "problem no_such_module:problem: cannot import it"),
        ("problems:nothing", "problem problems:nothing: module 'problems' has no 'nothing'"),
    ],
)
def test_problems_that_break_the_contract(problem: Any, message: str) -> None:
    """A problem is checked before any work begins."""
    with pytest.raises(InputError, match=message):
        Objective(None, problem)


def test_a_problem_must_not_carry_its_data(client: Client) -> None:
    """An object of many megabytes is refused: shards are loaded by the workers."""
    problem = LeastSquares()
    object.__setattr__(problem, "data", np.zeros(2_000_000))
    with pytest.raises(InputError, match=r"problem is 16 MB when pickled.*load\(start, stop\)"):
        Objective(client, problem)


def test_a_factory_that_workers_cannot_import(client: Client, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that only the driver has is told before work begins."""
    (tmp_path / "only_here.py").write_text("from problems import LeastSquares as problem\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match="only_here:problem: cannot import it .*on the Python path of the driver and"):
        Objective(client, "only_here:problem")


def test_theta_of_another_size(client: Client) -> None:
    """A theta of the wrong length is refused before it travels."""
    with Objective(client, LeastSquares()) as objective, pytest.raises(InputError, match=r"theta has shape \(4,\)"):
        objective(np.zeros(4))


def test_data_errors_keep_their_kind(client: Client) -> None:
    """A DataError of a problem's load arrives as one, so that the exit code is 2."""
    with Objective(client, Truncated()) as objective, pytest.raises(DataError, match="short file"):
        objective(objective.x0())


class Truncated(LeastSquares):
    def load(self, start: int, stop: int) -> Any:
        raise DataError("short file")


def test_it_is_shown_in_a_line() -> None:
    """An objective in a shell says of what it is."""
    with Objective(None, LeastSquares()) as objective:
        assert repr(objective) == "<Objective of LeastSquares: 3 parameters, 97 rows, in this process>"
