"""A driver that vanishes from a shared scheduler leaves nothing on the workers: no plugin, no handler, no data."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster, Worker
from faulty import Watched
from waiting import until

from jobs.cluster.local import local_cluster
from jobs.minimize import Objective

DRIVER = """
import sys, time
from distributed import Client
from faulty import Watched
from jobs.minimize import Objective
if __name__ == "__main__":
    objective = Objective(Client(sys.argv[1]), Watched(folder=sys.argv[2]))
    while True:
        objective(objective.x0())
"""


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    """Yield a cluster of two workers of its own, for drivers that come and go."""
    with local_cluster(2, 1) as cluster:
        yield cluster


def _left(dask_worker: Worker) -> list[str]:
    """Return what a worker still has of objectives: plugins, handlers, threads, and loaded blocks."""
    from jobs.minimize.evaluate.shard import Shard

    gc.collect()
    plugins = [name for name in dask_worker.plugins if name.startswith("dask-jobs-")]
    handlers = [name for name in dask_worker.handlers if name.startswith("dask-jobs-")]
    blocks = [str(block) for one in gc.get_objects() if isinstance(one, Shard) for block in one._data]
    threads = [one.name for one in threading.enumerate() if one.name.startswith("dask-jobs-")]
    return plugins + handlers + threads + blocks


@pytest.mark.parametrize("slow", [False, True])
def test_a_killed_driver_leaves_nothing_on_the_workers(slow: bool, cluster: LocalCluster, tmp_path: Path) -> None:  # noqa: FBT001
    """SIGKILL between quick evaluations, and in the middle of a long one: the scheduler cleans the workers up."""
    with Client(cluster) as client:
        client.wait_for_workers(2)
        if slow:
            (tmp_path / "slow").touch()
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        with subprocess.Popen(
            [sys.executable, "-c", DRIVER, cluster.scheduler_address, str(tmp_path)], env=environment
        ) as driver:
            try:
                until(lambda: len(list(tmp_path.glob("pass-*"))) == 2)
                assert all(client.run(_left).values())
            finally:
                driver.send_signal(signal.SIGKILL)
        until(lambda: not any(client.run(_left).values()))
        (tmp_path / "other").mkdir()
        with Objective(client, Watched(folder=str(tmp_path / "other"))) as other:
            other(other.x0())
            assert all(client.run(_left).values())
        until(lambda: not any(client.run(_left).values()))


def test_a_driver_whose_connection_breaks_goes_on(cluster: LocalCluster, tmp_path: Path) -> None:
    """The scheduler takes it for gone and cleans up; it connects again, and gets the same bits from the same blocks."""
    with Client(cluster) as client:
        client.wait_for_workers(2)
        with Objective(client, Watched(folder=str(tmp_path))) as objective:
            loss, grad = objective(objective.x0())
            connection = client.scheduler_comm
            client.loop.add_callback(connection.comm.abort)
            until(lambda: client.scheduler_comm is not connection and client.status == "running")
            again = objective.sum(_request(objective))
            assert (again[0], again[1:].tobytes()) == (loss, grad.tobytes())
            assert objective.sum.workers == 2
        until(lambda: not any(client.run(_left).values()))


def _request(objective: Objective) -> Any:
    from jobs.minimize.evaluate.request import Request

    return Request("value_and_grad", objective.x0()[None])
