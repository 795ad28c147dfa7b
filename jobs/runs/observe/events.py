"""The events of a run, as its observers get them."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, Protocol, TypedDict

Kind = Literal["start", "values", "trial", "end"]


class Event(TypedDict):
    """One event; which fields there are depends on the kind.

    `start`: options. `values`: step and values. `trial`: number, state, values, params, reports, seconds. `end`: state,
    exit_code, error and, if it is done, result. Times are seconds since 1970.
    """

    event: Kind
    job: str
    run: str
    attempt: int
    time: float
    options: NotRequired[dict[str, Any]]
    step: NotRequired[int]
    values: NotRequired[dict[str, float]]
    number: NotRequired[int]
    state: NotRequired[str]
    params: NotRequired[dict[str, Any]]
    reports: NotRequired[dict[int, float]]
    seconds: NotRequired[float]
    exit_code: NotRequired[int]
    error: NotRequired[str | None]
    result: NotRequired[dict[str, Any] | None]


class Observer(Protocol):
    """Where events go; its methods are called in one thread of its own."""

    def deliver(self, events: list[Event]) -> None:
        """Deliver events in order; any exception is reported, and later events are delivered all the same."""
