"""Workers that die, hang, join or come back in mid-run: no evaluation is lost, and no bit changes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import dask
import numpy as np
import pytest
from distributed import Client, LocalCluster
from faulty import Watched
from waiting import until
from watching import frozen, serial

from jobs import connect
from jobs.cluster import membership, plugin
from jobs.cluster.local import local_cluster
from jobs.errors import ClusterError, Stopped
from jobs.minimize import Objective
from jobs.minimize.evaluate.by_messages import distributed
from jobs.minimize.problems.base import block_rows
from jobs.sharding.blocks import Blocks


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    """Yield a cluster of three workers that a test may break."""
    with dask.config.set({"distributed.scheduler.worker-ttl": "10s"}), local_cluster(3, 1) as cluster:
        yield cluster


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Client]:
    """Yield its client."""
    with Client(cluster) as client:
        client.wait_for_workers(3)
        yield client


@pytest.fixture(params=["messages", "futures"])
def evaluator(request: pytest.FixtureRequest) -> str:
    """Return each way to ask workers."""
    return str(request.param)


def _processes(folder: Path, kind: str) -> set[int]:
    return {int(path.name.split("-")[-1]) for path in folder.glob(f"{kind}-*")}


@pytest.mark.parametrize("victims", [1, 3])
def test_workers_killed_in_mid_evaluation(victims: int, client: Client, tmp_path: Path, evaluator: str) -> None:
    """kill -9 of one worker, or of all, while they compute: the evaluation ends with the serial bits."""
    problem = Watched(folder=str(tmp_path))
    theta = np.ones(3)
    expected = serial(problem, theta)
    with Objective(client, problem, evaluator=evaluator) as objective:
        objective(objective.x0())
        for trace in tmp_path.glob("pass-*"):
            trace.unlink()
        (tmp_path / "slow").touch()

        def kill() -> None:
            until(lambda: len(_processes(tmp_path, "pass")) == 3)
            for process in sorted(_processes(tmp_path, "pass"))[:victims]:
                os.kill(process, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        loss, grad = objective(theta)
        killer.join()
        assert (loss, grad.tobytes()) == expected
        assert objective.sum.timings.lost_workers >= victims


def test_only_a_lost_workers_blocks_are_loaded_again(client: Client, tmp_path: Path) -> None:
    """Those who stay do not load what they hold a second time."""
    problem = Watched(folder=str(tmp_path))
    with Objective(client, problem) as objective:
        objective(objective.x0())
        victim = min(_processes(tmp_path, "load"))
        lost = len(list(tmp_path.glob(f"load-*-{victim}")))
        before = len(list(tmp_path.glob("load-*")))
        os.kill(victim, signal.SIGKILL)
        objective(np.ones(3))
        assert before == len(Blocks(problem.rows, block_rows(problem)))
        assert len(list(tmp_path.glob("load-*"))) == before + lost


def test_a_worker_that_joins_gets_a_share(
    cluster: LocalCluster, client: Client, tmp_path: Path, evaluator: str
) -> None:
    """Blocks are spread again over workers that come later, and the bits stay."""
    problem = Watched(folder=str(tmp_path))
    theta = np.ones(3)
    expected = serial(problem, theta)
    with Objective(client, problem, evaluator=evaluator) as objective:
        objective(objective.x0())
        cluster.scale(4)
        client.wait_for_workers(4)
        until(lambda: objective(theta + np.random.default_rng().random()) and objective.sum.workers == 4)
        loss, grad = objective(theta)
        assert (loss, grad.tobytes()) == expected
        assert len(_processes(tmp_path, "load")) == 4


def test_a_worker_that_leaves_in_order(cluster: LocalCluster, client: Client, tmp_path: Path, evaluator: str) -> None:
    """Retired workers' blocks move to the others between evaluations."""
    problem = Watched(folder=str(tmp_path))
    theta = np.ones(3)
    expected = serial(problem, theta)
    with Objective(client, problem, evaluator=evaluator) as objective:
        objective(objective.x0())
        cluster.scale(1)
        until(lambda: len(client.scheduler_info()["workers"]) == 1)
        loss, grad = objective(theta)
        assert (loss, grad.tobytes()) == expected
        assert objective.sum.workers == 1


def test_a_worker_that_hangs(client: Client, tmp_path: Path, evaluator: str) -> None:
    """A stopped process keeps its connection but loses its place: the scheduler's worker-ttl ends the wait for it."""
    problem = Watched(folder=str(tmp_path))
    theta = np.ones(3)
    expected = serial(problem, theta)
    with Objective(client, problem, evaluator=evaluator) as objective:
        objective(objective.x0())
        for trace in tmp_path.glob("pass-*"):
            trace.unlink()
        victim = min(_processes(tmp_path, "load"))
        with frozen(victim):
            loss, grad = objective(theta)
        assert (loss, grad.tobytes()) == expected
        assert objective.sum.timings.lost_workers >= 1


def test_an_evaluation_that_kills_every_worker_is_given_up(client: Client, tmp_path: Path, evaluator: str) -> None:
    """Data or code that kill workers, again and again, end the job with advice instead of for ever."""
    with Objective(client, Watched(folder=str(tmp_path)), evaluator=evaluator, workers_timeout=60) as objective:
        objective(objective.x0())
        (tmp_path / "kill").touch()
        with pytest.raises(ClusterError, match=r"block \d+ was lost with its worker 4 times.*memory"):
            objective(np.ones(3))


def test_a_scheduler_that_closes_when_idle_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An evaluation longer than the scheduler's idle-timeout, which sees only tasks, is not cut off."""
    monkeypatch.setattr(membership, "KEEPALIVE_SECONDS", 0.5)
    monkeypatch.setattr(distributed, "WATCH_SECONDS", 0.5)
    problem = Watched(folder=str(tmp_path), rows=240)
    (tmp_path / "slow").touch()
    with dask.config.set({"distributed.scheduler.idle-timeout": "4s"}), connect(workers=1) as client:
        with Objective(client, problem) as objective:
            objective(np.ones(3))
            assert objective.sum.timings.seconds > 4.5
            assert client.scheduler_info()["workers"]


def test_an_evaluation_has_a_deadline(client: Client, tmp_path: Path, evaluator: str) -> None:
    """An evaluation that takes too long ends as a cluster failure."""
    with Objective(client, Watched(folder=str(tmp_path)), evaluator=evaluator) as objective:
        objective(objective.x0())
        (tmp_path / "stuck").touch()
        objective.sum._timeout = 0.6  # not before: what comes first may take longer on a busy machine
        with pytest.raises(ClusterError, match=r"longer than 0.6 s \(evaluation_timeout\)"):
            objective(np.ones(3))
        (tmp_path / "stuck").unlink()


def test_no_worker_for_too_long(cluster: LocalCluster, client: Client, tmp_path: Path, evaluator: str) -> None:
    """With all workers gone and none coming, the job ends in time and says so."""
    with Objective(client, Watched(folder=str(tmp_path)), evaluator=evaluator, workers_timeout=1) as objective:
        objective(objective.x0())
        cluster.scale(0)
        until(lambda: not client.scheduler_info()["workers"])
        with pytest.raises(ClusterError, match=r"no worker for 1 s \(workers_timeout\)"):
            objective(np.ones(3))


def test_a_poll_that_raises_ends_an_evaluation_under_way(client: Client, tmp_path: Path, evaluator: str) -> None:
    """A signal or deadline does not wait for a long evaluation."""
    stop: list[bool] = []

    def poll() -> None:
        if stop:
            raise Stopped("enough")

    with Objective(client, Watched(folder=str(tmp_path)), evaluator=evaluator, poll=poll) as objective:
        objective(objective.x0())
        (tmp_path / "stuck").touch()
        threading.Timer(0.1, lambda: stop.append(True)).start()
        with pytest.raises(Stopped):
            objective(np.ones(3))
        (tmp_path / "stuck").unlink()


def test_a_worker_that_is_going_is_lost_and_no_error_of_scipy(client: Client) -> None:
    """Answers of a worker in the middle of its end, none or an error of Dask's own, count as a lost connection."""
    address = next(iter(client.scheduler_info()["workers"]))
    with pytest.raises(OSError, match=f"worker {address} is closing"):
        client.sync(plugin.ask, client.rpc, "plugin-that-went-away", address)
    with pytest.raises(OSError, match=f"worker {address} failed: TypeError"):
        client.sync(plugin.ask, client.rpc, "gather", address, no_such_argument=1)
