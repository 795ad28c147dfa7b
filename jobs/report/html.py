"""Small pieces of HTML; everything that is not Markup is escaped."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from jobs import formatting

TABLE = Markup('<table class="{}"><thead><tr>{}</tr></thead><tbody>\n{}\n</tbody></table>\n')


def paragraph(text: str, css: str = "") -> Markup:
    """Return one paragraph of class `css`, nothing for an empty text."""
    return Markup('<p class="{}">{}</p>\n').format(css, text) if text else Markup("")


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], css: str = "") -> Markup:
    """Return a table of class `css` whose first column names its rows."""
    columns = Markup("").join(Markup('<th scope="col">{}</th>').format(cell) for cell in head)
    body = Markup("\n").join(Markup("<tr>{}</tr>").format(_cells(row)) for row in rows)
    return TABLE.format(css, columns, body)


def _cells(row: Sequence[Any]) -> Markup:
    first, *rest = (value_text(cell) for cell in row)
    return Markup('<th scope="row">{}</th>').format(first) + Markup("").join(
        Markup("<td>{}</td>").format(cell) for cell in rest
    )


def details(summary: str, body: Markup) -> Markup:
    """Return what a reader opens if wanted."""
    return Markup("<details><summary>{}</summary>\n{}</details>\n").format(summary, body)


def value_text(value: Any) -> str | Markup:
    """Return a value as a person reads it: floats with all digits, strings without quotes, what is nested as JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return Markup('<span class="unset">not set</span>')
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, Mapping | list | bool):
        return textwrap.shorten(json.dumps(value, ensure_ascii=False), 500, placeholder=" ...")
    return str(value)


def duration(seconds: float) -> str:
    """Return seconds as a person says them, on one line: `1.23 s`, `12 min 30 s`, `3 h 5 min`."""
    return formatting.duration(seconds, digits=3).replace(" ", "\N{NO-BREAK SPACE}")
