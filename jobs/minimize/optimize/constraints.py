"""Constraints as SciPy takes them, whose functions are the user's code: their errors become UserCodeErrors."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

from scipy import optimize

from jobs.usercode import call

FUNCTIONS = ("fun", "jac", "hess")


def guarded(constraints: Any) -> Any:
    """Return constraints, one or several, whose functions raise a UserCodeError for whatever the user's code raises.

    What is not a constraint is returned unchanged: SciPy raises an error that explains it.
    """
    if isinstance(constraints, list | tuple):
        return [guarded(constraint) for constraint in constraints]
    if isinstance(constraints, dict):
        return {name: _guarded(name, value) if name in FUNCTIONS else value for name, value in constraints.items()}
    if isinstance(constraints, optimize.NonlinearConstraint):
        changed = copy.copy(constraints)  # the user's own object stays as it is
        for name in FUNCTIONS:
            setattr(changed, name, _guarded(name, getattr(constraints, name)))
        return changed
    return constraints


def _guarded(name: str, value: Any) -> Callable[..., Any] | Any:
    """Return a function that calls the user's; texts and strategies, which SciPy takes too, are unchanged."""
    if not callable(value) or isinstance(value, optimize.HessianUpdateStrategy):
        return value
    return functools.partial(call, f"{name} of the problem's constraints", value)
