"""When checkpoints are written; without NumPy, before which options are parsed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Saving:
    """When checkpoints are written.

    Attributes:
        steps: every so many steps; 0: by seconds.
        seconds: every so many seconds.
        restore_best: whether the run's result is the weights of the best epoch, not of the last.
    """

    steps: int = 0
    seconds: float = 60.0
    restore_best: bool = False
