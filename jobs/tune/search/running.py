"""A running execution, the data of an event, and the interface of a search's observers."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, Protocol

from jobs.tune.records.outcome import Outcome, is_state
from jobs.tune.records.trial_source import PendingTrial
from jobs.tune.search.states import ExecutionState
from jobs.tune.trials.messages import AttributeEvent, ExecutionMessage, RequestEvent

GRACE_SECONDS = 5.0
"""How long a trial that is out of time may take to notice, at its next report; then its worker process is ended."""


class Watcher(Protocol):
    """Observer of a search, for the terminal and the run folder."""

    def on_change(self, running: Collection[RunningTrial]) -> None:
        """Called after each event, and at least four times per second; may raise to end the attempt."""

    def on_end(self, number: int, outcome: Outcome) -> None:
        """Called when a trial has ended."""

    def log(self, event: str, message: str) -> None:
        """Called with an event for the log."""


@dataclass
class RunningTrial:
    """One execution of a trial; the search owns it.

    Attributes:
        execution_id: unique in the study.
        trial: the trial.
        address: its worker's.
        launched: when it was sent there, on the clock `time.monotonic`.
        state: its state.
        started: when it began there; None if that is unknown.
        stopped: when it was stopped for its timeout, or its worker's process was ended for that.
    """

    execution_id: str
    trial: PendingTrial
    address: str
    launched: float
    state: ExecutionState = "released"
    started: float | None = None
    stopped: float | None = None

    @property
    def seconds(self) -> float:
        """Seconds since it began, or if that is unknown since its launch."""
        return time.monotonic() - (self.started or self.launched)

    @property
    def recorded(self) -> bool:
        """Whether its trial has ended, though the function has not noticed yet."""
        return self.state in ("pruned", "pruned_late")

    def timing(self, limit: float, now: float) -> Literal["overtime", "unresponsive"] | None:
        """Return the event of its time at the moment `now`, with `limit` seconds for a trial; None if there is none."""
        if self.stopped is None:
            return "overtime" if self.started is not None and now - self.started > limit else None
        return "unresponsive" if now - self.stopped > GRACE_SECONDS else None


@dataclass(frozen=True)
class News:
    """The data of an event, as far as it has any.

    Attributes:
        why: how an execution was lost, for the log.
        step: of a report.
        value: of a report.
        waits: whether the execution waits for an answer to it.
        outcome: how the execution ended, if by itself; `failed` stands for end states that no trial has.
        request: what it asks for.
        attribute: what it wants to be noted.
    """

    why: str = ""
    step: int = 0
    value: float = 0.0
    waits: bool = False
    outcome: Outcome | None = None
    request: RequestEvent | None = None
    attribute: AttributeEvent | None = None


def news_of(message: ExecutionMessage) -> News:
    """Return the data of a message."""
    if message["kind"] == "report":
        return News(step=message["step"], value=message["value"], waits=message["waits"])
    if message["kind"] == "future":
        return News(message["error"])
    if message["kind"] == "start":
        return News()
    if message["kind"] == "request":
        return News(request=message)
    if message["kind"] == "attribute":
        return News(attribute=message)
    state, error = message["state"], message.get("error", "")
    outcome = Outcome(
        state if is_state(state) else "failed",
        tuple(message.get("values", ())),
        message.get("metrics", {}),
        error=error,
        details=message.get("details", ""),
        seconds=message["seconds"],
        left_out=tuple(message.get("left_out", ())),
    )
    return News(error or "its worker had to let it go", outcome=outcome)
