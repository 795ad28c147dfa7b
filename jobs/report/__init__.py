"""One HTML file that shows a run: how it ended, how it went, with what options, and how to go on.

Public: `write_report`. It works for a run in any state, from whatever files the run folder has by then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.errors import InputError
from jobs.minimize.options import Options
from jobs.report import minimize
from jobs.report.folder import RunFolder, read_run
from jobs.report.general import given, head, how_to_go_on, options, versions
from jobs.report.page import Section, page

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.options import JobOptions
    from jobs.storage import Storage

__all__ = ["write_report"]


@dataclass(frozen=True)
class JobReport:
    """What one job adds: its options' defaults, its title, outcome and sections, and what its progress counts."""

    options: type[JobOptions]
    title: Callable[[RunFolder], str]
    summary: Callable[[RunFolder], str]
    sections: Callable[[RunFolder], list[Section]]
    steps: str


JOBS = {"minimize": JobReport(Options, minimize.title, minimize.summary, minimize.sections, "iterations")}


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
    job = JOBS[run.job]
    changed = given(run, job.options)
    sections = [*job.sections(run), options(run, changed)]
    if run.result:
        sections.append(versions(run))
    sections.append(how_to_go_on(run, changed))
    top = head(run, job.title(run), job.summary(run), job.steps)
    storage.write("report.html", page(f"{job.title(run)} · {run.state}", top, sections).encode())
    return storage.address("report.html")
