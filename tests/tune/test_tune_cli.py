"""`dask-jobs tune`: bad input in one line before work begins, kills of the driver, S3, and what is printed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml
from waiting import until

from jobs import cli, registry
from jobs.runs.provenance.reading import read_provenance
from jobs.storage import Storage, open_storage
from jobs.tune import space
from jobs.tune.options import Options
from jobs.tune.records.table import load_study, rows

SPACE = "x: {uniform: [0, 1]}\n"


def _run(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "import sys; from jobs.cli import main; sys.exit(main())", "tune", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def _end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


@contextlib.contextmanager
def _started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Yield a driver; its workers do not outlive the test."""
    process = _run(*arguments)
    try:
        yield process
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
        process.kill()
        process.communicate()


@pytest.fixture
def space_file(tmp_path: Path, traces: Path) -> str:
    (tmp_path / "space.yaml").write_text(f"{SPACE}folder: {{choice: ['{traces}']}}\n")
    return str(tmp_path / "space.yaml")


GOOD = {"--objective": "trials:sleeps", "--space": "SPACE", "--run": "RUN"}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"--space": None}, "--space is missing"),
        ({"--objective": "nowhere:train"}, "--objective nowhere:train: cannot import it"),
        ({"--objective": "trials:three"}, "--objective trials:three needs more than (parameters, trial)"),
        ({"--space": "nowhere.yaml"}, "--space nowhere.yaml: No such file or directory"),
        ({"--trials": "0"}, "--trials is '0', but must be greater than 0"),
        ({"--trials": "many"}, "--trials is 'many', but must be a valid integer"),
        ({"--sampler": "tpee"}, "--sampler is 'tpee', but must be 'random', 'grid', 'qmc', 'tpe'"),
        ({"--pruner": "ahsa"}, "--pruner is 'ahsa', but must be 'asha', 'median'"),
        ({"--pruner-options": "eta=3"}, "--pruner asha does not take these --pruner-options"),
        ({"--direction": "up"}, "--direction is 'up', but must be 'maximize' or 'minimize'"),
        ({"--direction": "maximize,minimize"}, "must be one for each of 1 objectives"),
        ({"--metric": "a,b"}, "must be one for each of 2 objectives"),
        ({"--metric": "a", "--constraints": "a"}, "name the same metric twice"),
        (
            {"--metric": "a,b", "--direction": "maximize,minimize", "--pruner": "asha"},
            "--pruner is 'asha', but with several --metric only none works",
        ),
        (
            {"--metric": "a,b", "--direction": "maximize,minimize", "--target": "1"},
            "--target is 1, but with several --metric there is no single best",
        ),
        ({"--workers": "0"}, "--workers is '0', but must be greater than or equal to 1"),
        ({"--seed": "-1"}, "--seed is '-1', but must be greater than or equal to 0"),
        ({"--trail": "3"}, "--trail: there is no such option; did you mean '--trials'?"),
        ({"--fixed": "x=1"}, "--fixed x is in the --space too; remove one of them"),
        ({"--fixed": "day=2026-11-20"}, "day is datetime.date(2026, 11, 20), but must be a number, a text"),
        (
            {"--objective": "jobs.tune.cnn:train", "--space": None, "--fixed": "epoch=2"},
            "the shipped network takes no 'epoch'; did you mean 'epochs'?",
        ),
        ({"--objective": "jobs.tune.cnn:train"}, "the shipped network takes no 'x'"),
        ({"--threads-per-trial": "2"}, "--threads-per-trial is 2, but workers on this machine have 1 (--threads)"),
        ({"--threads-per-trial": "0"}, "--threads-per-trial is '0', but must be greater than 0"),
        ({"--fixed": "a=.nan"}, "a is nan, but must be a number, a text"),
        ({"--constraints": "c"}, "--constraints is given without --metric"),
        ({"--metric": "a,,b", "--direction": "maximize,minimize,maximize"}, "must be names, and one of them is empty"),
        ({"--target": "nan"}, "--target is 'nan', but must be a finite number"),
        ({"--target": "inf"}, "--target is 'inf', but must be a finite number"),
        ({"--gpus-per-trial": "inf"}, "--gpus-per-trial is 'inf', but must be a finite number"),
        ({"--max-seconds": "nan"}, "--max-seconds is 'nan', but must be"),
        ({"--trial-timeout": "inf"}, "--trial-timeout is 'inf', but must be a finite number"),
        ({"--deadline": "inf"}, "--deadline is 'inf', but must be a finite number"),
        (
            {"--sampler": "tpe", "--sampler-options": "n_startup_trials=abc"},
            "--sampler tpe does not take these --sampler-options",
        ),
        ({"--sampler-options": "x=[1"}, "--sampler random does not take these --sampler-options: x; it takes none"),
        ({"--pruner": "patient", "--pruner-options": "wrapped_pruner=x"}, "wrapped_pruner is 'x', but must be one of"),
    ],
)
def test_bad_input_is_one_line_before_work_begins(
    options: dict[str, str | None],
    told: str,
    tmp_path: Path,
    space_file: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A wrong option ends with code 2 and one line, and leaves no run folder."""
    given = {**GOOD, "--space": space_file, "--run": str(tmp_path / "run"), **options}
    arguments = [f"{name}={value}" for name, value in given.items() if value is not None]
    assert cli.main(["tune", *arguments]) == 2
    err = capsys.readouterr().err
    assert told in err
    assert err.startswith("dask-jobs: error: ")
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("text", ["*.csv", "x=[1", "a: b: c", "2026-13-01", "!!int x"])
def test_a_fixed_text_that_is_no_yaml(text: str) -> None:
    """What YAML cannot read is a text."""
    assert Options.model_validate({"fixed": {"data": text}}).fixed == {"data": text}


def test_a_search_from_the_command_line(tmp_path: Path, space_file: str) -> None:
    """The command runs a study, prints what it found, and a second time that it is done."""
    arguments = ["--objective", "trials:sleeps", "--space", space_file, "--run", str(tmp_path / "run")]
    arguments += ["--trials", "6", "--workers", "2"]
    code, out, err = _end(_run(*arguments))
    assert code == 0, err
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert "done: all 6 trials are done" in out
    assert f"{result['best']['value']:.10g} (trial {result['best']['number']})" in out
    assert "6 complete" in out
    assert "random, pruner asha" in out
    code, out, _ = _end(_run(*arguments))
    assert code == 0
    assert "nothing was done" in out
    provenance = read_provenance(open_storage(tmp_path / "run"))
    assert provenance is not None
    assert provenance.code is not None
    assert "trials.py" in provenance.code.sources
    kept = yaml.safe_load((tmp_path / "run/options.yaml").read_text())
    curve = registry.find("tune").load_curve()(open_storage(tmp_path / "run"))
    assert curve is not None
    assert curve.points[-1][1] == result["best"]["value"]
    assert [number for number, _ in curve.points] == [1, 2, 3, 4, 5, 6]
    assert kept["space"] == provenance.identity["space"] == yaml.safe_load(Path(space_file).read_text())
    code, out, _ = _end(_run(*arguments[:-4], "--trials", "3"))
    assert code == 2


def test_a_space_and_lists_in_a_config_file(tmp_path: Path) -> None:
    """A YAML file may hold the space itself, and a run's own options.yaml is such a file."""
    config = {"objective": "trials:metrics", "space": {"x": {"uniform": [0, 1]}}, "metric": "cost", "trials": 2}
    (tmp_path / "job.yaml").write_text(json.dumps(config | {"workers": 1}))
    code, _, err = _end(_run("--config", str(tmp_path / "job.yaml"), "--run", str(tmp_path / "run")))
    assert code == 0, err
    code, out, err = _end(_run("--config", str(tmp_path / "run/options.yaml"), "--trials", "3"))
    assert code == 0, err
    assert "3 complete" in out


def _killed_twice(storage: Storage, *arguments: str) -> None:
    """Run a search whose driver is killed twice, with all its workers, and then to its end."""
    for _ in range(2):
        before = _done(storage)
        with _started(*arguments) as process:
            until(lambda before=before: _done(storage) >= before + 2)  # type: ignore[misc]
            os.kill(process.pid, signal.SIGKILL)
    with _started(*arguments) as process:
        code, _, err = _end(process)
        assert code == 0, err


def _done(storage: Storage) -> int:
    try:
        return sum(row["state"] == "complete" for row in rows(load_study(storage)))
    except Exception:  # noqa: BLE001  there is none yet, or it is just being replaced
        return 0


def test_kill_9_of_the_driver(storage: Storage, space_file: str, traces: Path) -> None:
    """Killed twice in mid-search, a study has all trials once, each with its own parameters, in S3 too."""
    arguments = ["--objective", "trials:paced", "--space", space_file, "--run", storage.url, "--pruner", "none"]
    _killed_twice(storage, *arguments, "--trials", "60", "--workers", "2")
    table = rows(load_study(storage))
    dimensions = {"x": space.uniform(0, 1), "folder": space.choice([str(traces)])}
    assert [row["number"] for row in table] == list(range(60))
    assert {row["state"] for row in table} == {"complete"}
    assert [row["params_x"] for row in table] == [space.draw(dimensions, 0, number)["x"] for number in range(60)]
    assert [row["value"] for row in table] == [row["params_x"] for row in table]
    result = json.loads(storage.read("result.json"))
    assert result["trials"]["complete"] == 60
    assert result["attempt"] == 3


def test_sigterm_stops_with_all_saved(tmp_path: Path, space_file: str, traces: Path) -> None:
    """SIGTERM ends the search with code 4 while trials run; the same command runs these again, and goes on."""
    arguments = ["--objective", "trials:waits", "--space", space_file, "--run", str(tmp_path / "run")]
    arguments += ["--trials", "5", "--workers", "2"]
    with _started(*arguments) as process:
        until(lambda: len(list(traces.glob("try-*"))) == 2)
        process.send_signal(signal.SIGTERM)
        code, _, err = _end(process)
    assert code == 4
    assert "all is saved: the same command goes on" in err
    assert [row["state"] for row in rows(load_study(open_storage(tmp_path / "run")))] == ["running"] * 2
    (traces / "go").touch()
    code, _, err = _end(_run(*arguments))
    assert code == 0, err
    table = rows(load_study(open_storage(tmp_path / "run")))
    assert [row["state"] for row in table] == ["complete"] * 5


def test_a_checkpoint_of_somebody_else(tmp_path: Path, space_file: str, traces: Path) -> None:
    """A prepared run folder writes and reads no file outside of a trial's own: the command names it, and ends."""
    arguments = ["--objective", "trials:keeps", "--space", space_file, "--run", str(tmp_path / "run")]
    arguments += ["--trials", "1", "--workers", "1"]
    with _started(*arguments) as process:
        until(lambda: list(traces.glob("kept-*")))
        process.send_signal(signal.SIGTERM)
        assert _end(process)[0] == 4
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "run/checkpoints").mkdir()
    (tmp_path / "run/checkpoints/payload").write_text("theirs")
    (tmp_path / "run/checkpoints/0000-1-0-1-1-0").write_text("theirs")
    place, whole = "checkpoints/0000-1-0-1-1-0", sorted(tmp_path.iterdir())
    states = [{str(tmp_path / "victim"): place}, {"../" * 20 + str(tmp_path / "victim")[1:]: place}]
    states += [{"file": "checkpoints/payload"}, {"file": str(tmp_path / "victim")}, {"file": "../victim"}]
    (traces / "go").touch()
    for state in states:
        (tmp_path / "run/checkpoints/0000.json").write_text(json.dumps(state))
        code, _, err = _end(_run(*arguments))
        assert (code, err.count("Traceback")) == (2, 0), err
        assert "checkpoints/0000.json is damaged" in err.splitlines()[-1]
    assert (tmp_path / "victim").read_text() == "mine"
    assert sorted(tmp_path.iterdir()) == whole
    assert [path.name for path in traces.glob("kept-*")] == ["kept-nothing"]


def test_a_module_that_workers_lack(tmp_path: Path, space_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An objective that the driver can import and a worker cannot ends the job with code 2, and names the worker."""
    (tmp_path / "only_here.py").write_text(
        "import os\nif 'DRIVER' not in os.environ: raise ImportError('not here')\ndef train(params): return 0.0\n"
    )
    code = (
        "import os, sys; from jobs import connect; from jobs.errors import InputError; from jobs.tune.job import run\n"
        "from jobs.tune.options import Options\n"
        "if __name__ == '__main__':\n"
        "    with connect(workers=1) as client:\n"
        "        os.environ['DRIVER'] = '1'\n"
        f"        options = Options(objective='only_here:train', space={space_file!r}, run={str(tmp_path / 'run')!r})\n"
        "        try: run(options, client)\n"
        "        except InputError as error: print(error)\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ['PYTHONPATH']}")
    (tmp_path / "script.py").write_text(code)
    ended = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")], capture_output=True, text=True, check=False, timeout=240
    )
    assert "worker tcp://" in ended.stdout, ended.stderr
    assert ": objective only_here:train: cannot import it (ImportError: not here)" in ended.stdout
