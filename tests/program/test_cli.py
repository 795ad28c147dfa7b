"""The command line from outside: help, exit codes, a user's first runs, any scheduler, S3, and show."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import until

from jobs.cli import main
from jobs.storage import open_storage

PROBLEMS = ["--problem", "problems:LeastSquares"]


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--help"], 0, "exit codes: 0 done"),
        (["--version"], 0, "dask-jobs 0."),
        ([], 2, "usage: dask-jobs COMMAND"),
        (["report", "--help"], 0, "usage: dask-jobs report RUN"),
        (["report"], 2, "usage: dask-jobs report RUN"),
    ],
)
def test_help(arguments: list[str], code: int, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Help teaches, and is no error."""
    assert main(arguments) == code
    assert text in capsys.readouterr().out


@pytest.mark.parametrize(
    "command", [["--help"], ["--version"], ["tune", "--help"], ["show", "--help"], ["status", "-h"]]
)
def test_output_that_cannot_be_written_exits_with_3(command: list[str]) -> None:
    """A full disk behind standard output is one line."""
    code = "import sys; from jobs.cli import main; sys.exit(main())"
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([sys.executable, "-c", code, *command], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.stderr.decode() == ("dask-jobs: error: standard output cannot be written: No space left on device\n")
    assert done.returncode == 3


@pytest.mark.parametrize("command", ["--help", "show {run}", "predict {run} --data digits"])
def test_output_that_is_closed_exits_with_3(command: str, tmp_path: Path) -> None:
    """So is standard output that is closed, as by `>&-`, where Python has none."""
    assert main(["minimize", "--workers", "0", "--max-iterations", "1", "--run", str(tmp_path)]) == 0
    code = "import sys; from jobs.cli import main; sys.exit(main())"
    line = [sys.executable, "-c", code, *command.format(run=tmp_path).split()]
    shell = ["bash", "-c", 'exec "$@" >&-', "bash", *line]
    done = subprocess.run(shell, capture_output=True, text=True, check=False)
    assert done.stderr == "dask-jobs: error: standard output cannot be written: Bad file descriptor\n"
    assert done.returncode == 3


def test_ctrl_c_in_the_first_moment() -> None:
    """It is one line, also while the program is imported."""
    code = """if True:
        import os, signal, sys
        class Finder:
            def find_spec(self, name, *_):
                if name == "jobs.registry":
                    os.kill(os.getpid(), signal.SIGINT)
        sys.meta_path.insert(0, Finder())
        from jobs.cli import main
        sys.exit(main(["--help"]))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == "dask-jobs: error: interrupted; the same command starts it, or goes on\n"
    assert done.returncode == 4


def test_help_of_a_command_lists_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` shows each option with its text."""
    from jobs.minimize.options import Options

    with pytest.raises(SystemExit) as end:
        main(["minimize", "--help"])
    assert end.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for name, field in Options.model_fields.items():
        assert f"--{name.replace('_', '-')}" in text
        assert str(field.description).split()[0] in text


@pytest.fixture
def dask_processes(tmp_path: Path) -> Iterator[str]:
    """Yield the address of a scheduler with one worker of two threads, started by Dask's own command line."""
    file = tmp_path / "scheduler.json"
    folders = {"PYTHONPATH": str(Path(__file__).parents[1] / "minimize"), "OMP_NUM_THREADS": "1"}
    programs = {
        "scheduler": ["--port", "0", "--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(file)],
        "worker": ["--no-nanny", "--nthreads", "2", "--no-dashboard", "--scheduler-file", str(file)],
    }
    processes = []
    try:
        for name, arguments in programs.items():
            command = [sys.executable, "-m", f"distributed.cli.dask_{name}", *arguments]
            log = (tmp_path / f"{name}.log").open("wb")
            processes.append(subprocess.Popen(command, env=os.environ | folders, stdout=log, stderr=log))
            log.close()
            until(file.exists, log=(tmp_path / f"{name}.log").read_text)
        yield json.loads(file.read_text())["address"]
    finally:
        for process in processes:
            process.terminate()
            process.wait(30)


def test_any_scheduler_and_an_s3_folder(dask_processes: str, s3: str, tmp_path: Path) -> None:
    """With DASK_SCHEDULER_ADDRESS the job runs on workers that others started, and its run folder may be in S3."""
    script = Path(sys.executable).parent / "dask-jobs"
    (tmp_path / "job.yaml").write_text("method: trust-ncg\nmax_iterations: 50\n")
    shutil.copy(Path(__file__).parents[1] / "minimize/problems.py", tmp_path)
    command = [script, "minimize", "--problem", "problems:Logistic", "--config", "job.yaml", "--run", f"{s3}/runs/7"]
    environment = os.environ | {"DASK_SCHEDULER_ADDRESS": dask_processes}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert "on 1 worker:" in done.stdout
    run = open_storage(f"{s3}/runs/7")
    result = json.loads(run.read("result.json"))
    assert (result["success"], result["method"], result["workers"]) == (True, "trust-ncg", 1)
    assert run.list("journal/")


def test_as_a_user_would(tmp_path: Path) -> None:
    """The console script runs the shipped digits, writes a report, and says where."""
    script = Path(sys.executable).parent / "dask-jobs"
    run = [script, "minimize", "--data", "digits", "--workers", "2", "--l2", "1", "--run", "runs/digits"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "converged" in done.stdout
    assert "358.54" in done.stdout
    report = subprocess.run(
        [script, "report", "runs/digits"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=240
    )
    assert Path(report.stdout.strip()).is_file()


def test_show_tells_how_a_run_stands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`show` prints the result with code 0, or the state with the code of its error, and 4 while there is none."""
    run = tmp_path / "run"
    assert main(["minimize", *PROBLEMS, "--workers", "0", "--run", str(run)]) == 0
    told = re.sub("in all .*\n", "", capsys.readouterr().out)
    assert main(["show", str(run)]) == 0
    assert capsys.readouterr().out.startswith(told + "made by   dask-jobs minimize ")
    (run / "result.json").unlink()
    status = {"job": "minimize", "attempt": 2, "updated": time.time() - 5}
    progress = {"done": 3, "total": 10, "fraction": 0.3, "eta": 1.0}
    (run / "status.json").write_text(json.dumps({**status, "state": "running", "progress": progress}))
    assert main(["show", str(run)]) == 4
    assert capsys.readouterr().out.startswith(
        "minimize running, attempt 2\nprogress    3 of 10 (30%)\nwritten     5 s ago"
    )
    (run / "status.json").write_text(json.dumps({**status, "state": "failed", "error": "no room", "exit_code": 3}))
    assert main(["show", str(run)]) == 3
    assert capsys.readouterr().out.startswith("minimize failed, attempt 2: no room\n")
    assert main(["show", str(tmp_path / "other")]) == 2
    assert "is no run folder" in capsys.readouterr().err
