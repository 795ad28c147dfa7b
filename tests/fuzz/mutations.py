"""Damaged files: what a loss of power, a full disk, another version or another's hand makes of them, from a seed."""

from __future__ import annotations

import copy
import json
from random import Random
from typing import Any

import yaml

OTHERS: tuple[Any, ...] = (None, True, -1, 0, 2**70, 1e400, 0.5, "", "x", "\udcff", [], [1, "a"], {}, {"a": 1}, [[]])
"""Values in the place of others, of each type that JSON has."""


def damaged(content: bytes, random: Random) -> bytes:
    """Return bytes of a file, damaged in one of the ways that happen."""
    size = len(content)
    if not size:
        return b"\0"
    start = random.randrange(size)
    stop = min(size, start + random.choice((1, 64, 4096)))
    return random.choice(
        (
            b"",
            content[:start],
            content[:start] + bytes(stop - start) + content[stop:],
            content + content[start:],
            content[:start] + content[stop:],
            flipped(content, random, random.randint(1, 5)),
        )
    )


def flipped(content: bytes, random: Random, count: int) -> bytes:
    """Return bytes with so many flipped bits."""
    changed = bytearray(content)
    for _ in range(count):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def of_another_version(name: str, content: bytes, random: Random) -> bytes:
    """Return a JSON or YAML file, or JSON lines, with one value gone, of another type, or more than it had."""
    if name.endswith(".yaml"):
        return yaml.safe_dump(_changed(yaml.safe_load(content), random)).encode(errors="replace")
    if name.endswith(".log"):
        lines = content.splitlines(keepends=True)
        place = random.randrange(len(lines))
        lines[place] = json.dumps(_changed(json.loads(lines[place]), random)).encode() + b"\n"
        return b"".join(lines)
    return json.dumps(_changed(json.loads(content), random)).encode()


def _changed(value: Any, random: Random) -> Any:
    value = copy.deepcopy(value)
    places = list(_places(value))
    if not places or not random.randrange(20):
        return random.choice(OTHERS)
    holder, key = random.choice(places)
    match random.randrange(4):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder["another"] = random.choice(OTHERS)
        case _:
            holder[key] = random.choice(OTHERS)
    return value


def _places(value: Any) -> Any:
    """Yield (list or dict, key) of all values within a value."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def mutated(name: str, content: bytes, random: Random) -> bytes:
    """Return a run folder's file, damaged, or as of another version."""
    if name.endswith((".json", ".yaml", ".log")) and random.random() < 0.7:
        return of_another_version(name, content, random)
    return damaged(content, random)
