"""The identity of a study, by name; and the code by which its trials have ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jobs.errors import argument
from jobs.formatting import plural
from jobs.runs.identity import another, difference, differences, is_code
from jobs.sources import digest
from jobs.tune import space as spaces

if TYPE_CHECKING:
    from jobs.tune.options import Options
    from jobs.tune.space.space import Space

DIGITS = 8
"""Length of the name of a code."""


def identity_of(options: Options, space: Space, sources: Mapping[str, str]) -> dict[str, Any]:
    """Return name -> value of all that must be the same when a study is resumed.

    Args:
        options: the options.
        space: the search space.
        sources: digests of the objective's source code.
    """
    return {
        "objective": options.objective,
        "space": spaces.plain(space),
        "fixed": options.fixed,
        "metric": options.metric,
        "directions": options.direction,
        "constraints": options.constraints,
        "seed": options.seed,
        **sources,
    }


def is_same(what: str, before: Mapping[str, Any], now: Mapping[str, Any], *, accept_new_code: bool) -> bool:
    """Return whether a run folder's study is the requested one; False if it is except for code that is accepted.

    Args:
        what: where `before` is from, for messages.
        before: the identity in the run folder.
        now: the requested one.
        accept_new_code: whether the source code may differ.

    Raises:
        InputError: it is another study; the message has the differences and the remedy.
    """
    other = differences(before, json.loads(json.dumps(now)), repr)
    only_code = all(is_code(name) for name in other)
    if not other or (accept_new_code and only_code):
        return not other
    remedy = f"{argument('accept_new_code')} goes on with the new code, another {argument('run')} begins anew"
    changes = list(other.values())
    if any(is_code(name) for name in other):
        changes.append(difference("code", code_of(before), code_of(now)))
    raise another(what, "study", changes, remedy if only_code else f"choose another {argument('run')}")


def code_of(identity: Mapping[str, Any]) -> str:
    """Return the name of a study's code: 8 hex digits of all its sources."""
    sources = {name: value for name, value in identity.items() if is_code(name)}
    return digest(json.dumps(sources, sort_keys=True).encode())[:DIGITS]


def codes_text(codes: Mapping[str, int], identity: Mapping[str, Any]) -> str:
    """Return the number of trials by code, in words, if any ended by another than the present one: else nothing.

    Args:
        codes: name of a code -> number of trials.
        identity: of the study at present.
    """
    now = code_of(identity)
    if not codes.keys() - {now}:
        return ""
    (count, code), *rest = [(count, code) for code, count in codes.items()]
    named = [f"{plural(count, 'trial')} by code {code}", *(f"{count:,} by {code}" for count, code in rest)]
    named += [] if now in codes else [f"none by {now}"]
    return ", ".join(text + " (now)" * text.endswith(now) for text in named)
