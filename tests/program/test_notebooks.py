"""A notebook: the client, a class and a function of its cells, what it shows, Interrupt kernel, and the examples."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from notebooks import NOTEBOOKS, Kernel, code_cells, kernel
from waiting import until

BEGIN = """
import os, time
import numpy as np
from jobs import connect
from jobs.minimize import minimize
from jobs.tune import Study, space
client = connect(workers=1)
os.getpid()
"""
PROBLEM = """
class Slow:
    rows = 4
    block_rows = 4
    def x0(self): return np.array([-1.2, 1.0])
    def load(self, start, stop): return stop - start
    def value_and_grad(self, theta, rows):
        if os.path.exists("slow"): time.sleep(0.1)
        a, b = theta
        return (1 - a)**2 + 100 * (b - a*a)**2, np.array([-2 * (1 - a) - 400 * a * (b - a*a), 200 * (b - a*a)])
"""
MINIMIZE = "result = minimize(Slow(), client=client, run='run', method='CG', tol=1e-9)\nresult"
STUDY = """
def score(parameters):
    if os.path.exists("slow"): time.sleep(0.1)
    return parameters["x"]
study = Study(client, score, {"x": space.uniform(0, 1)}, run="study", direction="minimize", trials=50)
study.run()
study
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the kernel."""
    return tmp_path_factory.mktemp("notebook")


@pytest.fixture(scope="module")
def ours(folder: Path) -> Iterator[Kernel]:
    """Yield the kernel that the tests of this file share."""
    with kernel(folder) as started:
        yield started


def _interrupted(ours: Kernel, process: int, source: str, status: Path) -> list[dict[str, Any]]:
    """Execute a cell, and interrupt the kernel, as Jupyter does it, once a run has made progress."""

    def interrupt() -> None:
        until(lambda: status.exists() and b"progress" in status.read_bytes())
        os.killpg(os.getpgid(process), signal.SIGINT)  # Jupyter's signal goes to all of the kernel's processes

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        return ours.run(source)
    finally:
        thread.join()


def _shown(outputs: list[dict[str, Any]]) -> list[str]:
    """Return the kinds of outputs beside text, whose lines are of that moment."""
    return [one["output_type"] for one in outputs if one["output_type"] != "stream"]


def _html(outputs: list[dict[str, Any]]) -> str:
    found = [one["data"].get("text/html") for one in outputs if one["output_type"] == "execute_result"]
    assert found, outputs
    return str(found[0])


def test_cells(ours: Kernel, folder: Path) -> None:
    """Interrupt kernel stops run and study, all is saved, workers live on; the same cell goes on, an edited one not."""
    process = int(ours.value(BEGIN))
    workers = ours.value("sorted(client.run(os.getpid).values())")
    assert ours.value("repr(client)").startswith("'<Client of 1 worker on this machine: tcp://127.0.0.1:")
    (folder / "slow").touch()
    assert ours.run(PROBLEM) == []
    for source, run in ((MINIMIZE, "run"), (STUDY, "study")):
        stopped = _interrupted(ours, process, source, folder / run / "status.json")
        errors = [(one["ename"], one["evalue"]) for one in stopped if one["output_type"] == "error"]
        assert [name for name, _ in errors] == ["Stopped"], stopped
        assert errors[0][1].startswith("stopped by SIGINT; all is saved: the same call goes on")
    assert ours.value("sorted(client.run(os.getpid).values())") == workers
    (folder / "slow").unlink()
    assert "<b>converged</b>" in _html(ours.run(MINIMIZE))
    assert int(ours.value("result.summary['diagnostics']['replayed']")) > 0
    assert "all 50 trials are done" in _html(ours.run(STUDY))
    assert ours.value("sorted(study.best_params)") == "['x']"
    for report in ("result.report()", "study.report()"):
        frame = _html(ours.run(report))
        assert frame.startswith("<iframe sandbox=")
        assert "the same call there, with this folder" in frame
    ours.run(PROBLEM.replace("a, b = theta", "b, a = theta[::-1]"))
    (error,) = (one for one in ours.run(MINIMIZE) if one["output_type"] == "error")
    assert "source of __main__:Slow was" in error["evalue"]
    ours.run(PROBLEM)
    assert "<b>converged</b>" in _html(ours.run(MINIMIZE))
    assert ours.value("client.close()\nrepr(client)") == "'<Client: closed>'"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_examples(ours: Kernel, path: Path) -> None:
    """They run, and show what they have shown: no errors, and no path of a machine."""
    assert NOTEBOOKS
    for cell in code_cells(path):
        outputs = ours.run(cell.source)
        assert not [one for one in outputs if one["output_type"] == "error"], outputs
        assert _shown(outputs) == _shown(cell.outputs), cell.source
        assert "/tmp" not in str(cell.outputs)
        assert str(Path.home()) not in str(cell.outputs)
