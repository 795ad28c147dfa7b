"""The train job by its command line: examples, kills, resumes, other options, its files."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from commands import COMMAND, ENVIRONMENT, SLOW, result_of, run_here, run_job, start_job, until_saved, weights_of

from jobs import registry
from jobs.cli import main
from jobs.runs.provenance.reading import read_provenance
from jobs.storage import open_storage
from jobs.train import job
from jobs.train.loop.checkpoint import Checkpoints, Manifest
from jobs.train.options import Options


def test_the_linear_example(tmp_path):
    """y = 0.1 x + 0.3 within 1e-3, and its weights every 20 steps."""
    done = run_job("--example", "linear", "--workers", "0", "--progress", "json", "--run", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    shown = [line for line in lines if line["event"] == "weights"]
    assert [line["step"] for line in shown] == list(range(20, 161, 20))
    with np.load(tmp_path / "run" / "weights.npz") as weights:
        assert weights["line/kernel"] == pytest.approx(0.1, abs=1e-3)
        assert weights["line/bias"] == pytest.approx(0.3, abs=1e-3)
    provenance = read_provenance(open_storage(tmp_path / "run"))
    assert provenance.command[:2] == ["dask-jobs", "train"]
    assert "content of the data" in provenance.identity
    curve = registry.find("train").load_curve()(open_storage(tmp_path / "run"))
    assert curve.y == "loss"
    assert [epoch for epoch, _ in curve.points] == list(range(1, result_of(tmp_path / "run")["epochs"] + 1))


def test_the_default(tmp_path):
    """The shipped network on the shipped digits reaches 97 % of the held-out rows, on two workers."""
    done = run_job("--workers", "2", "--run", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    result = result_of(tmp_path / "run")
    assert result["history"]["val_accuracy"][-1] >= 0.97
    assert (result["epochs"], result["workers"], result["lost_workers"]) == (10, 2, 0)
    assert "accuracy (validation)" in done.stdout


def test_no_more_workers_than_parts(tmp_path):
    """On a machine of more cores, where nobody has said how many."""
    command = COMMAND[2].replace("import sys;", "import sys, dask.system; dask.system.CPU_COUNT = 3;")
    small = ["--model", "networks:dense", "--data", "networks:data", "--batch-size", "48", "--epochs", "1"]
    done = subprocess.run(
        [*COMMAND[:2], command, "train", *small, "--parts", "2", "--run", str(tmp_path / "run")],
        env=os.environ | ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert result_of(tmp_path / "run")["workers"] == 2


@pytest.mark.parametrize("command", [["train"], ["alexnet", "--data", ".", "--labels", "folder"]])
def test_more_workers_than_parts_are_refused(command, tmp_path, capsys, monkeypatch):
    """Before a cluster is started."""
    monkeypatch.setattr("jobs.runs.attempt.connect", None)
    assert main([*command, "--parts", "2", "--workers", "3", "--run", str(tmp_path / "run")]) == 2
    assert "--parts is 2, fewer than the 3 workers, and each needs one: give" in capsys.readouterr().err


@pytest.mark.parametrize(("parts", "before", "most"), [("workers", 0, None), ("workers", 2, 2), ("4", 0, 4)])
def test_how_many_workers_a_run_starts_at_most(parts, before, most, tmp_path, monkeypatch):
    """As many as it has parts, those of its first start if these were its workers."""
    asked = []
    monkeypatch.setattr("jobs.runs.attempt.connect", lambda *_, **options: asked.append(options) or sys.exit(1))
    if before:
        (tmp_path / "options.yaml").write_text("job: train")
        Checkpoints(open_storage(tmp_path)).publish(Manifest(5, (), ("",), {"identity": {"parts": str(before)}}), None)
    with pytest.raises(SystemExit):
        job.run(Options(parts=parts, run=str(tmp_path)))
    assert [(options["workers"], options["most"]) for options in asked] == [(None, most)]


def test_files_of_a_run(whole):
    """The network can be loaded, has the weights, and the history is a table."""
    from jobs.keras.runtime import import_tensorflow

    _, keras = import_tensorflow()
    model = keras.models.load_model(whole / "model.keras")
    weights = list(weights_of(whole).values())
    assert [variable.numpy().tobytes() for variable in model.trainable_variables] == weights
    rows = list(csv.DictReader(io.StringIO((whole / "history.csv").read_text())))
    assert [float(row["loss"]) for row in rows] == result_of(whole)["history"]["loss"]


@pytest.mark.parametrize("workers", ["0", "2"])
def test_kill_9_of_the_driver(workers, whole, tmp_path):
    """The same command goes on from the last checkpoint, on other workers too, to the same bits and history."""
    run, arguments = tmp_path / "run", [*SLOW, "--epochs", "4"]
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = start_job(*arguments, "--workers", workers, "--run", str(run), **streams)
    until_saved(run, process)
    process.kill()
    process.wait()
    assert not (run / "result.json").exists()
    done = run_here(*arguments, "--workers", "0", "--run", str(run))
    assert done.returncode == 0, done.stderr
    assert weights_of(run) == weights_of(whole)
    assert result_of(run)["history"] == result_of(whole)["history"]
    assert result_of(run)["attempt"] == 2


@pytest.mark.parametrize(("workers", "number"), [("0", signal.SIGTERM), ("2", signal.SIGTERM), ("2", signal.SIGINT)])
def test_a_signal_saves(workers, number, whole, tmp_path):
    """It is exit code 4 and one line, all steps so far are saved, and the same command ends the run."""
    run, arguments = tmp_path / "run", [*SLOW, "--epochs", "4", "--save-every", "1000"]
    place = ("--workers", workers, "--run", str(run))
    process = start_job(*arguments, *place, stderr=subprocess.PIPE, start_new_session=True)
    assert process.stderr
    for line in process.stderr:
        if " ETA " in line:
            break
    # As Ctrl-C does: to the workers too.
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    rest = process.communicate(timeout=60)[1]
    assert process.returncode == 4, rest
    assert f"stopped by {number.name}; all is saved: the same command goes on" in rest
    *_, manifest = sorted(run.glob("checkpoints/*.json"))  # that of the best epoch, if one has ended, and the last
    assert json.loads(manifest.read_text())["step"] > 0
    assert run_here(*arguments, "--workers", "0", "--run", str(run)).returncode == 0
    assert weights_of(run) == weights_of(whole)
    assert result_of(run)["history"] == result_of(whole)["history"]


def test_more_epochs_and_no_repetition(whole, tmp_path):
    """An ended run is not repeated; with more epochs it goes on, to the bits of a run of as many."""
    run = tmp_path / "run"
    assert run_here(*SLOW, "--workers", "0", "--epochs", "1", "--run", str(run)).returncode == 0
    again = run_here(*SLOW, "--workers", "0", "--epochs", "1", "--run", str(run))
    assert (again.returncode, result_of(run)["attempt"]) == (0, 1)
    assert "nothing was done" in again.stdout
    assert run_here(*SLOW, "--workers", "0", "--epochs", "4", "--run", str(run)).returncode == 0
    assert weights_of(run) == weights_of(whole)
    shown = run_here(str(run), job="show")
    assert "nothing was done" not in shown.stdout


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (["--batch-size", "96"], "batch_size was '48', and is now '96'"),
        (["--parts", "4"], "parts was '8', and is now '4'"),
        (["--validation", "0.2"], "validation was 'None', and is now '0.2'"),
        (["--seed", "1"], "seed was '0', and is now '1'"),
        (["--averaging", "parameters"], "every was '0', and is now '10'"),
        (["--data", "networks:rows"], "data was 'networks:data', and is now 'networks:rows'"),
    ],
)
def test_another_runs_folder_is_refused(changed, message, whole, capsys):
    """Before anything is touched."""
    before = (whole / "result.json").read_bytes()
    assert main(["train", *SLOW, "--epochs", "5", *changed, "--workers", "0", "--run", str(whole)]) == 2
    assert message in capsys.readouterr().err
    assert (whole / "result.json").read_bytes() == before


def test_the_report(whole):
    """One file, with the curves."""
    subprocess.run([*COMMAND, "report", str(whole)], check=True, capture_output=True)
    page = (whole / "report.html").read_text()
    assert "Where the time went" in page
    assert "Curves" in page
