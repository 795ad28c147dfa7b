"""Training in this process, without a cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.storage import Storage
from jobs.train.exchange.group import alone
from jobs.train.loop import checkpoint
from jobs.train.loop.checkpoint import Manifest
from jobs.train.loop.timeline import Timeline
from jobs.train.loop.trainer import Progress, Sums
from jobs.train.process.export import export
from jobs.train.process.fingerprint import fingerprint
from jobs.train.process.messages import Exported, Facts, Status
from jobs.train.process.plan import Plan
from jobs.train.process.training import Training
from jobs.train.replica.pieces import joined, pieces, shapes
from jobs.usercode import UserCode, call

PROGRESS_SECONDS = 0.5


class SerialTrainer:
    """One replica in this process, with the bits of any number of workers.

    Args:
        create_model: the user's.
        seed: of the initial weights.
        storage: the run folder, if there is one.
        poll: called after each step; what it raises ends the training.
    """

    workers = 0
    lost_workers = 0

    def __init__(
        self,
        create_model: UserCode,
        seed: int = 0,
        *,
        storage: Storage | None = None,
        poll: Callable[[], None] = lambda: None,
    ) -> None:
        self._storage, self._poll = storage, poll
        self.timeline = Timeline()
        self._its = Training(create_model, seed, 1)  # one thread, as a worker has by default: more compute other bits
        self.fingerprint: Mapping[str, str] = fingerprint(1)

    def load(self, plan: Plan) -> Facts:
        """Open the data.

        Raises:
            InputError, DataError, UserCodeError: they cannot be used.
        """
        return call("model and data", self._its.load, plan)  # type: ignore[no-any-return]  # as on a worker

    def start(self, manifest: Manifest | None) -> None:
        """Set the initial state, or a checkpoint's."""
        if manifest is None:
            self._its.initialize()
            return
        self._read(manifest)

    def _read(self, manifest: Manifest) -> None:
        assert self._storage is not None
        self._its.check_layout(manifest.shapes)
        for index in range(len(manifest.digests)):
            self._its.put(index, checkpoint.read_piece(self._storage, manifest, index))

    def rewind(self) -> None:
        """Count steps from 0 again, with the present weights."""
        self._its.rewind()

    def train(self, until: int, progress: Progress) -> Status:
        """Take steps until `until` are done."""
        its, shown = self._its, time.monotonic()
        group = alone(its.plan.parts, its.form)
        while its.step < until:
            self._poll()
            call("training", its.run, group, its.step + 1)  # one step: a signal is seen between two
            if time.monotonic() - shown > PROGRESS_SECONDS:
                shown = time.monotonic()
                progress(self.status())
        return self.status()

    def hurry(self, seconds: float) -> None:  # noqa: ARG002  nothing here waits for others
        """Go on in spite of a signal."""
        self._poll = lambda: None

    def status(self) -> Status:
        """Return how far it is."""
        return self._its.status()

    def evaluate(self) -> Sums:
        """Return the sums over the validation data, (2 + metrics,) float64."""
        found = call("validation", self._its.evaluate, range(self._its.plan.parts))
        total: Sums = np.sum([found[part] for part in sorted(found)], axis=0)
        return total

    def logs(self, sums: Sums) -> dict[str, float]:
        """Return loss and metrics, name -> value, of sums."""
        return call("metrics", self._its.logs, np.asarray(sums))  # type: ignore[no-any-return]

    def save(self, progress: dict[str, Any], publish: Callable[[Manifest], None]) -> None:
        """Write a checkpoint; `publish` gets its manifest.

        Raises:
            ClusterError: the run folder cannot be written.
        """
        assert self._storage is not None
        state, step = self._its.state(), self._its.step
        layout = shapes(state)
        digests = [
            checkpoint.write_piece(self._storage, step, index, joined(state, cuts))
            for index, cuts in enumerate(pieces(layout))
        ]
        publish(Manifest(step, layout, tuple(digests), progress))

    def saved(self) -> None:
        """Nothing: `save` has written all."""

    def export(self, manifest: Manifest | None) -> Exported:
        """Write weights and model to the run folder: the present ones, or those of a checkpoint.

        Raises:
            ClusterError: the run folder cannot be written.
        """
        storage = self._storage
        assert storage is not None
        if manifest is not None:
            self._read(manifest)
        return export(self._its.replica, lambda path: storage.write_file(path.name, path))

    def weights(self) -> dict[str, NDArray[Any]]:
        """Return name -> value of weights and statistics."""
        return self._its.replica.weights()

    def set_weights(self, weights: dict[str, Any]) -> None:
        """Set weights and statistics by name."""
        self._its.replica.set_weights(weights)

    def on_one(self, function: Callable[[Any], Any]) -> Any:
        """Return function(model)."""
        return call("the function", function, self._its.replica.model)

    def on_all(self, function: Callable[[Any], Any]) -> list[Any]:
        """Return [function(model)]."""
        return [self.on_one(function)]

    def close(self) -> None:
        """End the thread that reads ahead."""
        self._its.close()
