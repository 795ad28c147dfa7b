"""The identity of a run, name -> value; and the error where a folder's run has another one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jobs.errors import InputError
from jobs.sources import SOURCE


def differences(before: Mapping[str, Any], now: Mapping[str, Any], shown: Callable[[Any], str] = str) -> dict[str, str]:
    """Return name -> `NAME was X, and is now Y` for all entries that differ, by name.

    Args:
        before: the identity in the run folder.
        now: the identity of the requested run.
        shown: formats a value; a missing one is None.
    """
    names = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    return {name: difference(name, shown(before.get(name)), shown(now.get(name))) for name in names}


def difference(name: str, before: str, now: str) -> str:
    """Return a difference for error messages: `NAME was X, and is now Y`."""
    return f"{name} was {before}, and is now {now}"


def another(what: str, kind: str, changes: Iterable[str], remedy: str) -> InputError:
    """Return the error for resuming from files of another run.

    Args:
        what: the file, such as `journal FILE`.
        kind: the job's noun for its run.
        changes: the differences, as of `differences`.
        remedy: the remedy.
    """
    return InputError(f"{what} belongs to another {kind}: {'; '.join(changes)}; {remedy}")


def is_code(name: str) -> bool:
    """Return whether an entry is a source digest of the user's code."""
    return name.startswith(SOURCE)
