"""Runs of Weights & Biases: one per run folder."""

from __future__ import annotations

import hashlib
import os
import tempfile
from typing import Any

from jobs.errors import InputError
from jobs.runs.observe.events import Event
from jobs.runs.observe.kept import keep, read_kept
from jobs.storage import Storage

PROJECT = "dask-jobs"


class WandbObserver:
    """Logs to the project $WANDB_PROJECT (dask-jobs); other variables of W&B hold too, such as WANDB_MODE=offline.

    Args:
        storage: the run folder, which keeps the run's identifier.

    Raises:
        InputError: wandb is not installed.
    """

    def __init__(self, storage: Storage) -> None:
        try:
            import wandb
        except ImportError as error:
            raise InputError(f"--log wandb needs Weights & Biases ({error}): pip install wandb") from error
        self._wandb: Any = wandb
        self._storage = storage
        self._run: Any = None

    def deliver(self, events: list[Event]) -> None:
        """Log events; steps and trials are x axes of their own, since W&B's own step must never fall."""
        for event in events:
            if event["event"] == "start":
                self._start(event)
            elif event["event"] == "values":
                self._log({**event["values"], "step": event["step"]})
            elif event["event"] == "trial":
                params = {f"params.{name}": value for name, value in event["params"].items()}
                self._log({**event["values"], **params, "trial": event["number"], "state": event["state"]})
            else:
                self._end(event)

    def _log(self, values: dict[str, Any]) -> None:
        assert self._run is not None
        self._run.log(values)

    def _start(self, event: Event) -> None:
        identifier = read_kept(self._storage, "wandb").get("run")
        if not isinstance(identifier, str):
            identifier = hashlib.blake2b(os.urandom(16), digest_size=8).hexdigest()
            keep(self._storage, "wandb", {"run": identifier})
        self._run = self._wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=identifier,
            resume="allow",
            name=event["run"].rstrip("/").rpartition("/")[2],
            config={"job": event["job"], "run": event["run"], **event["options"]},
            dir=os.environ.get("WANDB_DIR", tempfile.gettempdir()),
            settings=self._wandb.Settings(console="off", silent=True),
        )
        for axis in ("step", "trial"):
            self._run.define_metric(axis, hidden=True)
        self._run.define_metric("*", step_metric="trial" if event["job"] == "tune" else "step")

    def _end(self, event: Event) -> None:
        if self._run is None:
            return
        self._run.summary["state"] = event["state"]
        numbers = {k: v for k, v in (event.get("result") or {}).items() if isinstance(v, int | float)}
        self._run.summary.update(numbers)
        self._run.finish(exit_code=event.get("exit_code", 0))
