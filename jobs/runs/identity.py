"""The identity of a run, name -> value; and the error where a folder's run has another one."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jobs.errors import InputError, argument, print_note
from jobs.runs.folder import RunFolder
from jobs.sources import SOURCE, digest

DIGITS = 8
"""Length of the name of a code."""


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


def is_same(
    what: str,
    kind: str,
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    *,
    accept_new_code: bool,
    shown: Callable[[Any], str] = repr,
) -> bool:
    """Return whether a folder's run is the requested one; False if it is except for code that is accepted.

    Args:
        what: where `before` is from, for messages.
        kind: the job's noun for its run.
        before: the identity in the run folder.
        now: the requested one.
        accept_new_code: whether the source code may differ.
        shown: formats a value.

    Raises:
        InputError: it is another run; the message has the differences and the remedy.
    """
    # Through JSON, as `before` came: tuples become lists.
    other = differences(before, json.loads(json.dumps(now)), shown)
    only_code = all(is_code(name) for name in other)
    if not other or (accept_new_code and only_code):
        return not other
    remedy = f"{argument('accept_new_code')} goes on with the new code, another {argument('run')} begins anew"
    changes = list(other.values())
    if any(is_code(name) for name in other):
        changes.append(difference("code", code_of(before), code_of(now)))
    raise another(what, kind, changes, remedy if only_code else f"choose another {argument('run')}")


def code_of(identity: Mapping[str, Any]) -> str:
    """Return the name of a run's code: 8 hex digits of all its sources."""
    sources = {name: value for name, value in identity.items() if is_code(name)}
    return digest(json.dumps(sources, sort_keys=True).encode())[:DIGITS]


def is_code(name: str) -> bool:
    """Return whether an entry is a source digest of the user's code."""
    return name.startswith(SOURCE)


def warn_of_new_code(run: RunFolder, now: Callable[[], Mapping[str, Any]]) -> None:
    """Say in a line if what a run's result was made by is not what is here now; a result without an identity is passed.

    Args:
        run: the run folder.
        now: returns some of the identity as it is here; what raises InputError is not here.
    """
    before = run.result.get("identity")
    with contextlib.suppress(InputError):
        here = now() if isinstance(before, dict) else {}
        if changes := differences({name: (before or {}).get(name) for name in here}, here):
            print_note(f"warning: not as it was when {run.url} ended: {'; '.join(changes.values())}")
