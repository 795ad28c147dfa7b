"""The `result` line of a driver's log: what came out, also where the run folder is gone with the driver's pod."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from jobs import JOBS
from jobs.run import as_json


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
    """Return what a log line of the event `result` tells; None if it is no such line, or not one of a job of ours."""
    run, options, result = ((fields or {}).get(name) for name in ("run", "options", "result"))
    if not (isinstance(run, str) and isinstance(options, dict) and isinstance(result, dict)):
        return None
    if str(result.get("job")) not in JOBS or options.get("job") != result["job"]:
        return None
    return Outcome(run, options, result)


def rebuild(outcome: Outcome, folder: Path) -> list[str]:
    """Write the files of the run folder that the line tells, with the bits they had, and return their names.

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
    if not isinstance(numbers, list) or not numbers:
        return None
    try:
        return np.array([float(number) for number in numbers], dtype=np.float64)
    except (TypeError, ValueError):
        return None


def summary(outcome: Outcome, place: str | None) -> str | None:
    """Return the job's summary as people read it; None if the result is not of a form that can be shown.

    Args:
        outcome: what came out.
        place: where the run folder is, a local folder or a URL (None: not here). Lines that name what is not there
            are left out.
    """
    out = _Captured()
    try:
        with contextlib.redirect_stdout(out):
            importlib.import_module(f"jobs.{outcome.result['job']}.summary").show(outcome.result, place or outcome.run)
    except Exception:  # noqa: BLE001  the line may be another version's; what the pod printed is shown instead
        return None
    if place is not None and "://" in place:
        return out.getvalue()
    return "".join(line for line in out.getvalue().splitlines(keepends=True) if _holds(line, place, outcome.run))


def _holds(line: str, place: str | None, run: str) -> bool:
    """Return whether all that a line names is there."""
    if place is None:
        return run not in line
    return all(Path(found).exists() for found in re.findall(rf"{re.escape(place)}[\w./-]*", line))


class _Captured(io.StringIO):
    """Text that is kept, and has colours where standard output has them."""

    def __init__(self) -> None:
        super().__init__()
        self._terminal = sys.stdout.isatty()

    def isatty(self) -> bool:
        """Return whether standard output is a terminal."""
        return self._terminal
