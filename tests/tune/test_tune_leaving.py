"""What is no `Exception` in the user's code, `sys.exit()` and its like: told at once, and never taken for success."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import raising

from jobs import cli
from jobs.errors import InputError, UserCodeError
from jobs.tune import space
from jobs.tune.job import plan
from jobs.tune.options import Options

COMMAND = "import sys; from jobs.cli import main; sys.exit(main())"
RAISED = (
    "SystemExit(0)",
    "KeyboardInterrupt()",
    "GeneratorExit()",
    "__import__('asyncio').CancelledError()",
    "BaseException('mine')",
)
HOOKS = {
    "check_parameters()": "def check_parameters(given): leave()\n",
    "data_files()": "def data_files(fixed): leave()\n",
    "SPACE": "class Space(dict):\n    def items(self): leave()\n    keys = __iter__ = items\nSPACE = Space(SPACE)\n",
}


@pytest.mark.parametrize("raised", RAISED)
def test_a_module_that_leaves_at_import(raised: str, tmp_path: Path) -> None:
    """The command ends with code 2 and one line, before there is a run folder."""
    (tmp_path / "left.py").write_text(f"raise {raised}\n")
    command = [sys.executable, "-c", COMMAND, "tune", "--objective", "left:train", "--run", "run"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("dask-jobs: error: --objective left:train: cannot import it (")
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("raised", [*RAISED, "ValueError('mine')"])
@pytest.mark.parametrize("hook", HOOKS)
def test_hooks_of_a_module_that_leave(
    hook: str, raised: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is asked before work begins and raises what is no InputError is the user's error, with its traceback."""
    text = f"def leave(): raise {raised}\nSPACE = {{'x': {{'uniform': [0, 1]}}}}\n{HOOKS[hook]}def train(p): return 0\n"
    (tmp_path / "hooked.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "hooked", raising=False)
    assert cli.main(["tune", "--objective", "hooked:train", "--run", str(tmp_path / "run")]) == 1
    err = capsys.readouterr().err
    assert err.splitlines()[-1].startswith(f"dask-jobs: error: {hook}: the user's code raised ")
    assert "in leave" in err
    assert not (tmp_path / "run").exists()


def test_ctrl_c_while_the_module_is_imported(tmp_path: Path) -> None:
    """A signal that comes before work begins ends the command with code 4 and one line, also within the user's code."""
    (tmp_path / "slow.py").write_text("import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n")
    command = [sys.executable, "-c", COMMAND, "tune", "--objective", "slow:train", "--run", "run"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240)
    assert ended.returncode == 4
    assert ended.stderr == ("dask-jobs: error: stopped by SIGINT before work began; the same command starts it\n")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("isolate", [False, True])
def test_trials_that_leave(isolate: bool, studies: Any) -> None:  # noqa: FBT001
    """Each such trial is a failed one, at once and once, and the search goes on in the same workers."""
    kinds = ["exit", "interrupt", "generator", "cancelled", "own"]
    study = studies(raising.goes, {"x": space.choice(kinds)}, sampler="grid", isolate=isolate)
    with pytest.raises(UserCodeError, match="all 5 trials have failed"):
        study.run(trials=5)
    rows = study.rows()
    names = ["SystemExit: 0", "KeyboardInterrupt", "GeneratorExit", "CancelledError", "Leave"]
    assert {row["params_x"]: row["error"] for row in rows} == dict(zip(kinds, names, strict=True))
    assert {(row["state"], row["tries"]) for row in rows} == {("failed", 1)}


def _plan(objective: Any) -> None:
    plan(Options(objective="a:b", space={"x": {"uniform": [0, 1]}}), objective)


class _Unpicklable:
    def __call__(self, params: Any) -> float:
        return 0.0

    def __reduce__(self) -> Any:
        raise raising.Leave


class _Empty:
    def __call__(self, params: Any) -> float:
        return 0.0

    def __len__(self) -> int:
        return 0


def test_objects_that_leave_when_they_are_looked_at() -> None:
    """An object that does not tell its arguments, or cannot be pickled, is refused in one line; an empty one is not."""
    with pytest.raises(InputError, match=r"does not say what arguments it takes \(Leave:\): give a plain function"):
        _plan(raising.Secretive())
    with pytest.raises(InputError, match=r"cannot be pickled \(Leave:\)"):
        _plan(_Unpicklable())
    _plan(_Empty())
