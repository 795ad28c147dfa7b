"""A job's own part of a report."""

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
    """A part of a total, for `report/shares.html`: a slice of the bar and a row of the table below it.

    Attributes:
        name: the part.
        colour: of its slice.
        amount: its size, as text.
        share: its fraction of the total, 0 .. 1.
        meaning: its explanation.
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
        title: the run's title.
        summary: one sentence on its outcome or its state.
        sections: below the summary.
        package: the Python package whose folder `templates` has the templates `job/NAME.html` of these sections; a job
            that uses shared templates alone needs none.
    """

    title: str
    summary: str
    sections: Sequence[Section]
    package: str = "jobs.report"


@dataclass(frozen=True)
class Curve:
    """How a run went, for its comparison with others.

    Attributes:
        x: what the x axis counts, such as `evaluations`.
        y: the quantity, such as `loss`.
        points: (x, y) of each step.
        falls: whether lower is better.
        steps: whether it is a best so far, which is constant between two points.
    """

    x: str
    y: str
    points: Sequence[tuple[float, float]]
    falls: bool = True
    steps: bool = False


@dataclass(frozen=True)
class JobReport:
    """The report of one job's runs: its options' defaults, the noun of its progress, and its content."""

    options: type[JobOptions]
    steps: str
    content: Callable[[RunFolder, Storage], Content]
