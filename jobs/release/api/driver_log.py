"""The content of a driver's log: JSON lines of progress, the last error, records of libraries, and other text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from jobs import registry
from jobs.runs.display.eta import EtaEstimator

ERROR = "dask-jobs: error: "
FIXED = ("time", "job", "event", "done", "total")


@dataclass(frozen=True)
class Progress:
    """The progress of a job: steps done of at most `total`, its metrics, and its ETA if a rate is known."""

    done: int
    total: int
    steps: str
    """The noun of a step, in the plural; empty if the job is unknown."""
    metrics: Mapping[str, Any]
    time: float
    seconds_left: float | None = None

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
    """Return a JSON log line's fields; None for any other text."""
    if not line.startswith("{"):
        return None
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):  # user code may print anything, also JSON that is nested too deep
        return None
    return fields if isinstance(fields, dict) and "event" in fields else None


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
        state["retry"] = str(fields.get("message", "")) if event == "retry" else ""
        # A retried driver logs into the same container's log: what the attempt before has left does not count.
        if event == "attempt":
            state |= {"attempt": fields.get("attempt"), "error": "", "doing": "", "done": False}
            seen.clear()
        elif event == "doing":
            state["doing"] = str(fields.get("message", ""))
        elif event == "progress" and (progress := progress_of(fields)):
            seen.append(progress)
        elif event == "done":
            state["done"] = True
    return Log(**state, progress=_with_rate(seen), text=tuple(text))


def progress_of(fields: Mapping[str, Any]) -> Progress | None:
    """Return the progress in a JSON line; None if it lacks its numbers."""
    try:
        done, total, time = int(fields["done"]), int(fields["total"]), float(fields["time"])
    except (KeyError, TypeError, ValueError):
        return None
    metrics = {key: value for key, value in fields.items() if key not in FIXED}
    return Progress(done, total, steps_of(fields), metrics, time)


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
    return replace(last, seconds_left=estimator.remaining(last.total - last.done, last.time))
