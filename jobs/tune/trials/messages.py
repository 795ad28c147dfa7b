"""The messages between driver, workers and the child processes of `--isolate` about executions of trials.

Dask sends events by msgpack, so they are dicts; TypedDicts, so that mypy checks both ends.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypeAlias, TypedDict

from jobs.tune.records.outcome import State

StopReason: TypeAlias = Literal["pruned", "timeout", "abandoned"]
"""Why the driver stops an execution; `abandoned`: it no longer waits for it."""
EndState: TypeAlias = State | Literal["fault", "broken", "died", "timeout", "abandoned"]
"""End states of an execution: those of a trial, and those that do not end the trial.

fault: the storage or the cluster failed; broken: an error that all trials would have; died: its child process ended;
timeout and abandoned: the driver has stopped it.
"""


class ExecutionEnd(TypedDict):
    """How an execution has ended: with values and metrics if complete, an error and details if something failed.

    left_out: entries of the returned dict that are no numbers, each with its type.
    """

    state: EndState
    values: NotRequired[list[float]]
    metrics: NotRequired[dict[str, float]]
    left_out: NotRequired[list[str]]
    error: NotRequired[str]
    details: NotRequired[str]


class Report(TypedDict):
    """An intermediate score of a trial; `waits` if it waits for the driver's answer."""

    kind: Literal["report"]
    step: int
    value: float
    waits: bool


class Request(TypedDict):
    """A trial asks the driver and waits for the reply; asked again, since it may be lost, it gets the same one.

    suggest: the value of the hyperparameter `name`, of the distribution `wanted`, JSON of `trials.distribution`.
    prune: whether the trial is to be stopped for its report of `step`.
    """

    kind: Literal["request"]
    request: int
    what: Literal["suggest", "prune"]
    name: str
    wanted: str
    step: int


class Attribute(TypedDict):
    """A user attribute of a trial, its value as JSON."""

    kind: Literal["attribute"]
    name: str
    value: str


class Reply(TypedDict):
    """The reply to a request: a value as Optuna stores it (a choice's index), or 0 or 1; or what is wrong with it."""

    value: float
    error: str


class StartEvent(TypedDict):
    """An execution has begun."""

    kind: Literal["start"]
    execution_id: str
    worker: str
    number: int


class ReportEvent(Report):
    """A report, and of which execution."""

    execution_id: str
    worker: str
    number: int


class RequestEvent(Request):
    """A request, and of which execution."""

    execution_id: str
    worker: str
    number: int


class AttributeEvent(Attribute):
    """A user attribute, and of which execution."""

    execution_id: str
    worker: str
    number: int


class EndEvent(ExecutionEnd):
    """An execution has ended after so many seconds."""

    kind: Literal["end"]
    execution_id: str
    worker: str
    number: int
    seconds: float


class ReadyEvent(TypedDict):
    """A worker takes trials; `arithmetic` as of `jobs.arithmetic`."""

    kind: Literal["ready"]
    worker: str
    threads: int
    gpus: float
    arithmetic: dict[str, str]


class LeavingEvent(TypedDict):
    """A worker ends itself because of an execution that an earlier attempt has left there."""

    kind: Literal["leaving"]
    worker: str


class GoneEvent(TypedDict):
    """The scheduler has lost a worker; `expected` if it left in order."""

    kind: Literal["gone"]
    worker: str
    expected: bool


class FutureEvent(TypedDict):
    """An execution's task has ended; ignored if an `end` came before."""

    kind: Literal["future"]
    execution_id: str
    number: int
    error: str


TrialMessage: TypeAlias = Report | Request | Attribute
"""What a trial sends while it runs."""
ExecutionMessage: TypeAlias = StartEvent | ReportEvent | RequestEvent | AttributeEvent | EndEvent | FutureEvent
"""The messages of an execution."""
Event: TypeAlias = ExecutionMessage | ReadyEvent | LeavingEvent | GoneEvent
"""The events of a search, in the order in which the scheduler saw them; `gone` and `future` are the driver's own."""
