"""The outcome of a trial, the same on worker and driver and in the journal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypeGuard

State: TypeAlias = Literal["complete", "pruned", "failed", "diverged"]
STATES: tuple[State, ...] = ("complete", "pruned", "failed", "diverged")

RESERVED = ("run", "losses", "earlier")
"""User attributes of Optuna's trials that are this package's, `RUN`, `LOSSES` and `EARLIER` of `records.table`."""


def is_state(text: str) -> TypeGuard[State]:
    """Return whether it is an end state of a trial; an execution has others too."""
    return text in STATES


@dataclass(frozen=True)
class Outcome:
    """A trial's end.

    Attributes:
        state: complete, pruned (stopped early), failed (user code, a timeout, or lost workers), diverged (NaN).
        values: the objectives' values; empty unless complete.
        metrics: the numbers that the function returned, if it was a dict.
        left_out: what else was in it, each with its type.
        error: one line.
        details: the traceback of the user's code.
        seconds: of its last execution.
        worker: of its last execution.
        tries: number of executions in the attempt in which it ended.
        lost_executions: how many of them were retried because their worker was lost.
    """

    state: State
    values: tuple[float, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    error: str = ""
    details: str = ""
    seconds: float = 0.0
    worker: str = ""
    tries: int = 1
    lost_executions: int = 0
