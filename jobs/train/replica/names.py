"""Names of a model's variables, the same in every process and for every build: their paths below the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.errors import InputError

Array = NDArray[Any]
SHOWN = 6
"""Maximum names that an error lists."""


def names(paths: Iterable[str], model: str) -> list[str]:
    """Return the names of variables from Keras's paths.

    The model's own name is left out, since a second model of a process may get another. Equal names are numbered by
    position: `dense/kernel`, `dense_2/kernel`, ...

    Args:
        paths: Keras's, in the model's order.
        model: the model's name.
    """
    found: dict[str, None] = {}
    for path in paths:
        head, _, last = path.removeprefix(f"{model}/").rpartition("/")
        name, number = f"{head}/{last}" if head else last, 1
        while name in found:
            number += 1
            name = f"{head}_{number}/{last}" if head else f"{last}_{number}"
        found[name] = None
    return list(found)


def check_arrays(what: str, given: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """Return arrays by name after comparing names and shapes.

    Args:
        what: the argument, for messages.
        given: name -> array.
        shapes: name -> shape that each must have.

    Raises:
        InputError: names are missing or unknown, or shapes differ; the message lists them.
    """
    if not isinstance(given, Mapping):
        raise InputError(f"{what} is {type(given).__name__}, but must be a dict: name of a variable -> array")
    faults = [f"{name} is missing" for name in shapes if name not in given]
    faults += [f"{name} is not a variable of the model" for name in given if name not in shapes]
    arrays = {name: np.asarray(given[name]) for name in shapes if name in given}
    faults += [
        f"{name} has shape {array.shape}, not {shapes[name]}"
        for name, array in arrays.items()
        if array.shape != shapes[name]
    ]
    if faults:
        raise InputError(f"{what}: {listed(faults)}")
    return arrays


def listed(items: Sequence[str]) -> str:
    """Return items in one line, and how many more there are."""
    rest = len(items) - SHOWN
    return "; ".join(items[:SHOWN]) + (f"; and {rest} more" if rest > 0 else "")
