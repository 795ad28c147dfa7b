"""Search spaces: a dimension for each hyperparameter, from Python or from YAML.

A space is a mapping name -> dimension, in the order given. `uniform`, `log`, `integer` and `choice` make dimensions,
which check themselves; `load` and `parse` read them from YAML, where `learning_rate: {log: [1.0e-6, 10]}` is
`log(1e-6, 10)`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import yaml

from jobs.errors import InputError, argument, nearest
from jobs.formatting import one_line
from jobs.options import NOT_YAML
from jobs.tune.space.dimensions import Choice, Dimension, Float, Integer, Value

KINDS = ("uniform", "log", "integer", "choice")
ALIASES = {"loguniform": "log"}
"""Other libraries' names of kinds."""

Space: TypeAlias = Mapping[str, Dimension]


def uniform(low: float, high: float, *, step: float | None = None) -> Float:
    """Return a number in [low, high], or of low, low + step, ..., high, all equally likely.

    Raises:
        InputError: the range is empty, or does not end with a step.
    """
    return Float(low, high, step=step)


def log(low: float, high: float) -> Float:
    """Return a number in [low, high] whose logarithm is uniform; raises InputError unless 0 < low < high."""
    return Float(low, high, log=True)


def integer(low: int, high: int, *, log: bool = False, step: int = 1) -> Integer:
    """Return an integer in low .. high, every step-th one; `log` makes its logarithm uniform.

    Raises:
        InputError: the range is empty, or does not end with a step.
    """
    return Integer(low, high, log, step)


def choice(values: Iterable[Value]) -> Choice:
    """Return one of `values`, all equally likely; raises InputError if there are none, or two are equal."""
    return Choice(tuple(map(_listed, values)))


def _listed(value: Any) -> Any:
    """Return a value as JSON would give it back: NumPy's as Python's, a tuple as a list."""
    if isinstance(value, list | tuple):
        return [_listed(part) for part in value]
    return value.item() if isinstance(value, np.generic) else value


def check(space: Any) -> dict[str, Dimension]:
    """Return a space given in Python as a dict; a dimension may also be given as in YAML.

    Raises:
        InputError: it is not a mapping, it is empty, a name is not a text, or a value not a dimension.
    """
    if not isinstance(space, Mapping):
        raise InputError(f"space is {type(space).__name__}, but must be a mapping: name -> dimension")
    if not space:
        raise InputError("space is empty; give at least one hyperparameter")
    checked = {}
    for name, given in space.items():
        if not isinstance(name, str) or not name:
            raise InputError(f"space: {name!r} must be a name, a text that is not empty")
        dimension = _dimension(given, f"space: {name!r}") if isinstance(given, Mapping) else given
        if not isinstance(dimension, Dimension):
            raise InputError(
                f"space: {name} is {dimension!r}, but must be one of {', '.join(KINDS)} of jobs.tune.space"
            )
        checked[name] = dimension
    return checked


def plain(space: Space) -> dict[str, dict[str, Any]]:
    """Return a space in YAML's types; `parse` reads it back."""
    return {name: dimension.plain() for name, dimension in space.items()}


def draw(space: Space, seed: int, number: int) -> dict[str, Value]:
    """Return random hyperparameters that depend on the space, the seed and the trial's number alone.

    They are drawn in the order of their names: Helm sorts mappings.
    """
    random = np.random.default_rng(np.random.SeedSequence([seed, number]))
    drawn = {name: space[name].draw(random) for name in sorted(space)}
    return {name: drawn[name] for name in space}


def load(path: str) -> dict[str, Dimension]:
    """Return the space in a YAML file of `name: {kind: [...]}` entries.

    Raises:
        InputError: the file cannot be read, or an entry is wrong; names the entry and its line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a path that is none
        raise InputError(f"{argument('space')} {path}: {getattr(error, 'strerror', None) or error}") from error
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode) or not node.value:
            raise InputError(
                f"{argument('space')} {path}: holds no entries; write lines like 'dropout: {{uniform: [0, 1]}}'"
            )
        return _entries(loader, node, path)
    except NOT_YAML as error:
        raise InputError(f"{argument('space')} {path}: no YAML ({one_line(error)})") from error


def _entries(loader: yaml.SafeLoader, node: yaml.MappingNode, path: str) -> dict[str, Dimension]:
    space: dict[str, Dimension] = {}
    for key, value in node.value:
        where = f"{argument('space')} {path}, line {key.start_mark.line + 1}"
        if not isinstance(key, yaml.ScalarNode):
            raise InputError(f"{where}: a name must be a text, and no list or mapping")
        name = loader.construct_object(key)
        if name in space:
            raise InputError(f"{where}: {name!r} is given a second time; remove one of them")
        inner = [child for child, _ in value.value] if isinstance(value, yaml.MappingNode) else []
        if not all(isinstance(child, yaml.ScalarNode) for child in inner):
            raise InputError(f"{where}: {name!r}: a kind must be one of {', '.join(KINDS)}, and no list or mapping")
        keys = [child.value for child in inner]
        if len(set(keys)) < len(keys):
            raise InputError(f"{where}: {name!r} has the same key twice")
        space[_name(name, where)] = _dimension(loader.construct_object(value, deep=True), f"{where}: {name!r}")
    return space


def parse(entries: Any) -> dict[str, Dimension]:
    """Return the space that a mapping of `name: {kind: [...]}` describes, as in a job's YAML file.

    Raises:
        InputError: an entry is wrong; names it.
    """
    if not isinstance(entries, Mapping) or not entries:
        raise InputError(f"{argument('space')} holds no entries; give a YAML file, or a mapping name: {{kind: [...]}}")
    return {
        _name(name, argument("space")): _dimension(value, f"{argument('space')}: {name!r}")
        for name, value in entries.items()
    }


def _name(name: Any, where: str) -> str:
    if not isinstance(name, str) or not name:
        raise InputError(f"{where}: the name {name!r} must be a text that is not empty")
    return name


def _dimension(entry: Any, where: str) -> Dimension:
    if not isinstance(entry, Mapping) or not entry:
        raise InputError(f"{where} is {entry!r}, but must be {{kind: [...]}} with a kind of {', '.join(KINDS)}")
    entry = {ALIASES.get(name, name): values for name, values in entry.items()}
    scaled = "integer" in entry and entry.pop("log", False)
    if scaled not in (True, False):
        raise InputError(f"{where}: log is {scaled!r}, but beside integer must be true or false")
    step = {"step": _number(entry.pop("step"))} if "step" in entry and entry.keys() & {"uniform", "integer"} else {}
    kind, values = _only(entry, where)
    if not isinstance(values, list):
        raise InputError(f"{where}: {kind} is {values!r}, but must be a list")
    if kind != "choice" and len(values) != 2:
        raise InputError(f"{where}: {kind} is {values!r}, but must be [low, high]")
    try:
        return _make(kind, values, scaled=scaled, **step)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _only(entry: Mapping[Any, Any], where: str) -> tuple[str, Any]:
    """Return the one kind of an entry, and its arguments."""
    if "step" in entry:
        raise InputError(f"{where}: a step goes with uniform or integer only; remove it")
    for name in entry:
        if name not in KINDS:
            raise InputError(f"{where}: {name!r} is no kind{nearest(str(name), KINDS)} (kinds: {', '.join(KINDS)})")
    if len(entry) > 1 and isinstance(entry.get("log"), bool):
        raise InputError(f"{where}: log: true goes with integer only; write {{log: [low, high]}}")
    if len(entry) > 1:
        raise InputError(f"{where} has the kinds {' and '.join(entry)}; give one")
    return next(iter(entry.items()))


def _make(kind: str, values: list[Any], *, scaled: bool, **step: Any) -> Dimension:
    if kind == "choice":
        return choice(values)
    low, high = (_number(value) for value in values)
    return integer(low, high, log=scaled, **step) if kind == "integer" else Float(low, high, log=kind == "log", **step)


def _number(value: Any) -> Any:
    """Return the number of a text: YAML reads 1e-6, which has no dot, as a text."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value
