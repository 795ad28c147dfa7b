"""What a notebook shows of a run: its report, and a compact table in the place of a `repr`."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from jinja2 import Environment, PackageLoader, StrictUndefined

from jobs.report import write_report
from jobs.runs.folder import read_run
from jobs.storage import open_storage

if TYPE_CHECKING:
    from jobs.report.content import JobReport

HEIGHT = 700
"""Pixels of a report in a cell; it scrolls."""


class Report(str):
    """The path or URL of a report that was written; a notebook shows the report itself."""

    __slots__ = ("_page",)
    _page: str

    @classmethod
    def write(cls, url: str, job: JobReport) -> Self:
        """Write report.html into the run folder at `url`.

        Raises:
            InputError: it is not a run folder, or a file of it cannot be read.
            ClusterError: the storage failed.
        """
        storage = open_storage(url)
        path, page = write_report(read_run(storage), storage, job)
        report = cls(path)
        report._page = page
        return report

    def _repr_html_(self) -> str:
        """Return a frame with the page, which has scripts but no access to the notebook."""
        return (
            f'<iframe sandbox="allow-scripts allow-downloads" srcdoc="{html.escape(self._page)}" width="100%" '
            f'height="{HEIGHT}" style="border: 1px solid currentColor"></iframe>'
        )


def table(verdict: str, text: str, rows: Sequence[tuple[str, str]]) -> str:
    """Return a compact table as HTML; all of it is escaped.

    Args:
        verdict: how it ended, in bold.
        text: more of that.
        rows: names and values.
    """
    # Not the environment of reports, which imports Bokeh.
    environment = Environment(
        loader=PackageLoader("jobs.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("notebook.html").render(verdict=verdict, text=text, rows=rows)
