"""Values as text in a report; templates use these as filters."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from typing import Any

from jobs import formatting


def value_text(value: Any) -> str:
    """Return a value as readable text: floats with all digits, strings without quotes, nested values as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, Mapping | list | bool):
        return textwrap.shorten(json.dumps(value, ensure_ascii=False), 500, placeholder=" ...")
    return str(value)


def duration(seconds: float) -> str:
    """Return a duration that does not break over lines: `1.23 s`, `12 min 30 s`, `3 h 5 min`."""
    return formatting.duration(seconds, digits=3).replace(" ", "\N{NO-BREAK SPACE}")
