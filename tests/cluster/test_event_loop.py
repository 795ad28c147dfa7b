"""A worker's event loop never waits for the user's code: neither job imports or unpickles it there."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import Client

from jobs import connect
from jobs.minimize import Objective
from jobs.tune import Study, space

MODULE = """
import asyncio, os, time
from pathlib import Path

def trace(what):
    here = "loop" if asyncio._get_running_loop() else "thread"
    (Path(__file__).parent / f"{what}-{os.getpid()}-{here}").touch()

trace("import")

class Problem:
    rows = block_rows = 4

    def __reduce__(self):
        return made, ()
    def x0(self):
        return [0.0]
    def load(self, start, stop):
        return None
    def value_and_grad(self, theta, data):
        return float(theta @ theta), 2 * theta

class Train:
    def __reduce__(self):
        return made_train, ()
    def __call__(self, params):
        return params["x"]

def made():
    trace("unpickle")
    return Problem()

def made_train():
    trace("unpickle")
    return Train()

def problem():
    return Problem()

def train(params):
    return params["x"]
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Path]]:
    """Yield a module of the user's that notes where it is imported, and its folder, on the path of workers to come."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "noting_user.py").write_text(MODULE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *sys.path]))
        yield importlib.import_module("noting_user"), folder


@pytest.fixture
def client(project: tuple[Any, Path]) -> Iterator[Client]:
    """Yield the client of a new worker process, which has imported nothing yet."""
    with connect(workers=1) as client:
        yield client


def _notes(folder: Path, client: Client) -> set[tuple[str, str]]:
    (worker,) = client.run(os.getpid).values()
    return {(path.name.split("-")[0], path.name.split("-")[2]) for path in folder.glob(f"*-{worker}-*")}


@pytest.mark.parametrize("travels", ["import", "unpickle"])
def test_minimize(travels: str, client: Client, project: tuple[Any, Path]) -> None:
    """A problem by name and by value, on a worker that meets its module for the first time."""
    user, folder = project
    with Objective(client, "noting_user:problem" if travels == "import" else user.Problem()) as objective:
        objective(objective.x0())
    assert _notes(folder, client) == {("import", "thread"), (travels, "thread")}


@pytest.mark.parametrize("travels", ["import", "unpickle"])
def test_tune(travels: str, client: Client, project: tuple[Any, Path], tmp_path: Path) -> None:
    """An objective by name and by value, on a worker that meets its module for the first time."""
    user, folder = project
    objective = "noting_user:train" if travels == "import" else user.Train()
    Study(client, objective, {"x": space.uniform(0, 1)}, run=str(tmp_path / "run")).run(trials=1)
    assert _notes(folder, client) == {("import", "thread"), (travels, "thread")}
