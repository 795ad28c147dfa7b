"""Known hyperparameters that run first: from a file or options, checked against the space."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from jobs.errors import InputError, argument, nearest
from jobs.formatting import given, one_line
from jobs.options import NOT_YAML
from jobs.tune.space.dimensions import Choice, Dimension, Integer
from jobs.tune.space.space import Space


def enqueued(entries: str | list[Any] | None, space: Space) -> list[dict[str, Any]]:
    """Return the hyperparameters that run first, some or all of a trial's each.

    Args:
        entries: a YAML or JSON file with a list of them, or the list itself.
        space: the search space; empty where the objective asks for its hyperparameters, and will say what is wrong.

    Raises:
        InputError: the file cannot be read, or an entry is not in the space; names it.
    """
    found = _load(entries) if isinstance(entries, str) else entries
    if found is None:
        return []
    return [_checked(entry, space, f"{argument('enqueue')}, entry {at}") for at, entry in enumerate(found, start=1)]


def _load(path: str) -> list[Any]:
    try:
        found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except NOT_YAML as error:
        raise InputError(f"{argument('enqueue')} {path}: no YAML ({one_line(error)})") from error
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a path that is none
        raise InputError(f"{argument('enqueue')} {path}: {getattr(error, 'strerror', None) or error}") from error
    found = [found] if isinstance(found, dict) else found
    if not isinstance(found, list):
        raise InputError(f"{argument('enqueue')} {path} must hold a list of hyperparameters: '- {{x: 0.5, y: 3}}'")
    return found


def _checked(entry: Any, space: Space, where: str) -> dict[str, Any]:
    if not isinstance(entry, Mapping) or not all(isinstance(name, str) for name in entry):
        raise InputError(f"{where} is {given(entry)}, but must be a mapping: name -> value")
    checked: dict[str, Any] = {
        name: value.item() if isinstance(value, np.generic) else value for name, value in entry.items()
    }
    for name, value in checked.items():
        try:
            checked[name] = value = json.loads(json.dumps(value, allow_nan=False))  # noqa: PLW2901  a tuple is a list there
        except (TypeError, ValueError) as error:
            raise InputError(f"{where}: {name} is {given(value)}, but must be what JSON can hold ({error})") from error
        if space and name not in space:
            raise InputError(f"{where}: {name!r} is not in the {argument('space')}{nearest(name, space)}")
        if space and not _contains(space[name], value):
            kind = ", ".join(f"{key}: {limits}" for key, limits in space[name].plain().items())
            raise InputError(f"{where}: {name} is {given(value)}, but must be in {{{kind}}}")
    return checked


def _contains(dimension: Dimension, value: Any) -> bool:
    """Return whether a value is one of a dimension's."""
    if isinstance(dimension, Choice):
        return any(value == known and type(value) is type(known) for known in dimension.values)
    types = int if isinstance(dimension, Integer) else (int, float)
    if isinstance(value, bool) or not isinstance(value, types) or not dimension.low <= value <= dimension.high:
        return False
    steps = 0.0 if dimension.step is None else (value - dimension.low) / dimension.step
    return abs(steps - round(steps)) < 1e-8  # as Optuna has it
