"""Clusters for the tests of minimize: real worker processes, started once for the session."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from clusters import clients
from distributed import Client


@pytest.fixture(scope="session")
def client_of() -> Iterator[Callable[[int], Client]]:
    """Return a function: number of worker processes -> client of a cluster with as many, kept for the session."""
    with clients() as client:
        yield client


@pytest.fixture
def client(client_of: Callable[[int], Client]) -> Client:
    """Return a client of a cluster with two workers."""
    return client_of(2)
