"""The `result` line of a driver's log: what came out, also where the run folder is gone with the driver's pod."""

from __future__ import annotations

import contextlib
import importlib
import io
import itertools
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from jobs import JOBS
from jobs.release.actions.destination import mapping
from jobs.runs.run import as_json

DEPTH = 50
"""Results and options of ours are not nested so deep."""
NOT_FINITE = ("inf", "-inf", "nan")
"""As texts, for JSON has no such numbers."""


@dataclass(frozen=True)
class Outcome:
    """A job that has ended well.

    Attributes:
        run: its run folder, as the pod called it.
        options: what its options.yaml holds.
        result: what its result.json holds; `already` too if the run had ended before.
    """

    run: str
    options: dict[str, Any]
    result: dict[str, Any]


def outcome_of(fields: Mapping[str, Any] | None) -> Outcome | None:
    """Return the outcome in a log line of the event `result`; None if it is not such a line of one of our jobs."""
    run, options, result = ((fields or {}).get(name) for name in ("run", "options", "result"))
    if not (isinstance(run, str) and run and isinstance(options, dict) and isinstance(result, dict)):
        return None
    if str(result.get("job")) not in JOBS or options.get("job") != result["job"]:
        return None
    return Outcome(run, options, result) if _is_text([run, options, result]) and _is_theta(result) else None


def outcome_in(folder: Path) -> Outcome | None:
    """Return the outcome in a run folder here; None if it has no result of one of our jobs."""
    files = {"options": mapping(folder / "options.yaml"), "result": mapping(folder / "result.json")}
    return outcome_of({"run": str(folder), **files})


def _is_text(value: Any, depth: int = DEPTH) -> bool:
    """Return whether a JSON value can be written as UTF-8, and is not nested deeper than any of ours."""
    if isinstance(value, str):
        return not any("\ud800" <= letter <= "\udfff" for letter in value)
    if not isinstance(value, list | dict):
        return True
    items = itertools.chain(value, value.values()) if isinstance(value, dict) else value
    return depth > 0 and all(_is_text(item, depth - 1) for item in items)


def _is_theta(result: Mapping[str, Any]) -> bool:
    """Return whether theta is as minimize writes it: how many numbers it has and, unless it is long, these."""
    if "x" not in result and result["job"] != "minimize":
        return "parameters" not in result
    count, theta = result.get("parameters"), result.get("x", [])
    if type(count) is not int or count < 0 or not isinstance(theta, list):
        return False
    counted = "x" not in result or len(theta) == count
    return counted and all(number in NOT_FINITE or _is_number(number) for number in theta)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def rebuild(outcome: Outcome, folder: Path) -> list[str]:
    """Write the files of the run folder that the line holds, with the bits they had, and return their names.

    Raises:
        OSError: they cannot be written.
    """
    result = {name: value for name, value in outcome.result.items() if name != "already"}
    (folder / "options.yaml").write_bytes(yaml.safe_dump(outcome.options, sort_keys=False).encode())
    if (theta := _theta(result)) is not None:
        np.save(folder / "x.npy", theta)
    (folder / "result.json").write_bytes(as_json(result))
    return [name for name in ("result.json", "options.yaml", "x.npy") if (folder / name).exists()]


def _theta(result: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    """Return theta (n,) where the line has it: only a short one is logged."""
    numbers = result.get("x")
    return np.array([float(number) for number in numbers], dtype=np.float64) if numbers else None


def summary(outcome: Outcome, place: str | None) -> str | None:
    """Return the job's summary as people read it; None if the result is not of a form that can be shown.

    Args:
        outcome: what came out.
        place: where the run folder is, a local folder or a URL (None: not here). Lines that name what is not there
            are left out.
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
            importlib.import_module(f"jobs.{outcome.result['job']}.summary").show(outcome.result, run)
    except Exception:  # noqa: BLE001  the line may be another version's; what the pod printed is shown instead
        return None
    return out.getvalue()


def _holds(line: str, place: str | None, run: str) -> bool:
    """Return whether all that a line names is there."""
    if place is None:
        return run not in line
    return all(Path(found).exists() for found in re.findall(rf"{re.escape(place)}[\w./-]*", line))


class _Captured(io.StringIO):
    """Text that is kept, with colours if it is for a terminal."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        """Return whether the text is for a terminal."""
        return self._terminal
