"""Functions that take their turns in rounds, so that what else the machine does meets all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from benchmarks.processes import wait_until_quiet
from benchmarks.report import spread

Seconds = dict[str, list[float]]


def turns(functions: Mapping[str, Callable[[], object]], rounds: int, patience: float = 2.0) -> Seconds:
    """Return each function's seconds in each round, after one that is not counted; a quick run does not wait."""
    seconds: Seconds = {name: [] for name in functions}
    for number in range(rounds + 1):
        for name, function in functions.items():
            if rounds > 1:
                wait_until_quiet(patience)
            began = time.perf_counter()
            function()
            if number:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def ratios(seconds: Seconds, name: str, base: str) -> list[float]:
    """Return how many times the seconds of `base` another one took, for each round."""
    return [one / other for one, other in zip(seconds[name], seconds[base], strict=True)]


def rows(seconds: Seconds, base: str, digits: int = 2, unit: float = 1.0) -> Sequence[Sequence[str]]:
    """Return a row of a table for each function: its seconds, times `unit`, and its ratio to `base`."""
    return [
        [name, spread([unit * value for value in values], digits), spread(ratios(seconds, name, base))]
        for name, values in seconds.items()
    ]
