"""Run folders of train and alexnet that are damaged: one line, or as if nothing had happened."""

from __future__ import annotations

from pathlib import Path

import pytest
from damaged_folders import REPORT, SHOW, check, run_quietly
from job_tars import SMALL, write_tars

TRAIN = ["train", "--example", "linear", "--workers", "0", "--epochs", "1"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Return the run folder of an ended training, and its command."""
    run = tmp_path_factory.mktemp("train") / "run"
    assert run_quietly([*TRAIN, "--run", str(run)]) == 0
    return run, [*TRAIN, "--run", "RUN"]


@pytest.fixture(scope="module")
def imaged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Return the run folder of an ended training on images in tars, and its command."""
    folder = tmp_path_factory.mktemp("alexnet")
    write_tars(folder)
    data = ["--data", str(folder), "--label-file", str(folder / "labels.txt")]
    command = ["alexnet", *data, *SMALL, "--epochs", "1", "--workers", "0", "--run"]
    run = tmp_path_factory.mktemp("run") / "run"
    assert run_quietly([*command, str(run)]) == 0
    return run, [*command, "RUN"]


@pytest.mark.parametrize(("job", "count"), [("trained", 8), ("imaged", 6)])
def test_a_training_goes_on(
    job: str, count: int, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same command on damaged run folders."""
    run, command = request.getfixturevalue(job)
    check(run, [command], 1, count, capsys)


@pytest.mark.parametrize("job", ["trained", "imaged"])
def test_what_is_shown_of_a_training(
    job: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    """And its reports: of 10 damaged run folders."""
    run, _ = request.getfixturevalue(job)
    check(run, [SHOW, REPORT], 2, 10, capsys)
