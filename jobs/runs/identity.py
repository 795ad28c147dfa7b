"""What makes a run this run, name -> value, and what differs when a folder's run is another one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jobs.sources import SOURCE


def differences(before: Mapping[str, Any], now: Mapping[str, Any], shown: Callable[[Any], str] = str) -> dict[str, str]:
    """Return name -> `NAME was X, and is now Y` for all that is not as it was, by name.

    Args:
        before: what the run folder has.
        now: what was asked for.
        shown: writes a value; one that was or is not there is None.
    """
    names = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    return {name: f"{name} was {shown(before.get(name))}, and is now {shown(now.get(name))}" for name in names}


def is_code(name: str) -> bool:
    """Return whether an entry is about the source of the user's code."""
    return name.startswith(SOURCE)
