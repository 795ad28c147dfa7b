"""A run folder that was fetched from a hostile pod may name any code in its options; `predict` does not load it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from jobs.cli import main

NAMES = {"minimize": "problem", "train": "model", "tune": "objective"}
CASES = {
    "http.server:test": (".", "of Python's standard library"),
    "runs.fetched.evil:problem": (".", "which lies in the run folder"),
    "evil:problem": ("runs/fetched", "which lies in the run folder"),
    "./runs/fetched/evil.py:problem": (".", "which lies in the run folder"),
    "/tmp/evil.py:problem": (".", "outside the current folder"),
}


@pytest.fixture(params=NAMES)
def fetched(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a run folder of a job, with a module in it that leaves a mark."""
    folder = tmp_path / "runs/fetched"
    folder.mkdir(parents=True)
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w')")
    (folder / "options.yaml").write_text(yaml.safe_dump({"job": request.param}))
    (folder / "result.json").write_text(json.dumps({"parameters": 3, "network": 0, "direction": ["minimize"]}))
    np.save(folder / "x.npy", np.zeros(3))
    return folder


@pytest.mark.parametrize("spec", CASES)
def test_it_is_not_loaded(
    fetched: Path, spec: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither what lies in the folder, nor what would serve files to the network: one line, exit code 2."""
    where, text = CASES[spec]
    job = yaml.safe_load((fetched / "options.yaml").read_text())["job"]
    (fetched / "options.yaml").write_text(yaml.safe_dump({"job": job, NAMES[job]: spec}))
    monkeypatch.chdir(fetched.parents[1] / where)
    assert main(["predict", str(fetched), "--data", "digits"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"its options name {spec}, {text}: it is not loaded" in said
    assert not (fetched.parents[1] / "mark").exists()
