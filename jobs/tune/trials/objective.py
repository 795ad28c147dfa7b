"""The user's function: the same one on driver and workers, and what it may return.

It is sent as `module:function`, imported on each side, or pickled. It takes the hyperparameters, a dict, and
optionally the trial; or the trial alone, which it asks for them. It returns a number, or several.
"""

from __future__ import annotations

import contextlib
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from jobs import usercode
from jobs.errors import InputError, argument
from jobs.formatting import given
from jobs.tune.trials.score import number, shown
from jobs.usercode import UserCode

Function: TypeAlias = Callable[..., Any]
PICKLE_LIMIT = 10_000_000
RULE = "return a number"
MAX_METRICS, MAX_NAME, MAX_LEFT_OUT = 1_000, 200, 20
"""Maximum number of metrics of a trial, characters of one's name, and entries that are named as no metrics."""


def objective_code(objective: Any) -> UserCode:
    """Return a user's objective, a function or 'module:function', as it is sent; nothing of it is checked."""
    return UserCode("objective", objective, "my_model:train")


def user_code(objective: Any) -> UserCode:
    """Return a user's objective as it is sent, checked: it can be imported or pickled, and takes its arguments.

    Raises:
        InputError: it cannot be imported or pickled, holds too much data, or takes no argument or too many.
    """
    code = objective_code(objective)
    wants_trial(function_of(code), _where(code))
    if code.spec is None and (size := code.freeze()) > PICKLE_LIMIT:
        raise InputError(
            f"objective is {size / 1e6:,.0f} MB when pickled, but must be under {PICKLE_LIMIT / 1e6:.0f} MB: "
            "let it load its data itself"
        )
    return code


def function_of(code: UserCode) -> Function:
    """Return the function in this process.

    Raises:
        InputError: it cannot be imported or unpickled here, or is not a function.
    """
    function = code.load()
    if not callable(function):
        where = "objective" if code.spec is None else _where(code)
        raise InputError(f"{where} is {type(function).__name__}, but must be a function of the hyperparameters")
    return function  # type: ignore[no-any-return]  # whatever the user's module holds


def _where(code: UserCode) -> str:
    return f"objective {code.name}" if code.spec is None else f"{argument('objective')} {code.spec}"


def wants_trial(function: Function, where: str = "objective") -> bool:
    """Return whether a function takes the trial as its second argument.

    It does if a second positional argument must be given, or is called `trial`.

    Raises:
        InputError: it takes no argument, or needs more than two, or its signature raises.
    """
    parameters = _parameters(function, where)
    if parameters is None:
        return False  # a built-in: one argument
    named = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = [p for p in named if p.default is p.empty]
    rest = any(p.kind == p.VAR_POSITIONAL for p in parameters)
    if not (named or rest):
        raise InputError(f"{where} takes no argument, but must take the hyperparameters, a dict: def train(parameters)")
    if len(needed) > 2 or any(p.kind == p.KEYWORD_ONLY and p.default is p.empty for p in parameters):
        raise InputError(f"{where} needs more than (parameters, trial); give its other arguments defaults")
    return len(named) > 1 and (len(needed) > 1 or named[1].name == "trial")


def _parameters(function: Function, where: str) -> list[inspect.Parameter] | None:
    """Return a function's parameters; None of one without a signature."""
    with usercode.refused(f"{where} does not say what arguments it takes", ": give a plain function"):
        try:
            return list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):
            return None


def defines_by_run(function: Function) -> bool:
    """Return whether a function asks the trial for its hyperparameters: its one argument is called `trial`."""
    named = [
        p for p in _parameters(function, "objective") or [] if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    return bool(named) and named[0].name == "trial" and not wants_trial(function)


def scores(returned: Any, metrics: Sequence[str], constraints: Sequence[str]) -> tuple[list[float], dict[str, float]]:
    """Return the objectives' values, in the order of `metrics`, and all metrics that a function has returned.

    What is named neither in `metrics` nor in `constraints` may be anything; only finite numbers of it are returned.

    Args:
        returned: a number, or a dict name -> number; or several objectives, a tuple or list in the order of `metrics`.
        metrics: which of a dict are the objectives; none if there is one, returned as a number.
        constraints: other metrics that must be there.

    Raises:
        TypeError: it is neither, a number is missing, or there are too many, or one's name is too long.
    """
    if isinstance(returned, tuple | list) and len(returned) == len(metrics) > 1 and not constraints:
        returned = dict(zip(metrics, returned, strict=True))
    if not isinstance(returned, Mapping):
        if metrics[1:] or constraints:
            names = ", ".join([*metrics, *constraints])
            raise TypeError(f"the objective returned {shown(returned)}, but must return a dict with {names}")
        return [number(returned, "the objective returned", RULE)], {}
    if not metrics:
        names = ", ".join(map(str, returned)) or "its entries"
        raise TypeError(f"the objective returned a dict; say which of {names} counts, by the option metric")
    for name in (*metrics, *constraints):
        if name not in returned:
            raise TypeError(f"the objective returned a dict without {name!r}; it has {', '.join(map(str, returned))}")
    needed = {name: number(returned[name], f"metric {name!r} returned", RULE) for name in (*metrics, *constraints)}
    return [needed[name] for name in metrics], {**_numbers(returned), **needed}


def _numbers(returned: Mapping[Any, Any]) -> dict[str, float]:
    """Return the entries of a dict that are finite numbers: of each trial they are in the journal and the tables."""
    found = {}
    for name, value in returned.items():
        with contextlib.suppress(TypeError):
            found[str(name)] = number(value, "", "")
    if len(found) > MAX_METRICS:
        raise TypeError(f"the objective returned {len(found):,} metrics, but must return at most {MAX_METRICS:,}")
    if long := next((name for name in found if len(name) > MAX_NAME), ""):
        raise TypeError(
            f"the objective returned a metric whose name has {len(long):,} characters, {given(long)}, but must have at "
            f"most {MAX_NAME}"
        )
    return {name: value for name, value in found.items() if math.isfinite(value)}


def left_out(returned: Any) -> list[str]:
    """Return the entries of a returned dict that are not numbers, and so in no table: `NAME (TYPE)`, the first ones."""
    found = []
    for name, value in returned.items() if isinstance(returned, Mapping) else ():
        try:
            number(value, "", "")
        except TypeError:
            found.append(f"{str(name)[:MAX_NAME]} ({type(value).__name__})")
    return found[:MAX_LEFT_OUT]


def finite(values: Sequence[float]) -> bool:
    """Return whether all values are finite."""
    return all(math.isfinite(value) for value in values)
