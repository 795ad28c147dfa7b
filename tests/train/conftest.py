"""Clusters for the tests of train: real worker processes, kept for a file."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest
from distributed import Client

from jobs import connect


@pytest.fixture(scope="module")
def client_of() -> Iterator[Callable[[int], Client]]:
    """Return a function: number of worker processes -> client of a cluster with as many, kept for the module."""
    with contextlib.ExitStack() as stack:
        clients: dict[int, Client] = {}

        def client(workers: int) -> Client:
            if workers not in clients:
                clients[workers] = stack.enter_context(connect(workers=workers))
            return clients[workers]

        yield client
