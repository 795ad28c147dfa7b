"""What one job puts into its report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jobs.options import JobOptions
    from jobs.report.page import Section
    from jobs.runs.folder import RunFolder
    from jobs.storage import Storage


@dataclass(frozen=True)
class Share:
    """A part of a whole, for `report/shares.html`: a slice of the bar and a row of the table below it.

    Attributes:
        name: the part.
        colour: of its slice.
        amount: how much it is, as text.
        share: its part of the whole, 0 .. 1.
        meaning: what it is.
    """

    name: str
    colour: str
    amount: str
    share: float
    meaning: str


@dataclass(frozen=True)
class Content:
    """A report's own part.

    Attributes:
        title: what the run is.
        summary: in one sentence how it ended, or where it is.
        sections: what stands below.
        package: the Python package whose folder `templates` has the templates `job/NAME.html` of these sections; a job
            that uses shared templates alone needs none.
    """

    title: str
    summary: str
    sections: Sequence[Section]
    package: str = "jobs.report"


@dataclass(frozen=True)
class JobReport:
    """How one job's runs are reported: its options' defaults, what its progress counts, and its content."""

    options: type[JobOptions]
    steps: str
    content: Callable[[RunFolder, Storage], Content]
