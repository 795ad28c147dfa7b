"""Drivers that are killed, stopped or run out of room: the same command goes on and ends with the same bits."""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from waiting import until

from jobs.errors import InputError
from jobs.minimize.job import run
from jobs.minimize.journal_log import MAGIC
from jobs.minimize.optimize.methods import METHODS
from jobs.minimize.options import Options
from jobs.storage import Storage, open_storage

HERE = Path(__file__).parent
SLOW = ["minimize", "--problem", "mortal:slow", "--options", "ftol=1e-14,gtol=1e-9"]


def _start(*arguments: str, **settings: Any) -> subprocess.Popen[str]:
    """Start the command line in a process of its own, where the tests' problems can be imported."""
    command = [sys.executable, "-c", "import sys; from jobs.cli import main; sys.exit(main())", *arguments]
    environment = os.environ | {"PYTHONPATH": str(HERE)}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **settings
    )


def _end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


def _wait_for_records(storage: Storage, attempt: int, count: int) -> None:
    """Wait until an attempt's log holds so many records; each of them, and the log itself, begins with MAGIC."""

    def are_there() -> bool:
        with storage.read_log(f"journal/{attempt:04d}") as stream:
            return stream.read().count(MAGIC) > count

    until(are_there)


def _x(storage: Storage) -> bytes:
    return np.load(io.BytesIO(storage.read("x.npy"))).tobytes()  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Return, for each method, what came of runs whose driver was killed twice and started again."""
    folder = tmp_path_factory.mktemp("resume")
    done = subprocess.run(
        [sys.executable, HERE / "resume_all.py", folder],
        env=os.environ | {"PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.mark.parametrize("method", METHODS)
def test_kill_9_of_the_driver_changes_no_bit(method: str, interrupted: dict[str, dict[str, Any]]) -> None:
    """Killed twice, a run of any method ends as if it had run through, and repeats only the passes it died in."""
    what = interrupted[method]
    assert what["codes"] == [0, -signal.SIGKILL, -signal.SIGKILL, 0]
    assert what["equal"]
    assert what["success"]
    assert what["repeated"] == 2


def test_kill_9_with_a_cluster(storage: Storage) -> None:
    """With workers, on a local or S3 run folder: the driver dies, its workers end, and the next attempt ends equal."""
    whole = open_storage(f"{storage.url}/whole")
    cut = open_storage(f"{storage.url}/cut")
    assert _end(_start(*SLOW, "--workers", "0", "--run", whole.url))[0] == 0
    process = _start(*SLOW, "--workers", "2", "--run", cut.url)
    _wait_for_records(cut, 1, 4)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    _end(process)
    assert len(workers) >= 2
    _, alive = psutil.wait_procs(workers, timeout=240)
    assert not alive
    code, out, err = _end(_start(*SLOW, "--workers", "2", "--run", cut.url))
    assert code == 0, err
    assert "replayed from the journal" in out
    assert _x(cut) == _x(whole)
    results = [json.loads(folder.read("result.json")) for folder in (whole, cut)]
    assert [result["nfev"] for result in results] == [results[0]["nfev"]] * 2
    assert results[1]["attempt"] == 2
    assert results[1]["diagnostics"]["replayed"] >= 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_exits_with_4(number: signal.Signals, tmp_path: Path) -> None:
    """A stopped run says so in one line, keeps its best point, and the same command ends it with equal bits."""
    whole, cut = open_storage(tmp_path / "whole"), open_storage(tmp_path / "cut")
    assert _end(_start(*SLOW, "--workers", "0", "--run", whole.url))[0] == 0
    process = _start(*SLOW, "--workers", "2", "--run", cut.url, start_new_session=True)
    _wait_for_records(cut, 1, 4)
    if number == signal.SIGINT:  # as Ctrl-C does: to the workers too
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    code, _, err = _end(process)
    assert code == 4
    assert f"dask-jobs: error: stopped by {number.name}; all is saved" in err
    assert "Traceback" not in err
    status = json.loads(cut.read("status.json"))
    assert status["state"] == "stopped"
    assert np.isfinite(np.load(io.BytesIO(cut.read("x.npy")))).all()
    assert cut.read("history.csv").count(b"\n") >= 3
    assert _end(_start(*SLOW, "--workers", "0", "--run", cut.url))[0] == 0
    assert _x(cut) == _x(whole)


def test_ctrl_c_before_work_begins(tmp_path: Path) -> None:
    """While workers are starting, Ctrl-C, which reaches them too, is one line and exit code 4."""
    for delay in (0.0, 1.5):
        process = _start(*SLOW, "--workers", "2", "--run", str(tmp_path / str(delay)), start_new_session=True)
        assert process.stderr is not None
        assert any("starting workers" in process.stderr.readline() for _ in range(2))
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGINT)
        code, _, err = _end(process)
        lines = [line for line in err.splitlines() if " minimize: " not in line]
        assert (code, len(lines)) == (4, 1), err


def test_a_second_driver_is_refused(tmp_path: Path) -> None:
    """While a driver is at work on a folder of this machine, another one ends with exit code 2 and touches nothing."""
    long = [*SLOW[:3], "--method", "Nelder-Mead", "--workers", "0", "--run", str(tmp_path / "run")]
    process = _start(*long)
    try:
        _wait_for_records(open_storage(tmp_path / "run"), 1, 4)
        code, _, err = _end(_start(*long))
        assert (code, f"another driver, process {process.pid}, is at work on it" in err) == (2, True), err
    finally:
        process.terminate()
        assert _end(process)[0] == 4
    assert [path.name for path in (tmp_path / "run/attempts").iterdir()] == ["0001"]


def test_a_deadline_exits_with_4(tmp_path: Path) -> None:
    """A job past its deadline stops as by a signal, and goes on when it is started again without one."""
    code, _, err = _end(_start(*SLOW, "--workers", "0", "--deadline", "0.4", "--run", str(tmp_path)))
    assert (code, "stopped by the deadline of 0.4 s; all is saved" in err) == (4, True)
    assert _end(_start(*SLOW, "--workers", "0", "--run", str(tmp_path)))[0] == 0
    assert json.loads((tmp_path / "result.json").read_bytes())["attempt"] == 2


def _options(folder: Path, **more: Any) -> Options:
    return Options(problem="problems:Logistic", workers=0, run=str(folder), **more)


def test_a_finished_run_is_not_repeated(tmp_path: Path) -> None:
    """The same options on a finished folder return its result; more iterations go on from it."""
    first = run(_options(tmp_path, max_iterations=3))
    assert not first["success"]
    again = run(_options(tmp_path, max_iterations=3))
    assert again["already"]
    assert again["fun"] == first["fun"]
    more = run(_options(tmp_path))
    assert more["success"]
    assert more["diagnostics"]["replayed"] == first["nfev"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"l2": 0.5}, "l2 was 0.0, and is now 0.5"),
        ({"l1": 0.5}, "l1 was 0.0, and is now 0.5"),
        ({"method": "BFGS"}, "method was L-BFGS-B, and is now BFGS"),
        ({"options": {"maxcor": 3}}, r"options was \[\], and is now \[\('maxcor', 3\)\]"),
        ({"problem": "problems:LeastSquares"}, "problem was problems:Logistic, and is now problems:LeastSquares"),
    ],
)
def test_another_runs_folder_is_refused_and_kept(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    """Options that make another run are refused in one line, and the folder stays as it was."""
    run(_options(tmp_path))
    before = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=message):
        run(_options(tmp_path).model_copy(update=changed))
    assert {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_past_its_limit_a_run_starts_warm(tmp_path: Path) -> None:
    """A journal that is too small is given up for the best point, from which the next attempt goes on, and says so."""
    limited = _options(tmp_path, journal_limit=250 / 2**30, max_iterations=3)
    first = run(limited)
    assert (tmp_path / "journal-full").exists()
    second = run(limited.model_copy(update={"max_iterations": 200}))
    assert second["success"]
    assert second["diagnostics"]["replayed"] == 0
    assert second["fun"] < first["fun"]
    warm = np.load(tmp_path / "warm.npy")
    assert np.loadtxt(tmp_path / "history.csv", delimiter=",", skiprows=1)[0, 2] == pytest.approx(first["fun"])
    assert warm.size == 3


def test_a_full_disk_ends_with_3_and_loses_nothing(tmp_path: Path) -> None:
    """A run folder without room ends the attempt as a cluster failure; with room the same command goes on."""
    whole, cut = open_storage(tmp_path / "whole"), open_storage(tmp_path / "cut")
    assert _end(_start(*SLOW, "--workers", "0", "--run", whole.url))[0] == 0

    process = _start(*SLOW, "--workers", "0", "--run", cut.url)
    until(lambda: cut.list("journal/"), process=process)  # the provenance is larger than that, and written before
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (2500, 2500))
    code, _, err = _end(process)
    assert code == 3, err
    assert "dask-jobs: error: " in err
    assert "Traceback" not in err
    assert _end(_start(*SLOW, "--workers", "0", "--run", cut.url))[0] == 0
    assert _x(cut) == _x(whole)
    assert json.loads(cut.read("result.json"))["diagnostics"]["replayed"] >= 3
