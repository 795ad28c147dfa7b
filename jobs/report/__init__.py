"""One HTML file that shows a run: how it ended, how it went, with what options, and how to go on.

Public: `write_report`. It works for a run in any state, from whatever files the run folder has by then.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from jobs import JOBS
from jobs.errors import InputError
from jobs.report.page import page
from jobs.report.sections import head, how_to_go_on, non_defaults, options, versions
from jobs.runs.folder import read_run, readable

if TYPE_CHECKING:
    from jobs.report.content import JobReport
    from jobs.storage import Storage

__all__ = ["write_report"]


def write_report(storage: Storage) -> str:
    """Write report.html into the run folder at `storage`, from what the folder holds at this moment.

    Returns:
        The report's path or URL.

    Raises:
        InputError: this is no run folder, a file of it cannot be read, or its job has no report.
        ClusterError: the storage failed.
    """
    run = read_run(storage)
    if run.job not in JOBS:
        raise InputError(f"{storage.url}: its job is {run.job!r}, but a report can be made for {', '.join(JOBS)}")
    job: JobReport = importlib.import_module(f"jobs.{run.job}.report.content").REPORT
    with readable(storage.url, "result.json", "status.json"):
        content = job.content(run, storage)
        changed = non_defaults(run, job.options)
        sections = [*content.sections, options(run, changed)]
        if run.result:
            sections.append(versions(run))
        sections.append(how_to_go_on(run, changed))
        top = head(run, content.title, content.summary, job.steps)
        text = page(f"{content.title} · {run.state}", top, sections, content.package)
    storage.write("report.html", text.encode(errors="backslashreplace"))
    return storage.address("report.html")
