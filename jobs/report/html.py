"""How values become text in a report; templates use these as filters."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from typing import Any


def value_text(value: Any) -> str:
    """Return a value as a person reads it: floats with all digits, strings without quotes, what is nested as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, Mapping | list | bool):
        return textwrap.shorten(json.dumps(value, ensure_ascii=False), 500, placeholder=" ...")
    return str(value)


def number(value: float, digits: int = 6) -> str:
    """Return a number rounded to so many digits."""
    return f"{value:.{digits}g}"


def duration(seconds: float) -> str:
    """Return seconds as a person says them, on one line: `1.23 s`, `12 min 30 s`, `3 h 5 min`."""
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    if hours:
        text = f"{hours} h {minutes % 60} min"
    else:
        text = f"{minutes} min {int(seconds % 60)} s" if minutes else f"{seconds:.3g} s"
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def plural(count: int, noun: str) -> str:
    """Return `1 worker`, `2 workers`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
