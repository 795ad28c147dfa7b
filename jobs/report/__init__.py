"""The report of a run as one HTML file: its outcome and progress, its options, and how to resume it.

Public: `report_page`, `write_report`. It works for a run in any state, from a snapshot of the run folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.report.page import page
from jobs.report.sections import arithmetic, head, how_to_resume, non_defaults, options, provenance, versions
from jobs.runs.folder import readable

if TYPE_CHECKING:
    from jobs.report.content import JobReport
    from jobs.runs.folder import RunFolder
    from jobs.storage import Storage

__all__ = ["report_page", "write_report"]


def write_report(run: RunFolder, storage: Storage, job: JobReport) -> tuple[str, str]:
    """Write report.html into the run folder at `storage`; return its path or URL, and the page.

    Args:
        run: the content of the folder.
        storage: the folder.
        job: the report of its job.

    Raises:
        InputError: a file of the folder is damaged.
        ClusterError: the storage failed.
    """
    text = report_page(run, storage, job)
    storage.write("report.html", text.encode(errors="backslashreplace"))
    return storage.address("report.html"), text


def report_page(run: RunFolder, storage: Storage, job: JobReport) -> str:
    """Return the report of a run as HTML.

    Args:
        run: the content of its folder.
        storage: the folder.
        job: the report of its job.

    Raises:
        InputError: a file of the folder is damaged.
        ClusterError: the storage failed.
    """
    with readable(storage.url, "result.json", "status.json"):
        content = job.content(run, storage)
        changed = non_defaults(run, job.options)
        sections = [*content.sections, options(run, changed)]
        if run.result:
            sections.append(versions(run))
        if "arithmetic" in run.result:  # a job of another package may not say it
            sections.append(arithmetic(run))
        sections += provenance(storage)
        sections.append(how_to_resume(run, changed))
        top = head(run, content.title, content.summary, job.steps)
        return page(f"{content.title} · {run.state}", top, sections, content.package)
