"""Clusters for the tests of minimize: real worker processes, started once for the session."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from clusters import clients
from distributed import Client

from jobs.minimize import Objective

DISTRIBUTED = ("messages", "futures")


@pytest.fixture(scope="session")
def client_of() -> Iterator[Callable[[int], Client]]:
    """Return a function: number of worker processes -> client of a cluster with as many, kept for the session."""
    with clients() as client:
        yield client


@pytest.fixture
def client(client_of: Callable[[int], Client]) -> Client:
    """Return a client of a cluster with two workers."""
    return client_of(2)


@pytest.fixture(params=DISTRIBUTED)
def evaluator(request: pytest.FixtureRequest) -> str:
    """Return each way to ask workers."""
    return str(request.param)


@pytest.fixture(params=["serial", *DISTRIBUTED])
def make(request: pytest.FixtureRequest) -> Callable[..., Objective]:
    """Return what makes an `Objective` with each evaluator, on two workers where it has any."""
    if request.param == "serial":
        return lambda problem, **options: Objective(None, problem, **options)
    client = request.getfixturevalue("client")
    return lambda problem, **options: Objective(client, problem, evaluator=request.param, **options)
