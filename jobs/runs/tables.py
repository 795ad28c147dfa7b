"""A table of values as CSV, safe for spreadsheets, and as JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

FORMULA, NUMBER, QUOTED = tuple("=+-@\t\r"), re.compile(r"[-+]?[0-9.]+([eE][-+]?[0-9]+)?"), re.compile(r'[",\n\r]')
"""Beginnings of a formula in a spreadsheet, a text that is a number, and what a cell must be quoted for."""


def as_csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return a table as CSV, with a header line; None is empty.

    A text that a spreadsheet would take for a formula has an apostrophe before it. The report's save.js does the same.
    """
    table = [list(rows[0]), *(row.values() for row in rows)] if rows else []
    return "".join(",".join(map(_cell, cells)) + "\n" for cells in table).encode()


def _cell(value: Any) -> str:
    text = "" if value is None else json.dumps(value) if isinstance(value, list | dict) else str(value)
    if isinstance(value, str) and text.startswith(FORMULA) and not NUMBER.fullmatch(text):
        text = f"'{text}"
    # Not by `csv`, which leaves a \r as it is, where readers end a line.
    return '"' + text.replace('"', '""') + '"' if QUOTED.search(text) else text


def as_json(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return a table as a JSON list of objects, one per line; None, NaN and infinity are null."""
    lines = [json.dumps({name: finite(value) for name, value in row.items()}, allow_nan=False) for row in rows]
    return ("[" + ",".join(f"\n{line}" for line in lines) + "\n]\n").encode()


def finite(value: Any) -> Any:
    """Return a value that JSON can hold: None for NaN and infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
