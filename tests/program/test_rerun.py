"""`dask-jobs rerun` and `compare`: the same job elsewhere, with which code, to which bits."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs.cli import main

PROBLEM = """
import numpy as np

class Problem:
    rows = 100
    def x0(self): return np.zeros(2)
    def load(self, start, stop): return np.arange(start, stop, dtype=float)
    def value_and_grad(self, theta, data):
        gap = theta - TARGET
        return float(len(data) * gap @ gap), 2 * len(data) * gap

def problem(): return Problem()
TARGET = {target}
"""


def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the next command import the module anew, as a process of its own would."""
    from jobs import sources

    monkeypatch.delitem(sys.modules, "again_model", raising=False)
    monkeypatch.setattr(sources, "_loaded", {})


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """Return a folder with a user's module and a run of it, which is the current one."""
    (tmp_path / "again_model.py").write_text(PROBLEM.format(target=3.0))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # else an edit within a second is not seen
    _forget(monkeypatch)
    assert main(["minimize", "--problem", "again_model:problem", "--workers", "0", "--run", "runs/a"]) == 0
    capsys.readouterr()
    _forget(monkeypatch)
    return tmp_path


def _rerun(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["rerun", *arguments])
    out, err = capsys.readouterr()
    notes = "\n".join(line for line in err.splitlines() if not line.startswith("{"))
    return code, out, notes


def test_the_same_again(place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """In a new folder each time, to the same bits; another option is a difference that is named."""
    code, out, notes = _rerun(capsys, "runs/a")
    assert code == 0
    assert out.splitlines()[-1] == "the same bits as runs/a (x.npy)"
    assert "code: that of here, which is the run's (again_model.py, code " in notes
    assert "run folder runs/a-rerun-1; --run runs/a-rerun-1 would resume it" in notes
    _forget(monkeypatch)
    code, out, _ = _rerun(capsys, "runs/a", "--l2", "3")
    assert out.splitlines()[-1] == "not the bits of runs/a (x.npy); different are: l2 (0.0, now 3.0)"
    assert yaml.safe_load((place / "runs/a-rerun-2/options.yaml").read_text())["l2"] == 3.0
    assert json.loads((place / "runs/a-rerun-2/provenance/0001.json").read_text())["command"] == [
        "dask-jobs", "rerun", "runs/a", "--l2", "3",
    ]  # fmt: skip


def test_changed_code(place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The code here by default, with a line that says what differs; the run's own by --code run."""
    (place / "again_model.py").write_text(PROBLEM.format(target=4.0))
    _, out, notes = _rerun(capsys, "runs/a")
    assert "code: that of here; again_model.py differs from the run's (again_model.py, code " in notes
    assert "); --code run takes the copy in runs/a/code/" in notes
    assert "not the bits of runs/a (x.npy); different are: code (" in out
    _forget(monkeypatch)
    code, out, notes = _rerun(capsys, "runs/a", "--code", "run", "--run", "runs/kept", "--workers", "1")
    assert code == 0
    assert "code: the copy in runs/a/code/" in notes
    assert out.splitlines()[-1] == "the same bits as runs/a (x.npy)"
    assert not list((place / "runs").rglob("__pycache__"))


def test_code_that_is_not_here(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the module the copy is what helps, and it is not taken unasked."""
    (place / "again_model.py").unlink()
    code, _, notes = _rerun(capsys, "runs/a")
    assert code == 2
    assert "again_model.py is not on the Python path here: go to its folder; --code run takes the copy in" in notes
    assert not (place / "runs/a-rerun-1").exists()
    assert _rerun(capsys, "runs/a", "--code", "run")[1].splitlines()[-1] == "the same bits as runs/a (x.npy)"


def test_a_copy_that_was_changed_is_not_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A copy of which the provenance says another digest is refused."""
    (copy,) = (place / "runs/a/code").glob("*/again_model.py")
    copy.write_text("raise SystemExit(9)\n")
    code, _, notes = _rerun(capsys, "runs/a", "--code", "run")
    assert code == 2
    assert "again_model.py was changed since it was copied" in notes


@pytest.mark.parametrize("spec", ["os:system", "planted:problem"])
def test_a_hostile_folder_chooses_no_code(
    spec: str, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Options of a fetched folder name neither Python's library nor a module within the folder."""
    options = yaml.safe_load((place / "runs/a/options.yaml").read_text())
    (place / "runs/a/options.yaml").write_text(yaml.safe_dump({**options, "problem": spec}))
    (place / "runs/a/planted.py").write_text("raise SystemExit(9)\n")
    monkeypatch.chdir(place / "runs/a")
    code, _, notes = _rerun(capsys, str(place / "runs/a"), "--run", str(place / "new"))
    assert code == 2
    assert f"its options name {spec}, " in notes
    assert notes.endswith("it is not loaded")


def test_mistakes_are_one_line(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be is said before anything is written."""
    for arguments, text in {
        ("runs/a", "--run", "runs/a"): "--run runs/a is the run that is to be repeated: give another folder",
        ("runs/a", "--code", "mine"): "--code is 'mine', but must be here or run",
        ("runs/a", "--config", "x.yaml"): "--config x.yaml: rerun takes the options of runs/a; give others singly",
        ("runs/a", "--ltwo", "1"): "--ltwo: there is no such option; did you mean '--tol'? (dask-jobs rerun RUN --help",
        ("runs/none",): "is no run folder",
    }.items():
        code, _, notes = _rerun(capsys, *arguments)
        assert code == 2
        assert text in notes
    assert [path.name for path in (place / "runs").iterdir()] == ["a"]
    with pytest.raises(SystemExit):
        main(["rerun", "runs/a", "--help"])
    shown = capsys.readouterr().out
    assert "usage: dask-jobs rerun RUN" in shown
    assert "--code here|run" in shown
    assert "--l2 NUMBER" in shown


def test_a_scheduler_is_not_taken_over(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """That of a release is gone, and the number of workers was its own."""
    options = yaml.safe_load((place / "runs/a/options.yaml").read_text())
    changed = {**options, "scheduler": "tcp://fit-driver-1:8786", "workers": 50}
    (place / "runs/a/options.yaml").write_text(yaml.safe_dump(changed))
    code, out, notes = _rerun(capsys, "runs/a", "--workers", "0")
    assert code == 0, notes
    assert "the run's scheduler tcp://fit-driver-1:8786 is not used: give --scheduler, or --workers of this" in notes
    assert notes.count("the run's scheduler") == 1
    assert out.splitlines()[-1] == "the same bits as runs/a (x.npy)"


def test_a_command_of_the_folder_is_not_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was called at the end, or with each event, is not taken over: the folder may come from elsewhere."""
    options = yaml.safe_load((place / "runs/a/options.yaml").read_text())
    changed = {**options, "on_end": "touch ran", "observer": "again_model:problem"}
    (place / "runs/a/options.yaml").write_text(yaml.safe_dump(changed))
    code, _, notes = _rerun(capsys, "runs/a")
    assert code == 0, notes
    assert "--on-end of the run is not taken over: give it anew, if it is to be called" in notes
    assert "--observer of the run is not taken over" in notes
    assert not (place / "ran").exists()


def test_instructions_are_chosen_before_numpy_is_loaded() -> None:
    """What rerun reads of a folder needs no NumPy: `--cpu portable` of a run is set before it is loaded."""
    script = "import sys, jobs.commands, jobs.catalog.rerun; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_comparison(place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Options that differ, results and origins side by side; for programs a row per run."""
    _rerun(capsys, "runs/a", "--l2", "3", "--run", "runs/b")
    assert main(["compare", "runs/a", "runs/b"]) == 0
    shown = capsys.readouterr().out
    tables = {part.split("  ")[0]: part.splitlines() for part in shown.split("\n\n")}
    assert [line.split() for line in tables["Options that differ"]][1:] == [["l2", "0", "3"]]
    assert [line.split()[0] for line in tables["Results"]][1:3] == ["loss", "largest"]
    assert tables["Made of"][1].split()[1] == tables["Made of"][1].split()[2] != "none"
    assert "Packages that differ" not in tables
    assert [line for line in shown.splitlines() if line != line.rstrip()] == []
    assert main(["compare", "runs/a", "runs/b", "--output", "csv"]) == 0
    one, other = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (one["option.l2"], other["option.l2"]) == ("0.0", "3.0")
    assert float(one["result.loss"]) < float(other["result.loss"])
    assert one["made_of.code"] == other["made_of.code"]
    assert one["written"].startswith("20")
    assert main(["compare", "runs/a"]) == 2
    assert "runs/a is one run: give at least two, or dask-jobs show runs/a" in capsys.readouterr().err


def _damaged(place: Path, name: str, content: Any) -> None:
    (place / "runs/b" / name).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("result.json", {"job": "minimize", "diagnostics": 7, "seconds": "x", "workers": {"\x1b": "\x1b"}, "fun": []}),
        ("status.json", {"job": "minimize", "metrics": [1], "updated": 1e300}),
        ("data.json", b"[7]"), ("data.json", b"{"), ("arithmetic.json", b"7"), ("provenance/0001.json", b"{"),
        ("history.csv", b"x\x1b"), ("options.yaml", b"job: minimize\n\x1b: 1"),
    ],
)  # fmt: skip
def test_a_damaged_run_is_compared_or_one_line(
    name: str, content: Any, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever one folder holds: no traceback, and no terminal or page is controlled."""
    shutil.copytree(place / "runs/a", place / "runs/b")
    _damaged(place, name, content)
    for form in ("table", "json", "csv", "html"):
        code = main(["compare", "runs/a", "runs/b", "--output", form])
        out, err = capsys.readouterr()
        assert code in (0, 2)
        assert "Traceback" not in err
        assert form == "html" or "\x1b" not in out.replace("\\u001b", "") or form == "csv"
