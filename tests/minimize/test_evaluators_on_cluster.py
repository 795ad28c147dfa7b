"""What holds for the evaluators on a cluster: user code beside event loops, and what futures leave behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from changing import TEXT
from distributed import Client, LocalCluster
from faulty import Travelling, Watched, alive
from leaving import Leaving
from problems import LeastSquares
from waiting import until

from jobs import connect
from jobs.errors import InputError
from jobs.minimize import Objective
from jobs.minimize.evaluate.by_futures import tasks
from jobs.minimize.job import run
from jobs.minimize.options import Options
from jobs.sharding.blocks import Blocks

HERE = Path(__file__).parent


class Reduced(Leaving):
    """A problem that cannot be unpickled: the code that does it leaves."""

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return _unpicklable, ()


def _unpicklable() -> None:
    raise SystemExit(3)


def test_unpickling_that_leaves_is_told(evaluator: str, client: Client) -> None:
    """An object whose unpickling leaves is told as one that cannot be imported there, and the worker lives on."""
    workers = set(client.scheduler_info()["workers"])
    with pytest.raises(InputError, match=r"worker tcp.*: the problem cannot be unpickled here \(SystemExit: 3\): put"):
        Objective(client, Reduced(), timeout=60.0, evaluator=evaluator)
    assert set(client.scheduler_info()["workers"]) == workers


def test_user_code_is_unpickled_beside_event_loops(evaluator: str, client: Client, tmp_path: Path) -> None:
    """The problem is unpickled on the workers alone, not by the scheduler, and not in the thread of an event loop."""
    with Objective(client, Travelling(str(tmp_path)), evaluator=evaluator) as objective:
        objective(objective.x0())
    places = [path.name.split("-")[1:] for path in tmp_path.glob("at-*")]
    assert {int(process) for process, _ in places} == set(client.run(os.getpid).values())
    assert not {thread for _, thread in places} & {"MainThread", "IO_loop"}


def test_a_worker_that_imported_the_old_code_is_refused(
    evaluator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that lives on keeps what it has imported: its sum would be that of the problem before the edit."""
    name = f"kept_{evaluator}"
    module = tmp_path / f"{name}.py"
    module.write_text(TEXT.format(more=""))
    monkeypatch.syspath_prepend(str(tmp_path))
    with connect(workers=1) as client:
        with Objective(client, f"{name}:problem", evaluator=evaluator) as objective:
            assert objective.loss(np.ones(2)) == 20
        module.write_text(TEXT.format(more="+ 3"))
        del sys.modules[name]
        with pytest.raises(InputError, match=rf"worker tcp.*: this worker has another {name}.py than the driver"):
            Objective(client, f"{name}:problem", evaluator=evaluator)
    del sys.modules[name]


def test_another_name_is_refused(client: Client) -> None:
    """An evaluator that there is not is named, with those that there are."""
    with pytest.raises(InputError, match="evaluator is 'actors', but must be one of messages, futures"):
        Objective(client, LeastSquares(), evaluator="actors")  # type: ignore[arg-type]


def test_a_run_goes_on_with_the_other_evaluator(tmp_path: Path) -> None:
    """Its journal is replayed, its bits are those of a run of one process, and once ended it is recognized."""

    def options(folder: str, **more: Any) -> Options:
        return Options(**{"problem": "problems:Logistic", "workers": 2, "run": str(tmp_path / folder), **more})

    whole = run(options("whole", workers=0))
    first = run(options("cut", evaluator="futures", max_iterations=2))
    second = run(options("cut", max_iterations=4))
    third = run(options("cut", evaluator="futures"))
    assert second["diagnostics"]["replayed"] == first["nfev"]
    assert third["diagnostics"]["replayed"] == second["nfev"]
    assert (third["fun"], third["x"], third["nfev"]) == (whole["fun"], whole["x"], whole["nfev"])
    assert run(options("cut"))["already"]


def _tasks(dask_scheduler: Any) -> list[str]:
    return sorted(dask_scheduler.tasks)


def test_futures_leave_nothing_on_the_scheduler(client: Client) -> None:
    """After an evaluation there are the loaded blocks alone, and after the end nothing."""
    with Objective(client, LeastSquares(), evaluator="futures") as objective:
        for number in range(3):
            objective(np.full(3, float(number)))
        until(lambda: all(key.startswith("load-blocks-") for key in client.run_on_scheduler(_tasks)))
        assert client.run_on_scheduler(_tasks)
    until(lambda: not client.run_on_scheduler(_tasks))


KILLED = """
import sys, time, numpy
from distributed import Client
from faulty import Counted
from jobs.minimize import Objective
if __name__ == "__main__":
    objective = Objective(Client(sys.argv[1]), Counted(), evaluator="futures")
    objective(numpy.ones(3))
    print("ready", flush=True)
    time.sleep(600)
"""


def test_a_killed_driver_leaves_nothing(client: Client) -> None:
    """kill -9 of a driver on a shared scheduler: its futures go, and with them the data on the workers."""
    command = [sys.executable, "-c", KILLED, client.scheduler.address]
    environment = os.environ | {"PYTHONPATH": str(HERE)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert sum(client.run(alive).values()) == len(Blocks(97, 8))
        process.send_signal(signal.SIGKILL)
    until(lambda: not client.run_on_scheduler(_tasks) and not sum(client.run(alive).values()))


def test_a_slow_worker_has_a_task_for_each_part(client: Client, tmp_path: Path) -> None:
    """Where computing takes long an evaluation has more tasks than workers, for clusters that adapt; equal bits."""
    problem, theta = Watched(folder=str(tmp_path)), np.ones(3)
    (tmp_path / "slow").touch()
    with Objective(client, problem, evaluator="futures") as objective, Objective(None, LeastSquares()) as serial:
        objective(objective.x0())
        assert len(objective.sum._groups()) == 8
        loss, grad = objective(theta)
        assert (loss, grad.tobytes()) == (serial(theta)[0], serial(theta)[1].tobytes())


@pytest.fixture
def adaptive() -> Iterator[Client]:
    """Yield a client of a cluster that starts and ends workers by the tasks there are, from none up to two."""
    with LocalCluster(
        n_workers=0, threads_per_worker=1, dashboard_address="127.0.0.1:0", scheduler_kwargs={"dashboard": False}
    ) as cluster:
        cluster.adapt(minimum=0, maximum=2, interval="100ms", target_duration="500ms", wait_count=50)
        with connect(cluster.scheduler_address) as client:
            yield client


def test_a_cluster_that_adapts(adaptive: Client, tmp_path: Path) -> None:
    """Workers come because there are tasks, get their share while the run goes on, and leave after it; equal bits."""
    problem, theta = Watched(folder=str(tmp_path)), np.ones(3)
    with Objective(None, LeastSquares()) as serial:
        wanted, gradient = serial(theta)
    (tmp_path / "slow").touch()
    with Objective(adaptive, problem, evaluator="futures") as objective:
        points = iter(range(1, 1000))
        until(lambda: objective.loss(theta * next(points) / 2) and objective.sum.workers == 2)
        loss, grad = objective(theta)
        assert (loss, grad.tobytes()) == (wanted, gradient.tobytes())
        assert objective.sum.timings.lost_workers == 0
    until(lambda: not adaptive.scheduler_info()["workers"])


def test_sums_do_not_change_what_they_add() -> None:
    """Dask may need a task's arguments again, when its result was lost with a worker."""
    parts = [tasks.PartialSum(((0, block, np.full(3, float(block))),), 0.0, 0.0, frozenset()) for block in range(5)]
    (node,) = tasks.add(5, *parts).nodes
    assert node[2].tolist() == [10.0] * 3
    assert [part.nodes[0][2].tolist() for part in parts] == [[float(block)] * 3 for block in range(5)]


def test_futures_that_a_scheduler_lost_are_made_again(client: Client) -> None:
    """An evaluation whose futures were cancelled begins anew, as after a scheduler's restart."""
    theta = np.full(3, 0.5)
    with Objective(client, LeastSquares(), evaluator="futures") as objective:
        expected = objective(np.zeros(3)), objective(theta)
        client.cancel([part.future for parts in objective.sum._shards.parts.values() for part in parts])
        assert objective.loss(np.zeros(3)) == expected[0][0]
        assert objective(theta)[1].tobytes() == expected[1][1].tobytes()
