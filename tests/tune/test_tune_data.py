"""Data that an objective's module names: a search is not shown, nor goes on, with others under the same path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import test_tune_data as this_module
from distributed import Client

from jobs.errors import DataError, InputError, UserCodeError
from jobs.tune import Study, space
from jobs.tune.cnn import data_files as cnn_files

SPACE = {"x": space.uniform(0, 1)}
FILE = "TUNED_DATA"


def data_files(fixed: dict[str, Any]) -> list[str]:
    """Return the file, or fail as a test asks for."""
    if not os.environ[FILE]:
        raise DataError("data 'x': no such disk here")
    if os.environ[FILE] == "bug":
        raise ZeroDivisionError("a bug of mine")
    return [os.environ[FILE]]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "data.txt"
    path.write_text("1")
    monkeypatch.setenv(FILE, str(path))
    return path


def _study(client: Client, tmp_path: Path) -> Study:
    return Study(client, this_module.constant, SPACE, run=str(tmp_path / "run"))


def constant(parameters: dict[str, float]) -> float:
    """Return the hyperparameter: workers, which started before the test, know nothing of its environment."""
    return parameters["x"]


def test_changed_data_are_another_study(client: Client, data: Path, tmp_path: Path) -> None:
    """A search that has ended is not shown, and does not go on, once the data's content is another."""
    first = _study(client, tmp_path).run(trials=2)
    assert _study(client, tmp_path).run(trials=2)["already"]
    data.write_text("2")
    for trials in (2, 3):
        with pytest.raises(InputError, match=r"^data .*data.txt changed since the run in .*run began \(its content"):
            _study(client, tmp_path).run(trials=trials)
    data.write_text("1")
    assert _study(client, tmp_path).run(trials=2)["best"] == first["best"]
    assert _study(client, tmp_path).run(trials=3)["trials"]["complete"] == 3


def test_data_that_the_driver_cannot_see(
    client: Client, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where only workers have the data the search goes on, and says that a change would not be noticed."""
    monkeypatch.setenv(FILE, "")
    assert _study(client, tmp_path).run(trials=1)["success"]
    assert "a change of the data would not be noticed: they cannot be looked at from here" in capsys.readouterr().err


def test_a_hook_that_fails(client: Client, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in the hook is the user's error before work begins."""
    monkeypatch.setenv(FILE, "bug")
    with pytest.raises(UserCodeError, match=r"data_files\(\): the user's code raised ZeroDivisionError: a bug of mine"):
        _study(client, tmp_path)


def test_the_shipped_network_names_its_files() -> None:
    """The digits' files are those that the shipped objective's trials read."""
    assert [Path(file).name for file in cnn_files({})] == ["images-idx3-ubyte", "labels-idx1-ubyte"]
