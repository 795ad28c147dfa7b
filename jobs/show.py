"""How a run stands, from its folder: its result as it was told at the end, or its status."""

from __future__ import annotations

import importlib
import sys
import time

from jobs.errors import Stopped, UserCodeError
from jobs.progress import metrics_text
from jobs.report.folder import RunFolder, read_run
from jobs.storage import open_storage


def show(url: str) -> int:
    """Print how the run at `url` stands; return 0 if it is done, else its exit code, or 4 while there is none yet.

    Raises:
        InputError: there is no run folder.
    """
    folder = read_run(open_storage(url))
    if folder.state == "done":
        importlib.import_module(f"jobs.{folder.job}.summary").show(folder.result, url)
        return 0
    sys.stdout.write("\n".join([_state(folder), *_progress(folder)]) + "\n")
    default = UserCodeError.exit_code if folder.state == "failed" else Stopped.exit_code
    return int(folder.status.get("exit_code", default))


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
