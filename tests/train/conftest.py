"""Clusters for the tests of train: kept for a file, since each worker of them holds TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from clusters import clients
from distributed import Client


@pytest.fixture(scope="module")
def client_of() -> Iterator[Callable[[int], Client]]:
    """Return a function: number of worker processes -> client of a cluster with as many, kept for the module."""
    with clients() as client:
        yield client
