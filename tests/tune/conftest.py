"""Clusters for the tests of tune: real worker processes, started once for the session, or one for a test to break."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import pytest
import trials
from distributed import Client, LocalCluster

from jobs import connect
from jobs.cluster.local import local_cluster
from jobs.tune import Study


@pytest.fixture(scope="session")
def client() -> Iterator[Client]:
    """Yield the client of a cluster with two workers, kept for the session."""
    with connect(workers=2) as client:
        yield client


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    """Yield a cluster of two workers with two threads each that a test may break."""
    with dask.config.set({"distributed.scheduler.worker-ttl": "10s"}), local_cluster(2, 2) as cluster:
        yield cluster


@pytest.fixture
def breakable(cluster: LocalCluster) -> Iterator[Client]:
    """Yield its client."""
    with Client(cluster) as client:
        client.wait_for_workers(2)
        yield client


@pytest.fixture
def studies(client: Client, tmp_path: Path) -> Any:
    """Return a function that makes a study on the session's cluster, in a folder of the test's."""

    def make(objective: Any, dimensions: Any = None, **options: Any) -> Study:
        return Study(client, objective, dimensions or trials.QUADRATIC, **{"run": str(tmp_path / "run"), **options})

    return make


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    """Return a folder where objectives leave traces; they get its name as a choice of one value."""
    (folder := tmp_path / "traces").mkdir()
    return folder


@pytest.fixture(autouse=True)
def path_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let processes that a test starts import the tests' objectives."""
    here = str(Path(__file__).parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([here, str(Path(here).parents[1])]))
