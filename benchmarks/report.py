"""Tables of figures as Markdown, and the machine that they were measured on."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

VERSIONS = ("numpy", "scipy", "dask", "distributed")


@dataclass(frozen=True)
class Target:
    """A figure that the project wants to reach: `measured` with its spread, and whether that is what was `wanted`."""

    wanted: str
    measured: str
    met: bool


@dataclass(frozen=True)
class Table:
    """One subject's figures.

    Attributes:
        title: what was measured.
        text: how.
        header: names of the columns; the first column is left-aligned, numbers right-aligned.
        rows: cells as text.
        targets: what these figures decide.
    """

    title: str
    text: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    targets: Sequence[Target] = ()

    def markdown(self) -> str:
        """Return title, text and table."""
        return f"## {self.title}\n\n{self.text}\n\n{_table(self.header, self.rows)}\n"


def document(tables: Sequence[Table], notes: Sequence[str], command: str = "make bench") -> str:
    """Return the whole report: the machine, the targets, and all tables."""
    targets = [
        (target.wanted, target.measured, "met" if target.met else "missed")
        for table in tables
        for target in table.targets
    ]
    return "\n".join(
        [
            "# Results\n",
            f"Written by `{command}`. Each figure stands beside its peer in the same run.",
            "Ratios are those of each round, as median (smallest .. largest).\n",
            *(f"- {line}" for line in [*machine(), *notes]),
            "\n## Targets\n",
            _table(("wanted", "measured", ""), targets) + "\n",
            *(table.markdown() for table in tables),
        ]
    )


def machine() -> list[str]:
    """Return lines on the machine, the software and the day."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in VERSIONS)
    return [
        f"{model}, {psutil.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB memory",
        f"Python {platform.python_version()}, {versions}; one BLAS thread where nothing else is said",
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
    ]


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Return 'median (smallest .. largest)'."""
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f} .. {max(values):,.{digits}f})"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table that is also aligned as plain text."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(f"| {' | '.join(_padded(row, widths))} |" for row in [header, rule, *rows])


def _padded(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
