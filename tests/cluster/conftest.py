"""A cluster in this process: two workers that are threads, so that a test can look into them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from distributed import Client, LocalCluster


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    """Yield a cluster that a test may break."""
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as cluster:
        yield cluster


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Client]:
    """Yield its client."""
    with Client(cluster) as client:
        client.wait_for_workers(2)
        yield client
