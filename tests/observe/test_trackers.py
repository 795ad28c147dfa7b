"""Trackers of real packages: MLflow on SQLite, Weights & Biases offline, TensorBoard's files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

COMMAND = [sys.executable, "-c", "import sys; from jobs.cli import main; sys.exit(main())"]
READ = """
import json, sys, warnings
warnings.simplefilter("ignore")
from mlflow import MlflowClient
client = MlflowClient()
experiment = client.get_experiment_by_name("dask-jobs").experiment_id
runs = client.search_runs([experiment], order_by=["attributes.start_time"])
print(json.dumps([{
    "id": run.info.run_id, "name": run.info.run_name, "status": run.info.status, "params": run.data.params,
    "metrics": {name: [[one.step, one.value] for one in client.get_metric_history(run.info.run_id, name)]
                for name in run.data.metrics},
    "tags": run.data.tags, "artifacts": [one.path for one in client.list_artifacts(run.info.run_id)],
} for run in runs]))
"""


@pytest.fixture
def place(tmp_path: Path) -> dict[str, str]:
    """Return the environment of trackers that keep all in a folder."""
    return os.environ | {
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
        "MLFLOW_ARTIFACT_URI": str(tmp_path / "artifacts"),
        "WANDB_MODE": "offline",
        "WANDB_DIR": str(tmp_path / "wandb"),
        "WANDB_DATA_DIR": str(tmp_path),
        "WANDB_CACHE_DIR": str(tmp_path),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
    }


def _run(folder: Path, place: dict[str, str], *arguments: str, code: int = 0) -> str:
    line = [*COMMAND, *arguments]
    (folder / "wandb").mkdir(exist_ok=True)
    done = subprocess.run(line, cwd=folder, env=place, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == code, done.stderr
    return done.stderr


def _mlflow(place: dict[str, str], folder: Path) -> list[dict[str, Any]]:
    line = [sys.executable, "-c", READ]
    done = subprocess.run(line, cwd=folder, env=place, capture_output=True, text=True, timeout=120, check=True)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def _curve(folder: Path, name: str) -> list[tuple[int, float]]:
    events = [event for file in sorted(folder.rglob("events.*")) for event in EventFileLoader(str(file)).Load()]
    return [
        (event.step, value.tensor.float_val[0])
        for event in events
        for value in event.summary.value
        if value.tag == name
    ]


def test_a_minimization(tmp_path: Path, place: dict[str, str]) -> None:
    """Each iteration is a step everywhere; a run that goes on is the same run, and no step is there twice."""
    common = ("minimize", "--workers", "0", "--run", "run", "--log", "mlflow,wandb,tensorboard")
    assert "warning" not in _run(tmp_path, place, *common, "--max-iterations", "3").lower()
    _run(tmp_path, place, *common, "--max-iterations", "5")
    (run,) = _mlflow(place, tmp_path)
    assert (run["name"], run["status"], run["params"]["method"]) == ("run", "FINISHED", "L-BFGS-B")
    assert [step for step, _ in run["metrics"]["loss"]] == [1, 2, 3, 4, 5]
    assert set(run["metrics"]) == {"loss", "gradient_norm", "evaluations"}
    losses = [value for _, value in run["metrics"]["loss"]]
    assert losses == sorted(losses, reverse=True)
    assert run["artifacts"] == ["result.json"]
    curve = _curve(tmp_path / "run" / "tensorboard", "loss")
    assert [step for step, _ in curve] == [1, 2, 3, 4, 5]
    assert [value for _, value in curve] == pytest.approx(losses)
    kept = json.loads((tmp_path / "run" / "observers" / "wandb.json").read_text())["run"]
    files = list((tmp_path / "wandb").rglob("*.wandb"))
    assert len(files) == 2
    assert all(kept in file.name and b"gradient_norm" in file.read_bytes() for file in files)


def test_a_search(tmp_path: Path, place: dict[str, str]) -> None:
    """Each trial is a child run with its hyperparameters, reports and value; one that fails is FAILED."""
    (tmp_path / "space.yaml").write_text("x: {uniform: [0, 1]}\n")
    search = ("tune", "--objective", "watched:train", "--space", "space.yaml", "--direction", "minimize", "--seed", "1")
    _run(tmp_path, place, *search, "--trials", "4", "--workers", "1", "--run", "run", "--log", "mlflow")
    runs = _mlflow(place, tmp_path)
    (parent,) = (run for run in runs if "mlflow.parentRunId" not in run["tags"])
    children = [run for run in runs if run is not parent]
    assert parent["tags"]["dask-jobs.job"] == "tune"
    assert sorted(child["name"] for child in children) == [f"trial {number}" for number in range(4)]
    assert {child["tags"]["mlflow.parentRunId"] for child in children} == {parent["id"]}
    for child in children:
        assert float(child["params"]["x"]) == pytest.approx(child["metrics"]["value"][0][1])
        assert child["metrics"]["report"] == [[1, child["metrics"]["value"][0][1]]]


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_tracker_that_is_not_installed(name: str, tmp_path: Path, place: dict[str, str]) -> None:
    """It is said before any work, with what to install."""
    (tmp_path / f"{name}.py").write_text("raise ImportError('no such package')")
    place["PYTHONPATH"] = os.pathsep.join([str(tmp_path), place["PYTHONPATH"]])
    text = _run(tmp_path, place, "minimize", "--workers", "0", "--run", "run", "--log", name, code=2)
    assert f"--log {name} needs " in text
    assert "pip install" in text
    assert not (tmp_path / "run").exists()


def test_a_tracker_that_does_not_answer(tmp_path: Path, place: dict[str, str]) -> None:
    """The run ends as it would, and its last line says what did not get there."""
    place["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"
    place |= {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    arguments = ("minimize", "--workers", "0", "--run", "run", "--log", "mlflow", "--max-iterations", "2")
    text = _run(tmp_path, place, *arguments)
    assert text.splitlines()[-1].startswith("dask-jobs: warning: mlflow: ")
    assert "events did not get there" in text.splitlines()[-1]
    assert (tmp_path / "run" / "result.json").exists()
