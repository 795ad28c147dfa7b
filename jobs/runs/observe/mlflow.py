"""Runs of MLflow: one per run folder, with a child run per trial of a search."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from jobs.errors import InputError
from jobs.runs.encoding import as_json
from jobs.runs.observe.events import Event
from jobs.runs.observe.kept import keep, read_kept
from jobs.storage import Storage

EXPERIMENT = "dask-jobs"
TEXT = 500
"""Characters of a parameter at most, by MLflow's rules."""
BATCH = 1000
"""Metrics in one request at most, by MLflow's rules."""
ENDS = {"done": "FINISHED", "stopped": "KILLED", "failed": "FAILED", "complete": "FINISHED", "pruned": "FINISHED"}


class MlflowObserver:
    """Logs to the server at $MLFLOW_TRACKING_URI, in the experiment $MLFLOW_EXPERIMENT_NAME (dask-jobs).

    Args:
        storage: the run folder, which keeps the run's identifier.

    Raises:
        InputError: MLflow is not installed.
    """

    def __init__(self, storage: Storage) -> None:
        try:
            from mlflow import MlflowClient
        except ImportError as error:
            raise InputError(f"--log mlflow needs MLflow ({error}): pip install mlflow-skinny") from error
        self._storage, self._new = storage, MlflowClient
        self._client: Any = None
        self._run = self._experiment = ""

    def deliver(self, events: list[Event]) -> None:
        """Log events: all metrics of a batch in one request."""
        values: list[tuple[int, int, dict[str, float]]] = []
        for event in events:
            if event["event"] == "start":
                self._start(event)
            elif event["event"] == "values":
                values.append((event["step"], round(event["time"] * 1000), event["values"]))
            elif event["event"] == "trial":
                self._trial(event)
        self._log(self._run, values)
        if events[-1]["event"] == "end":
            self._end(events[-1])

    def _start(self, event: Event) -> None:
        self._client = self._new()
        kept = read_kept(self._storage, "mlflow")
        experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
        found = self._client.get_experiment_by_name(experiment)
        self._experiment = found.experiment_id if found else self._client.create_experiment(experiment)
        if run := kept.get("run"):
            self._run = str(run)
            self._client.update_run(self._run, status="RUNNING")
            return
        name = event["run"].rstrip("/").rpartition("/")[2]
        tags = {"dask-jobs.job": event["job"], "dask-jobs.run": event["run"]}
        at = round(event["time"] * 1000)
        self._run = self._client.create_run(self._experiment, start_time=at, run_name=name, tags=tags).info.run_id
        keep(self._storage, "mlflow", {"run": self._run})
        self._params(self._run, event["options"])

    def _params(self, run: str, params: dict[str, Any]) -> None:
        from mlflow.entities import Param

        self._client.log_batch(run, params=[Param(name, str(value)[:TEXT]) for name, value in params.items()])

    def _log(self, run: str, values: list[tuple[int, int, dict[str, float]]]) -> None:
        from mlflow.entities import Metric

        metrics = [Metric(name, float(value), at, step) for step, at, many in values for name, value in many.items()]
        for first in range(0, len(metrics), BATCH):
            self._client.log_batch(run, metrics=metrics[first : first + BATCH])

    def _trial(self, event: Event) -> None:
        at = round(event["time"] * 1000)
        tags = {"mlflow.parentRunId": self._run, "dask-jobs.state": event["state"]}
        name = f"trial {event['number']}"
        start = at - round(event["seconds"] * 1000)
        child = self._client.create_run(self._experiment, start_time=start, run_name=name, tags=tags).info.run_id
        self._params(child, event["params"])
        self._log(child, [(step, at, {"report": value}) for step, value in event["reports"].items()])
        self._log(child, [(0, at, event["values"])])
        self._client.set_terminated(child, status=ENDS.get(event["state"], "FAILED"), end_time=at)

    def _end(self, event: Event) -> None:
        if result := event.get("result"):
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder, "result.json")
                file.write_bytes(as_json(result))
                self._client.log_artifact(self._run, str(file))
        if error := event.get("error"):
            self._client.set_tag(self._run, "dask-jobs.error", str(error)[:TEXT])
        self._client.set_terminated(self._run, status=ENDS[event["state"]])
