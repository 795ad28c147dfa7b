"""A job of somebody else's package is one as the built-in ones are, and nothing in jobs/ knows of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from toy import installed
from waiting import until

Command = Callable[..., subprocess.CompletedProcess[str]]
DASK_JOBS = [sys.executable, "-c", "import sys; from jobs.cli import main; sys.exit(main())"]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return installed(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def dask_jobs(environment: dict[str, str], tmp_path: Path) -> Command:
    """Return what runs a command to its end, with the toy's package installed."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*DASK_JOBS, *arguments]
        return subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
        )

    return run


def test_help_lists_it(dask_jobs: Command) -> None:
    """The command line names it beside the built-in jobs, and its help has its options."""
    assert "\n  pi " in dask_jobs("--help").stdout.partition("\n  minimize ")[2].partition("\n  tune ")[0]
    told = dask_jobs("pi", "--help")
    assert (told.returncode, "--points" in told.stdout, "--scheduler" in told.stdout) == (0, True, True)
    assert told.stdout.index("what to compute:") < told.stdout.index("--points") < told.stdout.index("where it runs:")
    assert "examples:\n  dask-jobs pi --steps 20 --run runs/pi\n" in told.stdout


def _inside(steps: Path) -> list[int]:
    return list(json.loads(steps.read_text())["inside"])


def test_it_goes_on_after_kill_9(dask_jobs: Command, environment: dict[str, str], tmp_path: Path) -> None:
    """Killed and started again it repeats no step that is saved, and ends as if it had run through."""
    options = ["--points", "1000", "--workers", "1", "--run"]
    steps = tmp_path / "run/steps.json"
    command = [*DASK_JOBS, "pi", "--steps", "1000000", *options, "run"]
    with subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as driver:
        log = driver.stderr.read if driver.stderr else str
        until(lambda: steps.exists() and len(_inside(steps)) >= 3, process=driver, log=log)
        driver.kill()
        driver.communicate()
    assert driver.returncode == -signal.SIGKILL
    saved = _inside(steps)
    stands = dask_jobs("show", "run")
    assert (stands.returncode, stands.stdout.partition(",")[0]) == (4, "pi not running")
    gone = f"attempt 1: its driver, process {driver.pid}, is gone; the same command on this run folder resumes it\n"
    assert gone in stands.stdout
    enough = str(len(saved) + 3)
    for run in ("run", "other"):
        ended = dask_jobs("pi", "--steps", enough, *options, run)
        assert ended.returncode == 0, ended.stderr
    results = [json.loads((tmp_path / run / "result.json").read_text()) for run in ("run", "other")]
    assert [result["attempt"] for result in results] == [2, 1]
    assert results[0]["pi"] == results[1]["pi"]
    assert _inside(steps) == _inside(tmp_path / "other/steps.json")
    assert _inside(steps)[: len(saved)] == saved


def test_it_is_shown_and_reported(dask_jobs: Command, tmp_path: Path) -> None:
    """`show` prints its result, and its report has its own sections among those of all jobs."""
    ran = dask_jobs("pi", "--steps", "2", "--points", "100", "--workers", "1", "--run", "run")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("pi is about ")
    shown = dask_jobs("show", "run")
    assert shown.returncode == 0
    assert shown.stdout.startswith(ran.stdout + "made by   dask-jobs pi --steps 2")
    page = tmp_path / "run/report.html"
    assert dask_jobs("report", "run").stdout == f"{page}\n"
    text = page.read_text()
    assert "<h2>Points within the circle</h2>" in text
    assert "dask-jobs pi --workers 1 --steps 2 --points 100 --run" in text


def test_it_is_continued_or_refused(dask_jobs: Command, tmp_path: Path) -> None:
    """More steps continue an ended run; steps of other options are refused, and the result is kept."""
    options = ["--workers", "1", "--run", "run"]
    for steps, earlier in (("2", False), ("2", True), ("3", False)):
        ran = dask_jobs("pi", "--steps", steps, "--points", "100", *options)
        assert (ran.returncode, "earlier" in ran.stdout) == (0, earlier), ran.stderr
    result = (tmp_path / "run/result.json").read_bytes()
    for changed, text in (("--points=10", "points was 100, and is now 10"), ("--seed=3", "seed was 0, and is now 3")):
        points = [] if changed.startswith("--points") else ["--points", "100"]
        refused = dask_jobs("pi", "--steps", "3", *points, changed, *options)
        assert (refused.returncode, refused.stderr.count(f"belongs to another run: {text}; choose another --run")) == (
            2,
            1,
        )
    assert (tmp_path / "run/result.json").read_bytes() == result
