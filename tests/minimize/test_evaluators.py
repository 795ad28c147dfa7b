"""What holds for every evaluator: in this process, by messages to the workers, and by Dask's futures."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client
from faulty import Bad, Counted, Watched, Wide, alive
from leaving import RAISED, Leaving
from problems import MATRIX, LeastSquares, Logistic, ValueOnly
from waiting import until

from jobs.errors import ClusterError, Stopped, UserCodeError
from jobs.minimize import Objective
from jobs.minimize.evaluate.request import Request, answer
from jobs.minimize.problems.base import block_rows
from jobs.sharding.blocks import Blocks, TreeSum

HERE = Path(__file__).parent
Make = Callable[..., Objective]


def _expected(problem: Any, request: Request) -> bytes:
    """Return the canonical sum's bits, block after block, without any evaluator."""
    blocks = Blocks(problem.rows, block_rows(problem))
    total = TreeSum(len(blocks))
    for block in range(len(blocks)):
        data = problem.load(*blocks.rows_of(block))
        total.add(0, block, answer(problem, request, data, f"block {block}", "fail"))
    return total.total().tobytes()


@pytest.mark.parametrize("kind", ["value_and_grad", "hessp", "hess"])
@pytest.mark.parametrize("name", MATRIX)
def test_the_bits_are_those_of_the_canonical_sum(name: str, kind: Any, make: Make) -> None:
    """Each kind of request gives, to the bit, the sum of all blocks in the one tree over their numbers."""
    problem = MATRIX[name].problem
    theta, direction = np.random.default_rng(5).standard_normal((2, problem.x0().size))
    request = Request(kind, theta[None], direction if kind == "hessp" else None)
    with make(problem) as objective:
        assert objective.sum(request).tobytes() == _expected(problem, request)


@pytest.mark.parametrize("problem", [ValueOnly(), LeastSquares()])
def test_many_points_are_one_evaluation(problem: Any, make: Make) -> None:
    """The points of a finite difference are evaluated together, each with the bits it has alone."""
    thetas = np.random.default_rng(6).standard_normal((7, 3))
    with make(problem) as objective:
        losses = objective.map(objective.loss, thetas)
        assert objective.sum.timings.evaluations == 1
        assert losses == [objective.loss(theta) for theta in thetas]


def test_long_sums(make: Make) -> None:
    """Sums of millions of numbers, which are added in other ways than short ones, have the same bits."""
    problem = Wide()
    theta = np.linspace(-1, 1, problem.n)
    request = Request("value_and_grad", theta[None])
    with make(problem) as objective:
        assert objective.sum(request).tobytes() == _expected(problem, request)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_any_number_of_workers(workers: int, evaluator: str, client_of: Callable[[int], Client]) -> None:
    """One, two or three workers give the bits of this process."""
    theta = np.random.default_rng(7).standard_normal(3)
    with (
        Objective(client_of(workers), Logistic(), evaluator=evaluator) as objective,
        Objective(None, Logistic()) as one,
    ):
        (loss, grad), (wanted, gradient) = objective(theta), one(theta)
        assert (loss, grad.tobytes()) == (wanted, gradient.tobytes())
        assert objective.sum.workers == workers


BLOCK = r"block 3 \(rows 24 to 31\) of the shard on (tcp://|this process)"


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("nan", f"the loss on {BLOCK}.* is nan; on_nan inf"),
        ("gradient nan", f"the gradient on {BLOCK}.* is nan"),
        ("raise", f"value_and_grad on {BLOCK}.*: the user's code raised ZeroDivisionError: a bug of mine"),
        ("load", f"load of {BLOCK}.*: the user's code raised OSError: disk on fire"),
        ("shape", rf"the gradient of value_and_grad on {BLOCK}.* has shape \(2,\), but must have \(3,\)"),
        ("not a pair", f"value_and_grad on {BLOCK}.* returned float64, but must return"),
        ("no number", f"the loss on {BLOCK}.* is str, but must be one number"),
        ("text", f"the gradient of value_and_grad on {BLOCK}.* is str, but must be an array"),
    ],
)
def test_a_bad_block_is_named(how: str, message: str, make: Make) -> None:
    """What a problem does wrong is one line that names block, rows and worker."""
    with make(Bad(how=how)) as objective, pytest.raises(UserCodeError, match=message) as caught:
        objective(np.ones(objective.n))
    assert "\n" not in str(caught.value)


def test_the_users_traceback_comes_along(make: Make) -> None:
    """The details of an error in the user's code are its traceback where it ran."""
    with make(Bad(how="raise")) as objective, pytest.raises(UserCodeError) as caught:
        objective(np.ones(objective.n))
    assert "faulty.py" in caught.value.details


def test_after_an_error_the_next_evaluation_is_right(make: Make) -> None:
    """A point where the user's code fails does not spoil those that come after it."""
    theta = np.full(3, 0.25)
    request = Request("value_and_grad", theta[None])
    with make(Bad(how="nan")) as objective:
        with pytest.raises(UserCodeError):
            objective(np.ones(3))
        loss, grad = objective(theta)
        assert np.array([loss, *grad]).tobytes() == _expected(LeastSquares(), request)


def test_nan_may_count_as_infinite(make: Make) -> None:
    """With `on_nan` 'inf' a block whose loss is NaN makes the sum infinite, with a finite gradient."""
    with make(Bad(how="nan"), on_nan="inf") as objective:
        packed = objective.sum(Request("value_and_grad", np.ones((1, 3))))
        assert np.isposinf(packed[0])
        assert np.isfinite(packed[1:]).all()


@pytest.mark.parametrize("what", RAISED)
@pytest.mark.parametrize("where", ["load", "value_and_grad"])
def test_code_that_leaves_is_the_users_error_at_once(where: str, what: str, make: Make, client: Client) -> None:
    """Whatever a block's code raises, `SystemExit` too, is the user's error of that block, and workers live on."""
    workers = set(client.scheduler_info()["workers"])
    with pytest.raises(UserCodeError, match=rf"{where}.* block \d+ .*: the user's code raised {what}"):
        with make(Leaving(where=where, what=what)) as objective:
            objective(objective.x0())
    assert set(client.scheduler_info()["workers"]) == workers


class Far(Leaving):
    """A problem whose data cannot be had."""

    def load(self, start: int, stop: int) -> Any:
        raise ClusterError("the store failed")


def test_a_storage_that_fails_is_no_fault_of_the_users(make: Make) -> None:
    """What a data set raises as a fault of the storage stays one, to be tried again."""
    with make(Far()) as objective, pytest.raises(ClusterError, match="the store failed"):
        objective(objective.x0())


def test_poll_ends_an_evaluation(make: Make) -> None:
    """What `poll` raises, as for a signal or a deadline, ends the evaluation, and the next one may go on."""
    stop: list[bool] = []

    def poll() -> None:
        if stop:
            raise Stopped("enough")

    with make(LeastSquares(), poll=poll) as objective:
        expected = objective.loss(np.zeros(3))
        stop.append(True)
        with pytest.raises(Stopped):
            objective(np.ones(3))
        stop.clear()
        objective(np.ones(3))
        assert objective.loss(np.zeros(3)) == expected


def test_poll_is_called_while_workers_compute(evaluator: str, client: Client, tmp_path: Path) -> None:
    """At least twice a second while an evaluation runs."""
    times: list[float] = []
    (tmp_path / "slow").touch()
    with Objective(
        client, Watched(folder=str(tmp_path)), evaluator=evaluator, poll=lambda: times.append(time.monotonic())
    ) as objective:
        times.clear()
        objective(np.ones(3))
        assert len(times) >= 2 * objective.sum.timings.compute


def test_timings(make: Make) -> None:
    """Evaluations, seconds, computing, loading and bytes are counted, and are parts of the whole."""
    with make(LeastSquares(rows=500, block_rows=2)) as objective:
        for number in range(3):
            objective(np.full(3, float(number)))
        timings = objective.sum.timings
        assert timings.evaluations == 3
        assert 0 < timings.compute < timings.seconds
        assert 0 < timings.load < timings.seconds
        assert timings.lost_workers == 0
        loaded = timings.load
        objective(np.ones(3) * 9)
        assert objective.sum.timings.load == loaded  # once, and not again
        if objective.sum.workers:
            assert timings.bytes_sent >= 4 * 8 * 3
            assert timings.bytes_received >= 4 * 8 * 4


def test_close_lets_the_data_go(make: Make, client: Client) -> None:
    """Data stay between evaluations, and go when the objective is closed, on workers as well."""

    def held() -> int:
        return alive() + sum(client.run(alive).values())

    with make(Counted()) as objective:
        assert held() == 0
        for number in range(3):
            objective(np.full(3, float(number)))
            assert held() == len(Blocks(97, 8))
    until(lambda: held() == 0)
