"""The numbers of a result, by the names that its job declares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MAX_NUMBERS = 40
"""Maximum numbers of a result: a folder from elsewhere may have any."""
EVERY = "*"


def numbers(results: Sequence[str], result: Mapping[str, Any]) -> dict[str, Any]:
    """Return name -> value of what a result has, in the order of the declaration.

    Args:
        results: as of `jobs.job.Job`.
        result: the content of result.json, of any types.
    """
    found: dict[str, Any] = {}
    for declared in results:
        name, _, path = declared.partition("=")
        for own, value in _found(result, path.split("."), ""):
            if value is not None and len(found) < MAX_NUMBERS:
                found.setdefault(own if name == EVERY else name, value)
    return found


def _found(value: Any, path: Sequence[str], name: str) -> Iterator[tuple[str, Any]]:
    """Yield what lies at a path, each with the name that its `*` stands for."""
    if not path:
        yield name, value
        return
    step, *rest = path
    if isinstance(value, Mapping):
        for key in [str(key) for key in value] if step == EVERY else [step]:
            if key in value:
                yield from _found(value[key], rest, key if step == EVERY else name)
    elif isinstance(value, list) and step.lstrip("-").isdecimal() and -len(value) <= int(step) < len(value):
        yield from _found(value[int(step)], rest, name)
