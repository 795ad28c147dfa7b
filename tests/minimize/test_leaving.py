"""`sys.exit()` and its like in a problem's code: the user's error, at once, wherever it happens; never a success."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from leaving import Leaving

from jobs.errors import InputError, Stopped, UserCodeError
from jobs.minimize import Objective
from jobs.minimize.job import run
from jobs.minimize.optimize.minimize import minimize
from jobs.minimize.options import Options

HERE = Path(__file__).parent
MAIN = "import sys; from jobs.cli import main; sys.exit(main())"


def _run(command: list[str], leave: str) -> tuple[int, str]:
    environment = os.environ | {"PYTHONPATH": str(HERE), "LEAVE": leave}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert done.stdout == ""
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("where", "code", "message"),
    [
        ("import", 2, "--problem leaving:problem: cannot import it (SystemExit: 0)"),
        ("factory", 1, "--problem leaving:problem: the user's code raised SystemExit: 0"),
        ("x0", 1, "problem.x0(): the user's code raised SystemExit: 0"),
        ("names", 1, "problem.names(): the user's code raised SystemExit: 0"),
        ("load", 1, "load of block 0 (rows 0 to 7) of the shard on this process: the user's code raised SystemExit: 0"),
    ],
)
def test_the_command_line_says_so(where: str, code: int, message: str, tmp_path: Path) -> None:
    """A problem that leaves at its import ends with 2, later with 1; the last line says where."""
    command = [sys.executable, "-c", MAIN, "minimize", "--problem", "leaving:problem", "--workers", "0"]
    got, err = _run([*command, "--run", str(tmp_path / "run")], where)
    assert got == code, err
    assert message in err.splitlines()[-1]
    assert not (tmp_path / "run/result.json").exists()


@pytest.mark.parametrize(("where", "code"), [("import", 2), ("factory", 1), ("value_and_grad", 1)])
def test_a_releases_driver_says_so(where: str, code: int, tmp_path: Path) -> None:
    """The driver of a release ends with the user's code, never with 0, and does not try again."""
    options = {"problem": "leaving:problem", "workers": 0, "run": str(tmp_path / "run")}
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(options))
    command = [sys.executable, "-m", "jobs.pods.driver", "minimize", "--config", str(tmp_path / "job.yaml")]
    got, err = _run(command, where)
    assert got == code, err
    assert "SystemExit" in err
    assert '"event": "retry"' not in err


@pytest.mark.parametrize(
    ("where", "named"),
    [
        ("bounds", "problem.bounds"),
        ("penalized", r"problem.penalized\(\)"),
        ("constraint", "fun of the problem's constraints"),
    ],
)
def test_what_the_driver_asks_is_told(where: str, named: str) -> None:
    """A problem's properties, and functions that only SciPy calls, are the user's code as well."""
    with pytest.raises(UserCodeError, match=f"{named}: the user's code raised SystemExit"):
        with Objective(None, Leaving(where=where), l2=1.0) as objective:
            minimize(objective, method="SLSQP")


def test_ctrl_c_stays_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Python's own handler raises KeyboardInterrupt it is the person's, in the midst of the user's code too."""
    monkeypatch.setattr(Leaving, "x0", lambda _: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        Objective(None, Leaving())


def test_a_signal_within_the_users_code_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM that comes while x0() runs ends the job as a signal does, not as an error of that code."""
    monkeypatch.setattr(Leaving, "x0", lambda _: signal.raise_signal(signal.SIGTERM))
    monkeypatch.setenv("LEAVE", "nowhere")
    with pytest.raises(Stopped, match="stopped by SIGTERM before work began"):
        run(Options(problem="leaving:problem", workers=0, run=str(tmp_path / "run")))


def test_a_module_that_fails_to_import_is_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that a module raises at its import is an error in one line, BaseExceptions of its own included."""
    (tmp_path / "raising_module.py").write_text("class E(BaseException): ...\nraise E('two\\nlines')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError, match=r"cannot import it \(E: two lines\)"):
        Objective(None, "raising_module:problem")
