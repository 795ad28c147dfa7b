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
class Content:
    """A report's own part: what the run is, in one sentence how it ended or where it is, and the sections."""

    title: str
    summary: str
    sections: Sequence[Section]


@dataclass(frozen=True)
class JobReport:
    """How one job's runs are reported: its options' defaults, what its progress counts, and its content."""

    options: type[JobOptions]
    steps: str
    content: Callable[[RunFolder, Storage], Content]
