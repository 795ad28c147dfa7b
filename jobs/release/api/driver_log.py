"""The content of a driver's log: JSON lines of progress, the last error, records of libraries, and other text."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from jobs import registry
from jobs.runs.display.eta import EtaEstimator

ERROR = "dask-jobs: error: "
MAX_NUMBER = 10**15
"""More than all steps, and seconds since 1970, of real lines."""
FIXED = ("time", "job", "event", "done", "total", "at_most")


@dataclass(frozen=True)
class Progress:
    """The progress of a job: steps done of `total`, its metrics, and its ETA if a rate is known."""

    done: int
    total: int
    steps: str
    """The noun of a step, in the plural; empty if the job is unknown."""
    metrics: Mapping[str, Any]
    time: float
    seconds_left: float | None = None
    at_most: bool = False
    """Whether `total` is a limit that a run seldom comes to."""

    @property
    def fraction(self) -> float:
        """The done share, 0 .. 1."""
        return self.done / self.total if self.total else 0.0


@dataclass(frozen=True)
class Log:
    """The state of a driver by its log."""

    attempt: int | None = None
    progress: Progress | None = None
    doing: str = ""
    error: str = ""
    done: bool = False
    retry: str = ""
    """The driver's message on its next attempt, if no event has followed."""
    text: tuple[str, ...] = field(default=())
    """The lines that are not JSON, and the records of libraries."""


def parse(line: str) -> dict[str, Any] | None:
    """Return the fields of a line that a process of a release has logged; None for any other text.

    The user's code may log JSON too, with an `event` of its own; only ours has a `job` beside it.
    """
    if not line.startswith("{"):
        return None
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):  # user code may print anything, also JSON that is nested too deep
        return None
    ours = isinstance(fields, dict) and isinstance(fields.get("event"), str) and isinstance(fields.get("job"), str)
    return fields if ours else None


def is_record(fields: Mapping[str, Any]) -> bool:
    """Return whether a JSON line is a library's log record or a warning, not an event of a job or its driver."""
    return "logger" in fields


def record_text(fields: Mapping[str, Any]) -> str:
    """Return a library's log record as text, with its traceback."""
    parts = (f"{fields['event']}: {fields.get('message', '')}", str(fields.get("traceback", "")))
    return "\n".join(filter(None, parts))


def read(lines: Iterable[str]) -> Log:
    """Return the state of a driver by its log, or by the log's end."""
    state: dict[str, Any] = {}
    text: list[str] = []
    seen: list[Progress] = []
    for line in lines:
        fields = parse(line)
        if fields is None or is_record(fields):
            text += [line] if fields is None else record_text(fields).splitlines()
            if line.startswith(ERROR):
                state["error"] = line.removeprefix(ERROR)
            continue
        event = fields["event"]
        state["retry"] = message_of(fields) if event == "retry" else ""
        # A retried driver logs into the same container's log: what the attempt before has left does not count.
        if event == "attempt":
            state |= {"attempt": _whole(fields.get("attempt")), "error": "", "doing": "", "done": False}
            seen.clear()
        elif event == "doing":
            state["doing"] = message_of(fields)
        elif event == "progress" and (progress := progress_of(fields)):
            seen.append(progress)
        elif event == "done":
            state["done"] = True
    return Log(**state, progress=_with_rate(seen), text=tuple(text))


def message_of(fields: Mapping[str, Any]) -> str:
    """Return the message in a JSON line; empty if it has none."""
    text = fields.get("message")
    return text if isinstance(text, str) else ""


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and 0 <= value < MAX_NUMBER else None


def progress_of(fields: Mapping[str, Any]) -> Progress | None:
    """Return the progress in a JSON line; None if it lacks its numbers."""
    done, total, time = _whole(fields.get("done")), _whole(fields.get("total")), time_of(fields)
    if done is None or total is None or time is None:
        return None
    metrics = {key: value for key, value in fields.items() if key not in FIXED}
    return Progress(done, total, steps_of(fields), metrics, time, at_most=fields.get("at_most") is True)


def time_of(fields: Mapping[str, Any]) -> float | None:
    """Return a line's time in seconds since 1970, in which older images write it; None if it has none."""
    time = fields.get("time")
    if isinstance(time, str):
        with contextlib.suppress(ValueError, OverflowError):
            time = datetime.fromisoformat(time).timestamp()
    return float(time) if isinstance(time, int | float) and 0 <= time < MAX_NUMBER else None


def steps_of(fields: Mapping[str, Any]) -> str:
    """Return the noun of the progress in a JSON line; empty if its job is unknown."""
    job = registry.known(fields.get("job"))
    return job.steps if job else ""


def _with_rate(seen: list[Progress]) -> Progress | None:
    """Return the last progress with an ETA by the rate of all lines."""
    if not seen:
        return None
    estimator = EtaEstimator(seen[0].time, seen[0].done)
    for progress in seen[1:]:
        estimator.note(progress.done, progress.time)
    last = seen[-1]
    left = None if last.at_most else estimator.remaining(last.total - last.done, last.time)
    return replace(last, seconds_left=left)
