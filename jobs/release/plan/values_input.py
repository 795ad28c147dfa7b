"""A release's values as people give them: files and `--set`, as helm takes them, checked by the model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from jobs.errors import InputError, nearest
from jobs.release.plan.values import SET_BY_CHART, Values

WORDS = {"true": True, "false": False, "null": None}


def values_given(files: Sequence[str], texts: Sequence[str], file_texts: Sequence[str]) -> Values:
    """Return the values of `-f FILE ... --set A.B=C ... --set-file A.B=FILE ...`; what comes later wins.

    Raises:
        InputError: one line on a file that cannot be read, or with every wrong value.
    """
    given: dict[str, Any] = {}
    for file in files:
        given = merged(given, _yaml(file))
    for text in texts:
        for path, value in settings(text):
            given = merged(given, _nested(path, _typed(path, value)))
    for text in file_texts:
        for path, file in settings(text):
            given = merged(given, _nested(path, _read(f"--set-file {file}", file)))
    return checked(given)


def checked(given: Mapping[str, Any]) -> Values:
    """Return the values as the model has them.

    Raises:
        InputError: one line with every wrong value.
    """
    for key in SET_BY_CHART & set(given.get("job") or ()):
        raise InputError(f"job.{key} is given, but the chart sets it from the other values: leave it out")
    try:
        return Values.model_validate(given)
    except ValidationError as error:
        raise InputError("; ".join(dict.fromkeys(_complaint(detail) for detail in error.errors()))) from None


def _complaint(detail: Any) -> str:
    path = [str(part) for part in detail["loc"] if not re.match(r"constrained-|function-|\w+\[", str(part))]
    name = ".".join(path)
    if detail["type"] == "extra_forbidden":
        return f"{name}: there is no such value{nearest(path[-1], _names(path[:-1]))}"
    if detail["type"] == "value_error":
        return str(detail["msg"]).removeprefix("Value error, ")
    if detail["type"] == "missing":
        return f"{name} is missing"
    if detail["type"] == "string_pattern_mismatch":
        return f"{name} is {detail['input']!r}, but must match {detail['ctx']['pattern']}"
    rule = str(detail["msg"]).removeprefix("Input ").removeprefix("String ")
    return f"{name} is {detail['input']!r}, but {rule.replace('should', 'must', 1)}"


def _names(path: Iterable[str]) -> list[str]:
    """Return the names of the values in a section."""
    section: Any = Values
    for part in path:
        field = section.model_fields.get(part)
        section = field.annotation if field else None
        if not (isinstance(section, type) and issubclass(section, BaseModel)):
            return []
    return list(section.model_fields)


def merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `more` over it: maps are merged, all else is replaced."""
    result = dict(base)
    for key, value in more.items():
        old = result.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        result[key] = merged(old, value) if both else value  # type: ignore[arg-type]
    return result


def settings(text: str) -> list[tuple[list[str], str]]:
    r"""Split `a.b=c,d\.e=f` into paths and texts; a backslash keeps a comma or dot.

    Raises:
        InputError: a part is no NAME=VALUE, or is a list, which only a file can give here.
    """
    pairs = []
    for part in _split(text, ","):
        name, equals, value = part.partition("=")
        if not equals or not name:
            raise InputError(f"--set {part!r} must be NAME=VALUE, such as workers.count=4")
        if value.startswith("{") or re.search(r"\[\d+\]", name):
            raise InputError(f"--set {part!r}: give lists in a file, by -f")
        pairs.append(([_plain(word) for word in _split(name, ".")], _plain(value)))
    return pairs


def _split(text: str, sign: str) -> list[str]:
    return re.split(rf"(?<!\\){re.escape(sign)}", text)


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _typed(path: Sequence[str], text: str) -> Any:
    if path[0] == "code":
        return text
    return WORDS[text] if text in WORDS else int(text) if re.fullmatch(r"-?(0|[1-9]\d*)", text) else text


def _nested(path: Sequence[str], value: Any) -> dict[str, Any]:
    for key in reversed(path):
        value = {key: value}
    return dict(value)


def _yaml(file: str) -> dict[str, Any]:
    try:
        content = yaml.safe_load(_read(f"-f {file}", file)) or {}
    except yaml.YAMLError as error:
        raise InputError(f"-f {file}: no YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise InputError(f"-f {file}: holds {type(content).__name__}, but must hold 'name: value' lines")
    return content


def _read(what: str, file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{what}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{what}: is no text") from error
