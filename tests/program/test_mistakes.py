"""The command line: what people type wrong is one line that names the argument, the value and the rule; exit codes."""

from __future__ import annotations

import gzip
import json
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jobs.cli import main

PROBLEMS = ["--problem", "problems:LeastSquares"]


def _fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Run a command that must fail and return its exit code and its one line."""
    code = main(arguments)
    # Beside what has been done by then.
    lines = [line for line in capsys.readouterr().err.splitlines() if not re.match(r"\d\d:\d\d:\d\d minimize: ", line)]
    assert len(lines) == 1, lines
    assert lines[0].startswith("dask-jobs: error: ")
    return code, lines[0].removeprefix("dask-jobs: error: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methd", "BFGS"], "--methd: there is no such option; did you mean '--method'?"),
        (["--method", "LBFGS"], "--method is 'LBFGS'; did you mean 'L-BFGS-B'?"),
        (["--options", "maxcorr=3"], "--options maxcorr: L-BFGS-B takes no option 'maxcorr'; did you mean 'maxcor'?"),
        (["--max-iterations", "0"], "--max-iterations is '0', but must be greater than 0"),
        (["--max-iterations", "many"], "--max-iterations is 'many', but must be a valid integer"),
        (["--l2"], "argument --l2: expected one argument"),
        (["stray"], "unrecognized arguments: stray"),
        (["--options", "maxcor"], "--options must be given as name=value"),
        (["--options", "maxcor=twenty"], "--options maxcor is 'twenty', but must be a number"),
        (["--options", "maxcor=*x"], "--options maxcor is '*x', but must be a number"),
        (["--options", "maxcor=2026-13-01"], "--options maxcor is '2026-13-01', but must be a number"),
        (["--options", f"maxcor={'[' * 5000}"], "', but must be a number"),
        (["--threads", "2"], "--threads is 2, but with --workers 0 all happens on one thread"),
        (["--dtype", "float32"], "--dtype float32 and --problem problems:LeastSquares exclude each other"),
        (["--l2=-1"], "--l2 is '-1', but must be greater than or equal to 0"),
        (["--on-nan", "ignore"], "--on-nan is 'ignore', but must be 'fail' or 'inf'"),
        (["--data", "digits"], "--data digits and --problem problems:LeastSquares exclude each other"),
        (["--problem", "problems:Nothing"], "--problem problems:Nothing: module 'problems' has no 'Nothing'"),
        (["--problem", "nowhere:problem"], "--problem nowhere:problem: cannot import it"),
        (["--problem", "problems"], "--problem is 'problems', but must be 'module:function'"),
        (["--problem", "problems:ValueOnly", "--method", "dogleg"], "--method dogleg needs a gradient"),
        (["--problem", "problems:ValueOnly", "--l1", "1"], "--l1 is 1.0, but needs a gradient"),
        (["--bounds", "0,1,2"], "--bounds is [0.0, 1.0, 2.0], but must be [low, high], or 3 such pairs"),
        (["--bounds", "1,0"], "--bounds: pair 0 is [1.0, 0.0], but low must be <= high"),
        (["--bounds", "0,1", "--method", "BFGS"], "--method BFGS takes no bounds"),
        (["--bounds", "0,1", "--l1", "1"], "--l1 is 1.0 together with bounds"),
        (["--l1", "1", "--method", "TNC"], "--l1 is 1.0 together with --method TNC"),
        (["--x0", "nowhere.npy"], "--x0 nowhere.npy: cannot be read as .npy"),
        (["--config", "nowhere.yaml"], "--config nowhere.yaml: No such file"),
        (["--run", "ftp://host/run"], "'ftp://host/run': the folder must be a local path or s3://bucket/prefix"),
        (["--run", "/proc/nothing/run"], "no write access"),
        (["--run", "r" * 300], "cannot be written (File name too long); check the path"),
        (["--l2", "inf"], "--l2 is inf, but must be a finite number >= 0"),
        (["--options", "[[0,1],[0,null]]"], "--options must be given as name=value"),
        (["--options", "[" * 3000], "--options must be given as name=value"),
        (["--options", '{"a":' * 3000 + "1" + "}" * 3000], "--options must be given as name=value"),
        (["--options", '{"a":' * 300 + "1" + "}" * 300], "--options is nested too deeply, or in itself"),
        (["--bounds", "[" * 3000], "--bounds must be given as name=value"),
        (["--options", f"maxcor={'x' * 5000}"], "xxx', but must be a number"),
    ],
)
def test_bad_options(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each wrong option ends with exit code 2 before any work, and leaves no run behind."""
    monkeypatch.chdir(tmp_path)
    problem = [] if "--problem" in arguments else PROBLEMS
    code, line = _fails(capsys, "minimize", "--workers", "0", "--run", "run", *problem, *arguments)
    assert code == 2
    assert message in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("metod: BFGS", "there is no option 'metod'; did you mean 'method'?"),
        ("method: [BFGS", "no YAML"),
        ("- method", "holds list, but must hold 'option: value' lines"),
        ("max-iterations: -4", "--max-iterations is -4, but must be greater than 0"),
        ("job: tune", "holds options of another job, not of 'minimize'"),
        ("tol: 2026-13-01", "no YAML (month must be in 1..12)"),
        ("tol: !!float abc", "no YAML (could not convert string to float: 'abc')"),
        ("workers: !!int abc", "no YAML (invalid literal for int() with base 10: 'abc')"),
        ("x0: !!bool abc", "no YAML ('abc')"),
        ("x0: !!timestamp abc", "no YAML ("),
        (f"workers: {'7' * 5000}", "no YAML (Exceeds the limit"),
        (f"options: {'[' * 3000}", "no YAML (maximum recursion depth exceeded"),
        ("? [1, 2]\n: 3", "no YAML ("),
        (f"? {hex(10**5000)}\n: 3", "there is no option 'a value of type int'"),
        (f"workers: -{hex(10**5000)}", "--workers is a value of type int, but must be greater than or equal to 0"),
        (f"options: {'[' * 33}1{']' * 33}", "--options is nested too deeply, or in itself: at most 32 levels"),
        ("bounds: &a [*a]", "--bounds is nested too deeply, or in itself: at most 32 levels"),
        (f"max_iterations: {'7' * 400}", f"--max-iterations is {'7' * 80}...{'7' * 20}, but must be less than 2**63"),
        (f"max_iterations: {hex(10**5000)}", "--max-iterations is a value of type int, but must be less than 2**63"),
        (f"options: {{maxcor: {hex(10**5000)}}}", "--options maxcor is a value of type int, but must be a number"),
        ("workers: true", "--workers is True, but must be a number, and no boolean"),
        ("l2: false", "--l2 is False, but must be a number, and no boolean"),
        (f"max_iterations: -{'7' * 400}", f"--max-iterations is -{'7' * 79}...{'7' * 20}, but must be greater than 0"),
    ],
)
def test_bad_configuration(content: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The YAML file is checked as the command line is."""
    (tmp_path / "job.yaml").write_text(content)
    code, line = _fails(
        capsys, "minimize", *PROBLEMS, "--config", str(tmp_path / "job.yaml"), "--run", str(tmp_path / "run")
    )
    assert (code, message in line) == (2, True), line


@pytest.mark.parametrize("run", ["a\\0b", "\\ud800", "s3://bucket/a\\0b", "s3://bucket/\\ud800"])
def test_a_run_folder_that_cannot_be_named(run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of options can hold what a command line cannot: characters that no path has."""
    (tmp_path / "job.yaml").write_text(f'run: "{run}"\n')
    code, line = _fails(capsys, "minimize", *PROBLEMS, "--workers", "0", "--config", str(tmp_path / "job.yaml"))
    named = run.replace("\\0", "\\x00")
    assert (code, line) == (2, f"'{named}': the folder has a character that no path can have; choose another one")


def test_what_scipy_refuses_is_a_bad_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A value that only SciPy knows to be wrong is one line and exit code 2, not a traceback."""
    code, line = _fails(
        capsys, "minimize", *PROBLEMS, "--workers", "0", "--options", "maxcor=2.5", "--run", str(tmp_path / "run")
    )
    assert (code, "--method L-BFGS-B: SciPy does not take these options: " in line) == (2, True), line


def test_the_command_line_wins_over_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Options come from the file unless the command line gives them; a run's options.yaml is such a file."""
    (tmp_path / "job.yaml").write_text("method: BFGS\nmax_iterations: 7\noptions: {gtol: 1.0e-3}\n")
    run = str(tmp_path / "run")
    base = ["minimize", *PROBLEMS, "--workers", "0"]
    assert main([*base, "--config", str(tmp_path / "job.yaml"), "--method", "CG", "--run", run]) == 0
    result = json.loads((tmp_path / "run/result.json").read_bytes())
    assert result["method"] == "CG"
    capsys.readouterr()
    assert main(["minimize", "--config", f"{run}/options.yaml"]) == 0
    assert "nothing was done" in capsys.readouterr().out


def test_bounds_and_constraints_of_a_problem(tmp_path: Path) -> None:
    """--bounds takes one pair for all, YAML takes one a parameter, and the result keeps to them."""
    assert main(["minimize", *PROBLEMS, "--workers", "0", "--bounds", "0,1.5", "--run", str(tmp_path / "a")]) == 0
    assert np.load(tmp_path / "a/x.npy").max() == 1.5
    (tmp_path / "job.yaml").write_text("bounds: [[null, 0.5], [0, 1], [.inf, .inf]]\n")
    assert main(["minimize", *PROBLEMS, "--config", str(tmp_path / "job.yaml"), "--run", str(tmp_path / "b")]) == 2


def test_users_code_that_fails_exits_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bug in the user's problem is exit code 1: their traceback, then one line; status.json keeps both."""
    (tmp_path / "mine.py").write_text(
        "from faulty import Bad\ndef problem():\n    return Bad(how='raise')\ndef broken():\n    return 1 / 0\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        assert main(["minimize", "--problem", "mine:problem", "--workers", "0", "--run", str(tmp_path / "run")]) == 1
        error = capsys.readouterr().err
        assert 'raise ZeroDivisionError("a bug of mine")' in error
        last = error.splitlines()[-1]
        assert last.startswith(
            "dask-jobs: error: value_and_grad on block 3 (rows 24 to 31) of the shard on this process"
        )
        assert json.loads((tmp_path / "run/status.json").read_bytes())["state"] == "failed"
        assert main(["minimize", "--problem", "mine:broken", "--workers", "0", "--run", str(tmp_path / "run2")]) == 1
    finally:
        sys.path.remove(str(tmp_path))


def test_a_scheduler_that_does_not_answer_exits_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An address where nobody answers is told within --connect-timeout."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        code, line = _fails(
            capsys,
            "minimize",
            *PROBLEMS,
            "--scheduler",
            address,
            "--connect-timeout",
            "1",
            "--run",
            str(tmp_path / "run"),
        )
    assert code == 3
    assert line.startswith(f"--scheduler {address}: no answer in 1 s (--connect-timeout)")


def test_no_scheduler_address_exits_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An address that is none is told as such."""
    code, line = _fails(capsys, "minimize", *PROBLEMS, "--scheduler", "udp:/x", "--run", str(tmp_path / "run"))
    assert code == 2
    assert "--scheduler is 'udp:/x', but must be an address like tcp://host:8786" in line


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "idx:"),
        (lambda folder: _idx(folder, magic=7), "magic"),
        (lambda folder: _idx(folder, cut=10), "bytes"),
        (lambda folder: _idx(folder, labels=9), "labels"),
    ],
)
def test_bad_data_exits_with_2(
    make: Callable[[Path], None], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Data that are missing, cut short, of another format or of unequal rows are found before a cluster is started."""
    make(tmp_path / "data")
    code, line = _fails(capsys, "minimize", "--data", f"idx:{tmp_path / 'data'}", "--run", str(tmp_path / "run"))
    assert (code, message in line) == (2, True), line


def _idx(folder: Path, magic: int = 2051, cut: int = 0, labels: int = 10) -> None:
    folder.mkdir()
    images = magic.to_bytes(4) + (10).to_bytes(4) + (4).to_bytes(4) * 2 + bytes(160)
    (folder / "train-images-idx3-ubyte").write_bytes(images[: len(images) - cut])
    with gzip.open(folder / "train-labels-idx1-ubyte.gz", "wb") as file:
        file.write((2049).to_bytes(4) + labels.to_bytes(4) + bytes(labels))


@pytest.mark.parametrize("arguments", [["minimise"], ["--run", "x"], ["report", "/nowhere/at/all"]])
def test_wrong_commands(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A command that does not exist, or a report of no run, is exit code 2 and one line."""
    assert _fails(capsys, *arguments)[0] == 2
