"""TensorBoard's event files in the run folder, written by the driver, which does not import TensorFlow."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from jobs.runs.observe.event_file import FOLDER, Scalar, check_installed, event_file, is_due
from jobs.storage import Storage
from jobs.train.loop.callbacks import Logs, rate_of
from jobs.train.loop.trainer import Trainer
from jobs.train.process.messages import Facts

TRAIN, VALIDATION = "train", "validation"
LEARNING_RATE, SAMPLES_PER_SECOND = "learning_rate", "samples_per_second"
POINTS = 100
"""Maximum points per epoch of the loss within epochs."""


def rates_of(progress: Mapping[str, Any]) -> dict[str, list[float]]:
    """Return `EventFiles.rates` of a run that has not ended, from its checkpoint's progress."""
    return dict(progress.get("callbacks", {}).get(EventFiles.__name__, {}).get("rates", {}))


class EventFiles:
    """The curves of a run, in files that are written once: what waits to be written is part of each checkpoint.

    The names are those of Keras's callback; the x axis is steps, of epochs too. It acts at the end of an epoch.

    Args:
        storage: the run folder.
        written: whether there are files; else there are the rates alone.

    Attributes:
        rates: learning rate and samples per second, name -> value of each epoch; 0: not known.

    Raises:
        InputError: TensorBoard is not installed.
    """

    def __init__(self, storage: Storage, *, written: bool = True) -> None:
        if written:
            check_installed()
        self._storage, self._is_written = storage, written
        self.rates: dict[str, list[float]] = {LEARNING_RATE: [], SAMPLES_PER_SECOND: []}
        self._waiting: list[Scalar] = []
        self._written = self._step = 0
        self._counts: dict[str, int] = {}
        self._anew: set[str] = set()

    def begin(self, attempt: int, step: int, facts: Facts) -> None:
        """Begin an attempt.

        Args:
            attempt: its number, 1, 2, ...
            step: steps that are done.
            facts: of the data.
        """
        self._attempt, self._step, self._facts = attempt, step, facts
        self._shown, self._counts = step, {TRAIN: 0, VALIDATION: 0}
        self._resumed, self._anew = self._written, {TRAIN, VALIDATION} if attempt > 1 else set()
        self._began = self._written_at = time.monotonic()
        self._epoch = self._trained = (step, self._began)

    def step(self, step: int, loss: float, batch: Mapping[str, float] = MappingProxyType({})) -> None:
        """Note the loss of the epoch so far, and metrics of single steps, by name."""
        self._step, self._trained = step, (step, time.monotonic())
        if step - self._shown >= max(1, self._facts["steps"] // POINTS) and not math.isnan(loss):
            self._shown = step
            for name, value in {"batch_loss": loss, **batch}.items():
                self._add(TRAIN, name, value)

    def __call__(self, epoch: int, logs: Logs, trainer: Trainer) -> None:  # noqa: ARG002
        """Note an epoch's values and the learning rate, and write what is due."""
        for name, value in logs.items():
            held_out = name.startswith("val_")
            self._add(VALIDATION if held_out else TRAIN, f"epoch_{name.removeprefix('val_')}", value)
        rates = {LEARNING_RATE: trainer.on_one(rate_of), SAMPLES_PER_SECOND: self._samples_per_second()}
        for name, value in rates.items():
            self.rates[name].append(float(value))
            if value or name == LEARNING_RATE:
                self._add(TRAIN, f"epoch_{name}", value)
        self._epoch = (self._trained[0], time.monotonic())
        self._write_due()

    def _samples_per_second(self) -> float:
        (before, began), (step, ended) = self._epoch, self._trained
        if ended <= began or step <= before:
            return 0.0
        return (step - before) / (ended - began) * self._facts["samples"] / self._facts["steps"]

    def _add(self, run: str, tag: str, value: float) -> None:
        if self._is_written:
            self._waiting.append(Scalar(run, tag, self._step, float(value), time.time()))

    def begin_epoch(self, epoch: int) -> None:
        """Nothing."""

    def ended(self) -> str | None:
        """Curves end no training."""
        return None

    def state(self) -> dict[str, Any]:
        """Write what is due, and return the rest."""
        self._write_due()
        waiting = [list(one) for one in self._waiting]
        return {"written": self._written, "waiting": waiting, "rates": {k: list(v) for k, v in self.rates.items()}}

    def restore(self, state: Mapping[str, Any] | None, history: Mapping[str, Sequence[float]]) -> None:  # noqa: ARG002
        """Set it: what was written after it is written anew."""
        if state is None:
            return
        self._written = self._resumed = self._shown = int(state["written"])
        self._anew = {TRAIN, VALIDATION}
        self._waiting = [Scalar(run, tag, int(step), value, at) for run, tag, step, value, at in state["waiting"]]
        self.rates = {name: [float(value) for value in values] for name, values in state["rates"].items()}

    def end(self) -> None:
        """Write what is left."""
        self.write()

    def _write_due(self) -> None:
        if is_due(self._began, self._written_at):
            self.write()

    def write(self) -> None:
        """Write what waits, a new file for each run; a reader has all up to this step then.

        Raises:
            InputError, ClusterError: the run folder cannot be written.
        """
        for run in self._counts:
            if scalars := [one for one in self._waiting if one.run == run]:
                number = self._counts[run] + 1
                name = f"{FOLDER}{run}/events.out.tfevents.{self._attempt:04}.{number:04}"
                self._storage.write(name, event_file(scalars, self._resumed + 1 if run in self._anew else None))
                self._anew.discard(run)
                self._counts[run] = number
        self._waiting, self._written, self._written_at = [], self._step, time.monotonic()
