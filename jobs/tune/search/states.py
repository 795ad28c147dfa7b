"""The states of executions and of trials as the driver sees them, and all their transitions, in one table.

An execution is one call of the objective on a worker; a trial has one at a time, and several if it is retried. What
happens to an execution may be an event of its trial: the end of a worker is a loss of the trial that ran alone there.

What workers send comes in any state, since they do not wait for the driver; so each of their messages has a row for
every state. What the driver causes itself is refused where it cannot be, which is a bug.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from jobs.tune.trials.messages import EndState

ExecutionState: TypeAlias = Literal["queued", "running", "late", "pruned", "pruned_late", "released"]
"""Of an execution.

queued: sent to a worker; running: begun there; late: stopped, since it is out of time; pruned: its trial has ended, but
the function has not noticed yet; pruned_late: both; released: ended, lost or never of this attempt; its slot is free.
"""
TrialState: TypeAlias = Literal["pending", "active", "quarantined", "active_quarantined", "ended"]
"""Of a trial.

pending: waits for a slot; active: has an execution; quarantined: waits for a worker of its own, since it may have
killed one; active_quarantined: has an execution there; ended: recorded.
"""

Message: TypeAlias = EndState | Literal["start", "report", "request", "attribute", "future"]
"""What a worker or Dask sends of an execution; its end is an event for each way to end."""
ExecutionEvent: TypeAlias = (
    Message
    | Literal[
        "launch",
        "hopeless",
        "overtime",
        "unresponsive",
        "worker_paused",
        "worker_lost",
        "worker_died",
        "worker_died_alone",
    ]
)
"""What happens to an execution.

hopeless: the pruner has decided; overtime, unresponsive: its time is over, and it has not noticed that; worker_lost:
no trial is the cause; worker_died, worker_died_alone: with others there, or with this one only.
"""
TrialEvent: TypeAlias = Literal["launch", "paused", "lost", "fault", "quarantine", "lost_alone", "died", "end"]
"""What happens to a trial.

paused: its execution had not begun, and its worker is paused; lost: its worker is gone; fault: the cluster or the
storage failed; quarantine, lost_alone: its worker died with others there, or with it alone; died: its child process
did.
"""

ExecutionAction: TypeAlias = Literal[
    "launch",
    "ignore",
    "abandon",
    "note_start",
    "record_report",
    "reply",
    "record_attribute",
    "stop",
    "quit_worker",
    "refuse",
    "end",
    "end_pruned",
    "end_overtime",
    "paused",
    "lost",
    "fault",
    "quarantine",
    "lost_alone",
    "died",
]
"""What the search does with an execution; the last six are events of its trial."""
TrialAction: TypeAlias = Literal["launch", "put_back", "requeue", "requeue_after_fault", "count_loss", "record"]
"""What the search does with a trial."""

_Row: TypeAlias = Mapping[ExecutionState, tuple[ExecutionState, ExecutionAction]]
_TrialRow: TypeAlias = Mapping[TrialState, tuple[TrialState, TrialAction]]

# Nothing is left to do: the execution is not waited for, or its trial has ended.
_OVER: _Row = {
    "released": ("released", "ignore"),
    "pruned": ("released", "ignore"),
    "pruned_late": ("released", "ignore"),
}
_ENDED: _Row = {
    **_OVER,
    "queued": ("released", "end"),
    "running": ("released", "end"),
    "late": ("released", "end_overtime"),  # however it ended: it was stopped, or came too late
}
# Not even a late execution ends its trial so: the trial is not the cause of the loss.
_FAULT: _Row = {
    **_OVER,
    "queued": ("released", "fault"),
    "running": ("released", "fault"),
    "late": ("released", "fault"),
}

EXECUTIONS: Mapping[ExecutionEvent, _Row] = {
    "launch": {"released": ("queued", "launch")},
    "start": {
        "released": ("released", "abandon"),
        "queued": ("running", "note_start"),
        "running": ("running", "note_start"),
        "late": ("late", "note_start"),
        "pruned": ("pruned", "note_start"),
        "pruned_late": ("pruned_late", "note_start"),
    },
    "report": {
        "released": ("released", "abandon"),
        "queued": ("queued", "record_report"),  # its start message was lost with a connection
        "running": ("running", "record_report"),
        "late": ("late", "record_report"),
        "pruned": ("pruned", "ignore"),
        "pruned_late": ("pruned_late", "ignore"),
    },
    "request": {
        "released": ("released", "abandon"),
        "queued": ("queued", "reply"),
        "running": ("running", "reply"),
        "late": ("late", "ignore"),  # it has been stopped, for which its wait ends
        "pruned": ("pruned", "ignore"),
        "pruned_late": ("pruned_late", "ignore"),
    },
    "attribute": {
        "released": ("released", "abandon"),
        "queued": ("queued", "record_attribute"),
        "running": ("running", "record_attribute"),
        "late": ("late", "record_attribute"),
        "pruned": ("pruned", "ignore"),
        "pruned_late": ("pruned_late", "ignore"),
    },
    "hopeless": {
        "queued": ("pruned", "end_pruned"),
        "running": ("pruned", "end_pruned"),
        "late": ("pruned_late", "end_pruned"),
    },
    "overtime": {
        "running": ("late", "stop"),
        "pruned": ("pruned_late", "stop"),  # its trial has ended, but its slot is not free
    },
    "unresponsive": {
        "late": ("late", "quit_worker"),
        "pruned_late": ("pruned_late", "quit_worker"),
    },
    "complete": _ENDED,
    "pruned": _ENDED,
    "failed": _ENDED,
    "diverged": _ENDED,
    "died": {**_ENDED, "queued": ("released", "died"), "running": ("released", "died")},
    "timeout": {**_ENDED, "queued": ("released", "end_overtime"), "running": ("released", "end_overtime")},
    "fault": _FAULT,
    "abandoned": _FAULT,
    "future": _FAULT,
    "broken": {
        "released": ("released", "ignore"),
        "queued": ("queued", "refuse"),  # the search ends, so where it stands is where it stood
        "running": ("running", "refuse"),
        "late": ("late", "refuse"),
        "pruned": ("pruned", "refuse"),
        "pruned_late": ("pruned_late", "refuse"),
    },
    "worker_paused": {
        "queued": ("released", "paused"),
        "running": ("running", "ignore"),
        "late": ("late", "ignore"),
        "pruned": ("pruned", "ignore"),
        "pruned_late": ("pruned_late", "ignore"),
    },
    "worker_lost": {
        "queued": ("released", "lost"),
        "running": ("released", "lost"),
        "late": ("released", "end_overtime"),  # its worker was ended for its timeout
        "pruned": ("released", "ignore"),
        "pruned_late": ("released", "ignore"),
    },
    # A worker with a late execution is ended for that one's timeout: it is `worker_lost` for all that ran there.
    "worker_died": {
        "queued": ("released", "quarantine"),
        "running": ("released", "quarantine"),
        "pruned": ("released", "ignore"),
    },
    "worker_died_alone": {
        "queued": ("released", "lost_alone"),
        "running": ("released", "lost_alone"),
        "pruned": ("released", "ignore"),
    },
}
"""Event -> state -> (next state, action), of an execution. A pair that is not here cannot be."""

TRIALS: Mapping[TrialEvent, _TrialRow] = {
    "launch": {"pending": ("active", "launch"), "quarantined": ("active_quarantined", "launch")},
    "paused": {"active": ("pending", "put_back"), "active_quarantined": ("quarantined", "put_back")},
    "lost": {"active": ("pending", "requeue"), "active_quarantined": ("quarantined", "requeue")},
    "fault": {
        "active": ("pending", "requeue_after_fault"),
        "active_quarantined": ("quarantined", "requeue_after_fault"),
    },
    "quarantine": {"active": ("quarantined", "requeue"), "active_quarantined": ("quarantined", "requeue")},
    "lost_alone": {"active": ("quarantined", "count_loss"), "active_quarantined": ("quarantined", "count_loss")},
    "died": {
        "active": ("pending", "count_loss"),
        "active_quarantined": ("quarantined", "count_loss"),
    },  # its worker lives
    "end": {
        "active": ("ended", "record"),
        "active_quarantined": ("ended", "record"),
        "pending": ("ended", "record"),  # lost too often, which is found when it is requeued
        "quarantined": ("ended", "record"),
    },
}
"""Event -> state -> (next state, action), of a trial."""


def of_execution(state: ExecutionState, event: ExecutionEvent) -> tuple[ExecutionState, ExecutionAction]:
    """Return an execution's next state, and what to do.

    Raises:
        ValueError: this cannot happen in that state.
    """
    if state not in EXECUTIONS[event]:
        raise ValueError(f"an execution that is {state} cannot get the event {event}")
    return EXECUTIONS[event][state]


def of_trial(state: TrialState, event: TrialEvent) -> tuple[TrialState, TrialAction]:
    """Return a trial's next state, and what to do.

    Raises:
        ValueError: this cannot happen in that state.
    """
    if state not in TRIALS[event]:
        raise ValueError(f"a trial that is {state} cannot get the event {event}")
    return TRIALS[event][state]
