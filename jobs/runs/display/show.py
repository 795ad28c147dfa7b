"""Prints the state of a run, from its folder: the summary of its end, or its status."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console

from jobs.errors import InputError, Stopped, UserCodeError
from jobs.formatting import printable_line
from jobs.runs.display.console import print_rows
from jobs.runs.display.progress import counted, metrics_text
from jobs.runs.folder import RunFolder, readable
from jobs.runs.owner import STALE, Owner, state_of
from jobs.runs.provenance.reading import read_provenance
from jobs.storage import Storage

COMMAND_SECONDS = "command_seconds"
"""Key of the seconds of the whole command, in the result that it prints at its end; not in result.json."""


def command_time(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the row of a summary for what the whole command took, if it is the one that prints it."""
    if (seconds := result.get(COMMAND_SECONDS)) is None or result.get("already"):
        return []
    return [("in all", f"{seconds:.1f} s, with imports, data and workers")]


def show_status(folder: RunFolder, url: str, dead: Owner | None) -> int:
    """Print the state of a run that is not done; return its exit code, or 4 while it has none.

    Args:
        folder: its files, read after the next was found out.
        url: the folder.
        dead: its last driver, if that was a process of this machine and is gone.

    Raises:
        InputError: its status is damaged, or another version's.
    """
    with readable(url, "status.json"):
        text = "\n".join([_state(folder, dead), *_progress(folder)])
        default = UserCodeError.exit_code if folder.state == "failed" else Stopped.exit_code
        code = int(folder.status.get("exit_code", default))
    sys.stdout.write(text + "\n")
    return code


def show_result(show: Callable[[Mapping[str, Any], str], None], result: Mapping[str, Any], url: str) -> None:
    """Print a result as its job shows it.

    Raises:
        InputError: it is damaged, or another version's.
    """
    with readable(url, "result.json"):
        show(result, url)


def show_provenance(storage: Storage) -> None:
    """Print in two or three lines what the last attempt was made of, if the run folder has that."""
    try:
        found = read_provenance(storage)
        rows = found.rows() if found else []
    except InputError as error:
        rows = [("made by", str(error))]
    print_rows(Console(highlight=False, width=None if sys.stdout.isatty() else 140), rows)


def _state(folder: RunFolder, dead: Owner | None) -> str:
    attempt, error = f"attempt {folder.status.get('attempt', 0)}", folder.status.get("error")
    if dead and state_of(folder, dead) == STALE:
        return (
            f"{folder.job} not running, {attempt}: its driver, process {dead.process}, is gone; "
            "the same command on this run folder resumes it"
        )
    return printable_line(f"{folder.job} {folder.state}, {attempt}" + (f": {error}" if error else ""))


def _progress(folder: RunFolder) -> list[str]:
    progress, updated = folder.status.get("progress"), folder.status.get("updated")
    lines = []
    if progress:
        text = counted(progress["done"], progress["total"], "", at_most=bool(progress.get("at_most")))
        lines.append(f"progress    {text}")
    if updated:
        lines.append(f"written     {time.time() - updated:,.0f} s ago")
    if metrics := folder.status.get("metrics"):
        lines.append(f"metrics     {metrics_text(metrics)}")
    return lines
