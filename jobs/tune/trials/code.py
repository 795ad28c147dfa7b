"""The source digests of an objective: a study with other source code is another study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobs.sources import SOURCE, check_sources, home, sources, users
from jobs.tune.trials.objective import Function, function_of, objective_code
from jobs.tune.trials.parts import Parts
from jobs.usercode import UserCode


def sources_of(objective: Any) -> dict[str, str]:
    """Return `source of NAME` -> digest of all source code that an objective is made of.

    One that workers import is its modules, see `jobs.sources.sources`. One that is sent by value, as from a notebook or
    a script, is its own source with all that it holds and uses from there, see `jobs.tune.trials.parts`; what it uses
    of the user's modules counts as these do.

    Args:
        objective: module:function, which has been imported, or a function.
    """
    code = objective_code(objective)
    if roots := roots_of(code):
        return sources(*roots)
    parts = Parts()
    digest = parts.describe(objective)
    return {f"{SOURCE}{code.name}": digest, **sources(*users(parts.modules))}


def roots_of(code: UserCode) -> tuple[Any, ...]:
    """Return the objects or names that lead to an objective's modules; none of one that is sent by value."""
    if code.spec is not None:
        return code.roots()
    module = home(code.load())
    return () if module is None else (module,)


def checked(code: UserCode, driver: Mapping[str, str]) -> Function:
    """Return the function on a worker, after a check that its source is the driver's.

    Args:
        code: the function as it was sent.
        driver: digests of its source on the driver; none where it is sent by value.

    Raises:
        InputError: it cannot be loaded here, or its source differs.
    """
    function = function_of(code)
    if driver and (roots := roots_of(code)):
        check_sources(driver, *roots)
    return function
