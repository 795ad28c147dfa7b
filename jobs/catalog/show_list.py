"""What `dask-jobs list` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from jobs.catalog.listing import DAMAGED, Row
from jobs.catalog.output import in_columns, iso, local
from jobs.formatting import duration, short

HEADS = ("RUN", "JOB", "STATE", "PROGRESS", "WORKERS", "WRITTEN", "TOOK", "RESULT")
DIGITS, MAX_VALUE = 6, 100


def for_people(rows: Sequence[Row]) -> str:
    """Return the rows in columns."""
    cells = [
        (
            row.run,
            row.job,
            row.state,
            _progress(row),
            "" if row.workers is None else str(row.workers),
            local(row.updated),
            "" if row.seconds is None else duration(row.seconds, digits=2),
            _result(row),
        )
        for row in rows
    ]
    return in_columns(HEADS, cells)


def for_programs(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the rows with all digits."""
    return [asdict(row) | {"updated": iso(row.updated)} for row in rows]


def _progress(row: Row) -> str:
    if row.done is None or row.total is None:
        return ""
    return f"{row.done:,} {row.steps}".rstrip() if row.state == "done" else f"{row.done:,}/{row.total:,} {row.steps}"


def _result(row: Row) -> str:
    if row.result is None:
        return ""
    return row.result if row.state == DAMAGED else f"{row.result} {short(row.value, DIGITS)[:MAX_VALUE]}"
