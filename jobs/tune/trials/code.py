"""The source code that an objective is made of, as digests: a study that goes on with another one is another study."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from jobs.runs.identity import SOURCE
from jobs.sources import check_sources, home, sources, users
from jobs.tune.trials.objective import Function, Imported, UserCode, name_of
from jobs.tune.trials.parts import Parts


def sources_of(objective: Any) -> dict[str, str]:
    """Return `source of NAME` -> digest of all that an objective is made of.

    One that workers import is its modules, see `jobs.sources.sources`. One that goes by value, as from a notebook or a
    script, is its own source with all that it holds and uses from there, see `jobs.tune.trials.parts`; what it uses of
    the user's modules counts as these do.

    Args:
        objective: module:function, which has been imported, or a function.
    """
    if roots := roots_of(objective):
        return sources(*roots)
    parts = Parts()
    told = parts.tell(objective)
    return {f"{SOURCE}{name_of(objective)}": told, **sources(*users(parts.modules))}


def roots_of(objective: Any) -> tuple[Any, ...]:
    """Return what of an objective leads to its modules; nothing of one that goes by value."""
    if isinstance(objective, str):
        return sys.modules.get(objective.partition(":")[0]), Imported(objective)()
    module = home(objective)
    return () if module is None else (module,)


def checked(source: UserCode, driver: Mapping[str, str]) -> Function:
    """Return the function that a worker makes, after a look whether its source is the driver's.

    Args:
        source: how it travels.
        driver: digests of its source on the driver; none where it goes by value.

    Raises:
        InputError: it cannot be made here, or is of other code.
    """
    function = source()
    if driver and (roots := roots_of(source.spec if isinstance(source, Imported) else function)):
        check_sources(driver, *roots)
    return function
