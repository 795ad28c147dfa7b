"""Parsing options with several values: `a,b`, `[1,2]`, `name=value,name=value`, JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

NULL = "None"
CONSTANTS = {"true": True, "false": False, "null": None, NULL: None}
ITEM = re.compile(r'(?:"(?:\\.|[^"\\])*"|\\"|[^",])*')
"""An item up to a comma that is not between double quotes."""
DECODER = json.JSONDecoder()


def scalar(text: str) -> str | None:
    """Return the value of an option with one: pydantic parses numbers; `None` is none."""
    return None if text == NULL else text


def listed(texts: Sequence[str]) -> list[Any]:
    """Return the list of one or several texts.

    Raises:
        ValueError: quotes or brackets do not match.
    """
    return [_value(item) if isinstance(item, str) else item for text in texts for item in _items(text)]


def mapped(texts: Sequence[str]) -> dict[str, Any]:
    """Return the mapping of one or several texts; the last value of a name counts.

    Raises:
        ValueError: an item is not name=value, or quotes or brackets do not match.
    """
    values: dict[str, Any] = {}
    for item in (item for text in texts for item in _items(text)):
        if isinstance(item, str):
            name, equals, value = item.partition("=")
            if item and (not equals or name.count('"') % 2):
                raise ValueError(item)
            values |= {name.strip('"'): value.strip('"')} if item else {}
        else:
            if not isinstance(item, dict):
                raise ValueError(item)  # noqa: TRY004  a wrong text, and no wrong type of ours
            values |= item
    return values


def mapped_or_text(texts: Sequence[str]) -> dict[str, Any] | str | None:
    """Return a mapping, or the first text where the texts are not a mapping.

    Raises:
        ValueError: it begins as JSON does, but is not JSON.
    """
    try:
        return mapped(texts)
    except ValueError:
        text = texts[0].strip()
        if text.startswith(("{", "[")):
            raise
        return None if text in ("null", NULL) else text.strip('"')


def _items(text: str) -> Iterator[Any]:
    """Yield the items between commas: texts, and JSON's objects and arrays decoded."""
    text = text.strip()
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1].strip()
        if not text:
            return
    at = 0
    while True:
        at += len(text[at:]) - len(text[at:].lstrip())
        if text[at : at + 1] in ("{", "["):
            item, at = _decoded(text, at)
        else:
            match = ITEM.match(text, at)
            assert match is not None  # it matches the empty text, too
            item, at = match.group().strip(), match.end()
        at += len(text[at:]) - len(text[at:].lstrip())
        if text[at : at + 1] not in ("", ","):
            raise ValueError(text)
        yield item
        if at >= len(text):
            return
        at += 1


def _decoded(text: str, at: int) -> tuple[Any, int]:
    """Return JSON's object or array at a position, and where it ends.

    Raises:
        ValueError: it is not JSON, or nested too deeply.
    """
    try:
        return DECODER.raw_decode(text, at)
    except RecursionError as error:
        raise ValueError(text) from error


def _value(item: str) -> Any:
    if len(item) > 1 and item.startswith('"') and item.endswith('"'):
        return item[1:-1]
    return CONSTANTS.get(item, item)
