"""What the tests of train share: clusters, kept for a file since each worker holds TensorFlow, and a run's result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from clusters import clients
from commands import SLOW, run_job
from distributed import Client


@pytest.fixture(scope="module")
def client_of() -> Iterator[Callable[[int], Client]]:
    """Return a function: number of worker processes -> client of a cluster with as many, kept for the module."""
    with clients() as client:
        yield client


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run folder of four epochs without a cluster."""
    run = tmp_path_factory.mktemp("whole") / "run"
    done = run_job(*SLOW, "--workers", "0", "--epochs", "4", "--run", str(run))
    assert done.returncode == 0, done.stderr
    return run
