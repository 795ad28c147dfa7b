"""A table as text: for people in columns, for programs as JSON or CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from jobs.formatting import printable
from jobs.runs.tables import as_csv, as_json

MAX_CELL = 60
"""Maximum characters of a cell for people."""
GAP = "  "


def for_programs(form: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows, which all have the same names, as `json` or `csv`."""
    return (as_json if form == "json" else as_csv)(rows).decode(errors="backslashreplace")


def in_columns(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows in columns under their heads; lines end without blanks.

    Long texts are cut, but for heads, first columns, which are names to be copied, and last ones.
    """
    uncut = (0, len(heads) - 1)
    lines = [[printable(head) for head in heads]]
    lines += [[printable(text if at in uncut else _cut(text)) for at, text in enumerate(row)] for row in rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(heads))]
    texts = (GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "".join(text.rstrip() + "\n" for text in texts)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CELL else f"{text[: MAX_CELL - 3]}..."


def iso(seconds: float | None) -> str | None:
    """Return a moment of the epoch in ISO 8601, UTC; None of none."""
    return None if seconds is None else _moment(seconds).isoformat(timespec="seconds")


def local(seconds: float | None) -> str:
    """Return a moment of the epoch in this machine's time, for people."""
    return "" if seconds is None else f"{_moment(seconds).astimezone():%Y-%m-%d %H:%M}"


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)
