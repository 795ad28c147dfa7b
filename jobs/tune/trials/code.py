"""The source digests of an objective: a study with other source code is another study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobs.parts import code_roots, code_sources
from jobs.sources import check_sources
from jobs.tune.trials.objective import Function, function_of, objective_code
from jobs.usercode import UserCode


def sources_of(objective: Any) -> dict[str, str]:
    """Return `source of NAME` -> digest of all source code that an objective is made of, see `jobs.parts.code_sources`.

    Args:
        objective: module:function, which has been imported, or a function.
    """
    return code_sources(objective_code(objective))


def checked(code: UserCode, driver: Mapping[str, str]) -> Function:
    """Return the function on a worker, after a check that its source is the driver's.

    Args:
        code: the function as it was sent.
        driver: digests of its source on the driver; none where it is sent by value.

    Raises:
        InputError: it cannot be loaded here, or its source differs.
    """
    function = function_of(code)
    if driver and (roots := code_roots(code)):
        check_sources(driver, *roots)
    return function
