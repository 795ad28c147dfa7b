"""The loop over epochs: steps, validation, checkpoints, history."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jobs.errors import InputError, argument
from jobs.train.loop.callbacks import EpochEnd, monitor
from jobs.train.loop.checkpoint import Checkpoints, Manifest
from jobs.train.loop.saving import Saving
from jobs.train.loop.state import Beside, FitState, Watcher
from jobs.train.loop.trainer import RolledBackError, Trainer
from jobs.train.process.messages import Facts, Status
from jobs.train.process.plan import Plan

LAST_SECONDS = 10.0
"""How long each part of the last checkpoint may take: Kubernetes gives a pod 30 s after SIGTERM."""
FEW_STEPS = 16
"""Steps between two looks at the clock, at least: a group of workers ends at each."""


class Fit:
    """One fit by a trainer.

    Args:
        trainer: what trains; its data are loaded.
        plan: its settings.
        facts: of the data.
        epochs: of the whole run.
        at_epoch_end: what may act at the end of an epoch, of each type one.
        checkpoints: the run folder's, if there is one.
        saving: when they are written.
        identity: of the run, kept in each.
        monitor: sees how it goes.
        pauses: steps at multiples of which the monitor gets the weights; 0: never.
    """

    def __init__(
        self,
        trainer: Trainer,
        plan: Plan,
        facts: Facts,
        epochs: int,
        *,
        at_epoch_end: Sequence[EpochEnd] = (),
        checkpoints: Checkpoints | None = None,
        saving: Saving | None = None,
        identity: Mapping[str, str] | None = None,
        monitor: Watcher | None = None,
        pauses: int = 0,
    ) -> None:
        self._trainer, self._plan, self._steps, self._epochs = trainer, plan, facts["steps"], epochs
        self._has_validation = facts["held_out"] > 0 or plan.validation is not None
        self._at_epoch_end, self._checkpoints = list(at_epoch_end), checkpoints
        self._saving = saving or Saving()
        self._identity = dict(identity or {})
        self._monitor, self._pauses = monitor or Watcher(), pauses
        self.state = FitState()
        self.spent: dict[str, float] = {}
        self.beside = Beside()
        self.skipped = self._step = self._saved_step = self._first = 0
        self._published, self._started = -1, False
        self._saved = self._began = time.monotonic()

    def check(self, compare: Callable[[Mapping[str, Any]], None]) -> None:
        """Read the last checkpoint, if there is one, and call `compare` with its identity.

        Raises:
            InputError: it is damaged, `compare` rejects it, or it is of an epoch beyond the last one.
        """
        if self._checkpoints and (manifest := self._checkpoints.last()):
            compare(manifest.progress.get("identity", {}))
            begun = -(-manifest.step // self._steps)
            if begun > self._epochs and manifest.step % self._steps:  # the result would be of half an epoch
                wanted = f"{argument('epochs')} at least {begun}, or another {argument('run')}"
                raise InputError(f"{begun} epochs have begun: give {wanted}")

    def start(self) -> None:
        """Set the state: the last checkpoint's, or the initial one.

        Raises:
            InputError: the checkpoint is damaged.
        """
        manifest = self._checkpoints.last() if self._checkpoints else None
        if manifest is not None:
            self._restore(manifest)
        self._trainer.start(manifest)
        self._started = True

    def _restore(self, manifest: Manifest) -> None:
        try:
            self.state = FitState.of(manifest.progress)
            states = manifest.progress["callbacks"]
            for one in self._at_epoch_end:
                one.restore(states.get(type(one).__name__), self.state.history)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"the checkpoint of step {manifest.step} is damaged ({error}); remove it") from error
        self._step = self._saved_step = self._first = self._published = manifest.step
        self.result_checkpoint()  # raises where the best one is missing

    @property
    def step(self) -> int:
        """Steps that are done."""
        return self._step

    @property
    def total(self) -> int:
        """Steps of the whole run."""
        return self._epochs * self._steps

    @property
    def seconds(self) -> float:
        """Seconds of training, all attempts together."""
        return self.state.seconds + time.monotonic() - self._began

    def go_on(self, *, started: bool) -> FitState:
        """Train for all epochs from the replicas' present weights, and return history and why it ended.

        Args:
            started: whether the trainer has a state.
        """
        if not started:
            self._trainer.start(None)
        self._trainer.rewind()
        return self.run()

    def run(self) -> FitState:
        """Train to the end, and return history and why it ended.

        Raises:
            JobError: it cannot go on.
        """
        self._began = time.monotonic()
        self._trainer.timeline.begin(self.state.workers, self.state.seconds)
        if self._epochs > self.state.epochs:
            # More epochs than before, or another patience; or the driver was killed before it had written the result.
            self.state.ended = next(filter(None, (one.ended() for one in self._at_epoch_end)), "")
        initial = Manifest(self._step, (), (), self._progress())
        while not self._is_trained(initial):
            continue
        for one in self._at_epoch_end:
            one.end()
        return self.state

    def _is_trained(self, initial: Manifest) -> bool:
        """Train to the end, and return whether it was reached; if not, this has returned to the replicas' state."""
        try:
            self._train()
        except RolledBackError as error:
            before = self.state
            self._restore(error.manifest or initial)
            self.state.seconds, self.state.workers = before.seconds, before.workers  # not taken back
            return False
        return True

    def _train(self) -> None:
        self._end_interrupted_epoch()
        while self._step < self.total and not self.state.ended:
            for one in self._at_epoch_end:
                one.begin_epoch(self._step // self._steps)
            status = self._trainer.train(self._until(), self._monitor.on_status)
            self._step, self.spent, self.skipped = status["step"], status["spent"], status["skipped"]
            self._monitor.on_status(status)
            if self._pauses and self._step % self._pauses == 0:
                self._monitor.weights(self._step, self._trainer.weights())
            if self._step % self._steps == 0:
                self._end_epoch(status)
            if self._due():
                self.save()
        self._save_complete()

    def _end_interrupted_epoch(self) -> None:
        """End the epoch whose last step was the last one before a signal."""
        if self._step % self._steps == 0 and self.state.epochs < self._step // self._steps:
            self._end_epoch(self._trainer.status())

    def _until(self) -> int:
        """Return the next step at which there is something to do, the end of a round of averaging."""
        ends = [(self._step // self._steps + 1) * self._steps, self.total]
        if self._checkpoints and self._saving.steps:
            ends.append(self._saved_step + self._saving.steps)
        elif self._checkpoints:
            ends.append(self._step + self._pace())
        if self._pauses:
            ends.append((self._step // self._pauses + 1) * self._pauses)
        return max(min(ends), self._step + 1)

    def _pace(self) -> int:
        """Return about how many steps are taken until the next checkpoint is due."""
        rate = (self._step - self._first) / max(time.monotonic() - self._began, 1e-3)
        left = self._saving.seconds - (time.monotonic() - self._saved)
        return max(int(rate * left), FEW_STEPS)

    def _due(self) -> bool:
        since = self._step - self._saved_step
        if self._checkpoints is None or not since:
            return False
        if self._saving.steps:
            return since >= self._saving.steps
        return time.monotonic() - self._saved >= self._saving.seconds

    def _end_epoch(self, status: Status) -> None:
        epoch = self._step // self._steps - 1
        logs = self._trainer.logs(np.asarray(status["sums"]))
        if self._has_validation:
            with self.beside.on("validation"):
                held_out = self._trainer.logs(self._trainer.evaluate())
            logs |= {f"val_{name}": value for name, value in held_out.items()}
        self.state.add(logs, self._step)
        self._monitor.epoch(epoch, logs)
        ends = [one(epoch, logs, self._trainer) for one in self._at_epoch_end]  # a list: all act, whichever ends it
        self.state.ended = next(filter(None, ends), "")
        if self._checkpoints and self.state.best and self.state.best[1] == self._step:
            self.save()
            if self._saving.restore_best:
                self._save_complete()  # now: all workers may be lost in the next epoch

    def _save_complete(self) -> None:
        """Save the state, and return only once that is complete."""
        self.save()
        while self._checkpoints and self._published != self._step:
            with self.beside.on("files"):
                self._trainer.saved()
            if self._published != self._step:
                # All that wrote were lost; those that joined meanwhile may have the state.
                self._trainer.train(self._step, self._monitor.on_status)
                self._saved_step = -1  # else `save` would take it for written
                self.save()

    def result_checkpoint(self) -> Manifest | None:
        """Return the checkpoint whose weights are the run's result; None: the present ones are.

        Raises:
            InputError: the checkpoint of the best epoch is missing.
        """
        best = self.state.best
        if not self._saving.restore_best or self._checkpoints is None or best is None or best[1] == self._step:
            return None
        if (manifest := self._checkpoints.at(best[1])) is None:
            raise InputError(
                f"the checkpoint of the best epoch so far, of step {best[1]}, is missing: it was lost with its workers "
                f"before it was complete, or deleted; leave out {argument('restore_best')}, or choose another "
                f"{argument('run')}"
            )
        return manifest

    @property
    def weights(self) -> dict[str, Any]:
        """The epoch of the weights that are the run's result, and by what it is the best, '' of the last one."""
        if self._saving.restore_best and self.state.best:
            return {"epoch": self.state.best[1] // self._steps, "best_by": monitor(self.state.history)}
        return {"epoch": self.state.epochs, "best_by": ""}

    def save_now(self) -> None:
        """Write a checkpoint of all steps that are done, when the run ends early: on a signal, say.

        Raises:
            ClusterError: the workers do not answer in time.
        """
        if not self._started:
            return
        self._trainer.hurry(LAST_SECONDS)
        with contextlib.suppress(RolledBackError):  # there is nothing that the last checkpoint has not
            self._step = self._trainer.status()["step"]
            self.save()
            self._trainer.saved()

    def save(self) -> None:
        """Begin to write a checkpoint, unless there is one of this step."""
        if self._checkpoints is None or self._step == self._saved_step:
            return
        self._saved, self._saved_step = time.monotonic(), self._step
        best, checkpoints = self.state.best, self._checkpoints

        def publish(manifest: Manifest) -> None:
            checkpoints.publish(manifest, best[1] if best else None)
            self._published = manifest.step  # in another thread: `_save_complete` waits for `saved` before it looks

        with self.beside.on("files"):
            self._trainer.save(self._progress(), publish)

    def _progress(self) -> dict[str, Any]:
        """Return the driver's own state, as a checkpoint has it."""
        return {
            "identity": self._identity,
            "history": {name: list(values) for name, values in self.state.history.items()},
            "seconds": self.seconds,
            "best": self.state.best,
            "ended": self.state.ended,
            "workers": self._trainer.timeline.as_json(),
            "callbacks": {type(one).__name__: one.state() for one in self._at_epoch_end},
        }
