"""Run folders of minimize and tune that are damaged: one line, or as if nothing had happened."""

from __future__ import annotations

from pathlib import Path

import pytest
from damaged_folders import COMPARE, LIST, REPORT, SHOW, check, run_quietly

MINIMIZE = ["minimize", "--workers", "0", "--max-iterations", "4"]
TUNE = ["tune", "--objective", "trials:quadratic", "--space", "SPACE", "--trials", "5", "--workers", "1", "--seed", "0"]


@pytest.fixture(scope="module")
def minimized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run folder of an ended run."""
    run = tmp_path_factory.mktemp("minimize") / "run"
    assert run_quietly([*MINIMIZE, "--run", str(run)]) == 0
    return run


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run folder of an ended search."""
    folder = tmp_path_factory.mktemp("tune")
    (folder / "space.yaml").write_text("x: {uniform: [0, 1]}\ny: {integer: [1, 4]}\n")
    command = [str(folder / "space.yaml") if one == "SPACE" else one for one in TUNE]
    assert run_quietly([*command, "--run", str(folder / "run")]) == 0
    return folder / "run"


def test_minimize_goes_on(minimized: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same command on 40 damaged run folders."""
    check(minimized, [[*MINIMIZE, "--run", "RUN"]], 1, 40, capsys)


@pytest.mark.parametrize("job", ["minimized", "tuned"])
def test_show(job: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> None:
    """What is shown of 80 damaged run folders."""
    check(request.getfixturevalue(job), [SHOW], 2, 80, capsys)


@pytest.mark.parametrize("job", ["minimized", "tuned"])
def test_list_and_compare(job: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> None:
    """What is listed and compared of 40 damaged run folders."""
    check(request.getfixturevalue(job), [LIST, COMPARE], 6, 40, capsys)


def test_rerun(minimized: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """10 damaged run folders, whose runs are made again elsewhere."""
    rerun = ["rerun", "RUN", "--run", str(tmp_path / "again"), "--max-iterations", "1", "--workers", "0"]
    check(minimized, [rerun], 7, 10, capsys)


@pytest.mark.parametrize("job", ["minimized", "tuned"])
def test_report(job: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> None:
    """The reports of 6 damaged run folders."""
    check(request.getfixturevalue(job), [REPORT], 3, 6, capsys)
