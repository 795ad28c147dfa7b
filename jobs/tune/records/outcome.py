"""How a trial ended, as worker, driver and journal have it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypeGuard

State: TypeAlias = Literal["complete", "pruned", "failed", "diverged"]
STATES: tuple[State, ...] = ("complete", "pruned", "failed", "diverged")


def is_state(text: str) -> TypeGuard[State]:
    """Return whether a trial ends so; an execution may end in other ways."""
    return text in STATES


@dataclass(frozen=True)
class Outcome:
    """A trial's end.

    Attributes:
        state: complete, pruned (stopped early), failed (the user's code, its time, or lost workers), diverged (NaN).
        values: the objectives' values; empty unless complete.
        metrics: all that the function returned, if it was a dict.
        error: one line, for people.
        details: the traceback of the user's code.
        seconds: how long its last execution ran.
        worker: where that was.
        tries: how many executions there were in the attempt in which it ended.
    """

    state: State
    values: tuple[float, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
    error: str = ""
    details: str = ""
    seconds: float = 0.0
    worker: str = ""
    tries: int = 1
