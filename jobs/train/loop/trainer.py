"""What trains: the interface of one process, and of a cluster, to the loop over epochs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from jobs.train.loop.checkpoint import Manifest
from jobs.train.loop.timeline import Timeline
from jobs.train.process.messages import Exported, Facts, Status
from jobs.train.process.plan import Plan

Sums = NDArray[np.float64]
Progress = Callable[[Status], None]


class RolledBackError(Exception):
    """All replicas were lost at once, and have the state of a checkpoint of fewer steps than were reported.

    Args:
        manifest: the checkpoint; None: the initial state.
    """

    def __init__(self, manifest: Manifest | None) -> None:
        super().__init__()
        self.manifest = manifest


class Trainer(Protocol):
    """Trains one model; made by `serial.SerialTrainer` and `group.trainer.ClusterTrainer`."""

    @property
    def workers(self) -> int:
        """How many take part; 0: this process."""

    @property
    def lost_workers(self) -> int:
        """How many were lost."""

    @property
    def timeline(self) -> Timeline:
        """Which worker took part when; without records in one process."""

    @property
    def fingerprint(self) -> Mapping[str, str]:
        """What decides the bits of the arithmetic, name -> value."""

    def load(self, plan: Plan) -> Facts:
        """Open the data everywhere."""

    def start(self, manifest: Manifest | None) -> None:
        """Set the initial state, or a checkpoint's."""

    def rewind(self) -> None:
        """Count steps from 0 again, with the present weights."""

    def train(self, until: int, progress: Progress) -> Status:
        """Take steps until `until` are done; `progress` is called about twice a second.

        Raises:
            RolledBackError: as all that follow may, but for `export` of the last steps.
        """

    def evaluate(self) -> Sums:
        """Return the sums over the validation data."""

    def logs(self, sums: Sums) -> dict[str, float]:
        """Return loss and metrics of sums."""

    def status(self) -> Status:
        """Return how far it is, once no step is being taken."""

    def hurry(self, seconds: float) -> None:
        """Let what is done from now on take so many seconds each, and do it in spite of a signal."""

    def save(self, progress: dict[str, Any], publish: Callable[[Manifest], None]) -> None:
        """Begin to write a checkpoint of the steps that are done; `publish` gets its manifest once all is written."""

    def saved(self) -> None:
        """Wait until the checkpoint is written."""

    def export(self, manifest: Manifest | None) -> Exported:
        """Write weights and model to the run folder: the present ones, or those of a checkpoint."""

    def set_weights(self, weights: dict[str, Any]) -> None:
        """Set the weights by name."""

    def weights(self) -> dict[str, NDArray[Any]]:
        """Return the weights by name."""

    def on_one(self, function: Callable[[Any], Any]) -> Any:
        """Return function(model) of one replica."""

    def on_all(self, function: Callable[[Any], Any]) -> list[Any]:
        """Return function(model) of each replica."""
