"""Clusters for the tests of minimize: real worker processes, started once for the session."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest
from distributed import Client

from jobs import connect


@pytest.fixture(scope="session")
def client_of() -> Iterator[Callable[[int], Client]]:
    """Return a function: number of worker processes -> client of a cluster with as many, kept for the session."""
    with contextlib.ExitStack() as stack:
        clients: dict[int, Client] = {}

        def client(workers: int) -> Client:
            if workers not in clients:
                clients[workers] = stack.enter_context(connect(workers=workers))
            return clients[workers]

        yield client


@pytest.fixture
def client(client_of: Callable[[int], Client]) -> Client:
    """Return a client of a cluster with two workers."""
    return client_of(2)
