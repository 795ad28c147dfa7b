"""connect: clusters of this machine and of others, and what is checked before work begins."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dask
import pytest
from distributed import LocalCluster, wait

from jobs import connect
from jobs.cluster.local import local_cluster
from jobs.errors import ClusterError, InputError

FORKED = """import os, sys, numpy as np
from jobs.cluster.connect import connect
with connect(workers=2, preload=("colorsys", "numpy.random", "no_such_module")) as client:
    there = client.run(lambda: ("colorsys" in sys.modules, np.random.random(), os.getppid()))
modules, draws, parents = zip(*there.values())
assert all(modules), modules
assert len(set(draws)) == 2, draws
assert os.getpid() not in parents and len(set(parents)) == 1, parents
"""


@pytest.fixture
def elsewhere() -> Iterator[LocalCluster]:
    """Yield a cluster that was started by somebody else."""
    with local_cluster(1, 1) as cluster:
        yield cluster


def test_a_cluster_of_this_machine_comes_and_goes() -> None:
    """Without an address connect starts as many workers as asked, with their threads, and ends them."""
    with connect(workers=2, threads=3) as client:
        workers = client.scheduler_info()["workers"]
        assert [worker["nthreads"] for worker in workers.values()] == [3, 3]
        assert set(client.run(lambda dask_worker: "profile" in dask_worker.periodic_callbacks).values()) == {False}
        assert client.submit(sum, [1, 2]).result() == 3
    assert client.status == "closed"


def test_a_lost_worker_is_started_again_however_long_it_takes() -> None:
    """Dask's own timeout for that would end it for good, and a run on a busy machine would have no workers."""
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1ms"}), connect(workers=1) as client:
        (first,) = client.run(os.getpid).values()
        os.kill(first, signal.SIGKILL)
        wait(client.submit(os.getpid, pure=False), timeout=60)  # its end may not be known yet, and lose a task
        assert client.submit(os.getpid, pure=False).result(timeout=60) != first


def test_workers_are_forked_with_what_they_need() -> None:
    """They inherit the modules that are named, and draw different numbers, though NumPy's generator was forked too."""
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_the_environment_names_the_scheduler(elsewhere: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """DASK_SCHEDULER_ADDRESS leads to a cluster that is there, which stays when the client goes."""
    with dask.config.set({"scheduler-address": elsewhere.scheduler_address}), connect() as client:
        assert client.scheduler.address == elsewhere.scheduler_address
    with connect(elsewhere.scheduler_address) as client:
        assert len(client.scheduler_info()["workers"]) == 1


def test_too_few_workers_in_time(elsewhere: LocalCluster) -> None:
    """Who asks for more workers than come is told how many came."""
    with pytest.raises(ClusterError, match=r"only 1 of 4 workers came in 0.5 s \(workers_timeout\); start more"):
        with connect(elsewhere.scheduler_address, workers=4, workers_timeout=0.5):
            pass


def test_a_worker_with_other_versions(tmp_path: Path) -> None:
    """A worker whose SciPy is another is named, with both versions, before work begins."""
    other = tmp_path / "other.py"
    other.write_text(
        "import distributed.versions as versions\n"
        "if not hasattr(versions, 'real'):  # a preload is run more than once\n"
        "    versions.real = versions._version_cached\n"
        "    versions._version_cached = lambda name: '0.1' if name == 'scipy' else versions.real(name)\n"
    )
    with LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0", preload=str(other)
    ) as cluster:
        with (
            pytest.raises(InputError, match="has scipy 0.1, but the driver has") as caught,
            connect(cluster.scheduler_address),
        ):
            pass
    assert importlib.metadata.version("scipy") in str(caught.value)
