"""What makes a run this run, name -> value; and how it is refused when a folder's run is another one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jobs.errors import InputError
from jobs.sources import SOURCE


def differences(before: Mapping[str, Any], now: Mapping[str, Any], shown: Callable[[Any], str] = str) -> dict[str, str]:
    """Return name -> `NAME was X, and is now Y` for all that is not as it was, by name.

    Args:
        before: what the run folder has.
        now: what was asked for.
        shown: writes a value; one that was or is not there is None.
    """
    names = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    return {name: difference(name, shown(before.get(name)), shown(now.get(name))) for name in names}


def difference(name: str, before: str, now: str) -> str:
    """Return how people read what differs: `NAME was X, and is now Y`."""
    return f"{name} was {before}, and is now {now}"


def another(what: str, kind: str, changes: Iterable[str], remedy: str) -> InputError:
    """Return the error that refuses to go on with what belongs to another run.

    Args:
        what: where it was found, such as `journal FILE`.
        kind: what a job calls its run.
        changes: what differs, as `differences` gives it.
        remedy: what to do.
    """
    return InputError(f"{what} belongs to another {kind}: {'; '.join(changes)}; {remedy}")


def is_code(name: str) -> bool:
    """Return whether an entry is about the source of the user's code."""
    return name.startswith(SOURCE)
