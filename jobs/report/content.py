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
    """A report's own part: what the run is, in one sentence how it ended or where it is, and the sections."""

    title: str
    summary: str
    sections: Sequence[Section]


@dataclass(frozen=True)
class JobReport:
    """How one job's runs are reported.

    Attributes:
        options: the job's options, for their defaults.
        steps: what its progress counts, such as `iterations`.
        content: makes its content from a run folder.
        package: the Python package whose folder `templates` has the templates `job/NAME.html` of its sections; a job
            that uses shared templates alone needs none.
    """

    options: type[JobOptions]
    steps: str
    content: Callable[[RunFolder, Storage], Content]
    package: str = "jobs.report"
