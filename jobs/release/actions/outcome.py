"""The outcome of a job from the `result` line of its driver's log, also where the run folder is gone with the pod."""

from __future__ import annotations

import contextlib
import io
import itertools
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from jobs import registry
from jobs.job import Job, Logged
from jobs.release.actions.destination import mapping
from jobs.runs.encoding import as_json

DEPTH = 50
"""Maximum nesting of results and options, which is more than any of ours has."""


@dataclass(frozen=True)
class Outcome:
    """A job that has ended well.

    Attributes:
        run: its run folder, under the pod's path.
        options: the content of its options.yaml.
        result: the content of its result.json; `already` too if the run had ended before.
        job: its job.
        logged: other files that the result restores.
    """

    run: str
    options: dict[str, Any]
    result: dict[str, Any]
    job: Job
    logged: Logged


def outcome_of(fields: Mapping[str, Any] | None) -> Outcome | None:
    """Return the outcome in a log line of the event `result`; None if it is not such a line of one of our jobs."""
    run, options, result = ((fields or {}).get(name) for name in ("run", "options", "result"))
    if not (isinstance(run, str) and run and isinstance(options, dict) and isinstance(result, dict)):
        return None
    job = registry.known(result.get("job"))
    if job is None or options.get("job") != job.name or not _is_text([run, options, result]):
        return None
    logged = _logged(job, result)
    return None if logged is None else Outcome(run, options, result, job, logged)


def outcome_in(folder: Path) -> Outcome | None:
    """Return the outcome in a run folder here; None if it has no result of one of our jobs."""
    files = {"options": mapping(folder / "options.yaml"), "result": mapping(folder / "result.json")}
    return outcome_of({"run": str(folder), **files})


def _is_text(value: Any, depth: int = DEPTH) -> bool:
    """Return whether a JSON value can be written as UTF-8, and is not nested deeper than any of ours."""
    if isinstance(value, str):
        # JSON may have half of a surrogate pair as \ud800, which no UTF-8 file can hold.
        return not any("\ud800" <= letter <= "\udfff" for letter in value)
    if not isinstance(value, list | dict):
        return True
    items = itertools.chain(value, value.values()) if isinstance(value, dict) else value
    return depth > 0 and all(_is_text(item, depth - 1) for item in items)


def _logged(job: Job, result: Mapping[str, Any]) -> Logged | None:
    """Return the other files that a result restores; None if it is not of its job's form."""
    try:
        return job.load_logged()(result)
    except (ValueError, TypeError):
        return None


def rebuild(outcome: Outcome, folder: Path) -> list[str]:
    """Write the files of the run folder that the line holds, with the bits they had, and return their names.

    Raises:
        OSError: they cannot be written.
    """
    result = {name: value for name, value in outcome.result.items() if name != "already"}  # of the log line alone
    (folder / "options.yaml").write_bytes(yaml.safe_dump(outcome.options, sort_keys=False).encode())
    for name, content in outcome.logged.files.items():
        (folder / name).write_bytes(content)
    (folder / "result.json").write_bytes(as_json(result))
    return ["result.json", "options.yaml", *outcome.logged.files]


def summary(outcome: Outcome, place: str | None) -> str | None:
    """Return the job's summary as text; None if the result is not of a form that can be shown.

    Args:
        outcome: the job's.
        place: the run folder's path or URL (None: not here). Lines that name missing files are left out.
    """
    text = _rendered(outcome, place or outcome.run, terminal=sys.stdout.isatty())
    if text is None or (place is not None and "://" in place):
        return text
    held = "".join(line for line in text.splitlines(keepends=True) if _holds(line, place, outcome.run))
    return held or None


def printed(outcome: Outcome) -> list[str]:
    """Return the lines of the summary as the driver printed them, if it is of this version."""
    return (_rendered(outcome, outcome.run, terminal=False) or "").splitlines()


def _rendered(outcome: Outcome, run: str, *, terminal: bool) -> str | None:
    out = _Captured(terminal=terminal)
    try:
        with contextlib.redirect_stdout(out):
            outcome.job.load_show()(outcome.result, run)
    except Exception:  # noqa: BLE001  the line may be another version's; what the pod printed is shown instead
        return None
    return out.getvalue()


def _holds(line: str, place: str | None, run: str) -> bool:
    """Return whether all files that a line names exist."""
    if place is None:
        return run not in line
    return all(Path(found).exists() for found in re.findall(rf"{re.escape(place)}[\w./-]*", line))


class _Captured(io.StringIO):
    """Captured text, with colours if it is for a terminal."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        """Return whether the text is for a terminal."""
        return self._terminal
