"""The identity of a study, by name; and the code by which its trials have ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jobs.formatting import plural
from jobs.runs.identity import code_of
from jobs.tune import space as spaces

if TYPE_CHECKING:
    from jobs.tune.options import Options
    from jobs.tune.space.space import Space


def identity_of(options: Options, objective: str, space: Space, sources: Mapping[str, str]) -> dict[str, Any]:
    """Return name -> value of all that must be the same when a study is resumed.

    Args:
        options: the options.
        objective: module:function, also of one that is named by its file.
        space: the search space.
        sources: digests of the objective's source code.
    """
    return {
        "objective": objective,
        "space": spaces.plain(space),
        "fixed": options.fixed,
        "metric": options.metric,
        "directions": options.direction,
        "constraints": options.constraints,
        "seed": options.seed,
        **sources,
    }


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
