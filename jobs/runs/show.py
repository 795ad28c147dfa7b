"""The state of a run, from its folder: its result as it was shown at the end, or its status."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from jobs import JOBS
from jobs.errors import InputError, Stopped, UserCodeError
from jobs.runs.console import metrics_text
from jobs.runs.folder import RunFolder, read_run, readable
from jobs.storage import open_storage


def show(url: str) -> int:
    """Print how the run at `url` stands; return 0 if it is done, else its exit code, or 4 while there is none yet.

    Raises:
        InputError: there is no run folder.
    """
    folder = read_run(open_storage(url))
    if folder.job not in JOBS:
        raise InputError(f"{url} is no run of {' or '.join(JOBS)}: it says {folder.job!r}")
    if folder.state == "done":
        show_result(importlib.import_module(f"jobs.{folder.job}.summary"), folder.result, url)
        return 0
    with readable(url, "status.json"):
        text = "\n".join([_state(folder), *_progress(folder)])
        default = UserCodeError.exit_code if folder.state == "failed" else Stopped.exit_code
        code = int(folder.status.get("exit_code", default))
    sys.stdout.write(text + "\n")
    return code


def show_result(summary: ModuleType, result: Mapping[str, Any], url: str) -> None:
    """Print a result as its job's summary does.

    Raises:
        InputError: it is damaged, or another version's.
    """
    with readable(url, "result.json"):
        summary.show(result, url)


def _state(folder: RunFolder) -> str:
    error = folder.status.get("error")
    return f"{folder.job} {folder.state}, attempt {folder.status.get('attempt', 0)}" + (f": {error}" if error else "")


def _progress(folder: RunFolder) -> list[str]:
    progress, updated = folder.status.get("progress"), folder.status.get("updated")
    lines = []
    if progress:
        lines.append(f"progress    {progress['done']:,} of {progress['total']:,} ({progress['fraction']:.0%})")
    if updated:
        lines.append(f"written     {time.time() - updated:,.0f} s ago")
    if metrics := folder.status.get("metrics"):
        lines.append(f"metrics     {metrics_text(metrics)}")
    return lines
