"""Splitting a command line into options, positional arguments and the rest, before click parses the values.

click takes any next argument as an option's value: `--l2 --l1 1` would be an l2 of '--l1'. Here an argument that looks
like an option is not a value; one that starts with '-' is written --option=-1, except for negative numbers.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import click

NEGATIVE = re.compile(r"-\d+$|-\d*\.\d+$")


@dataclass(frozen=True)
class Line:
    """A command line, split."""

    options: list[str] = field(default_factory=list)
    """`--name=value`, and the names of flags."""
    positionals: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    """Arguments that the command does not have."""


def scan(arguments: Sequence[str], known: Mapping[str, click.Option], positionals: int) -> Line:
    """Split a command line.

    Args:
        arguments: the command's arguments.
        known: the options by each of their names, `-n` and `--namespace`.
        positionals: maximum positional arguments of the command.

    Raises:
        click.BadOptionUsage: an option lacks its value, or a flag has one.
    """
    line, words = Line(), deque(arguments)
    while words:
        word = words.popleft()
        if word == "--":
            _add_positionals(line, words, positionals)
            break
        if not _like_an_option(word, known):
            _add_positionals(line, [word], positionals)
            continue
        name, value = _named(word, known)
        option = known.get(name)
        if option is None:
            line.extra.append(word)
        elif option.is_flag:
            line.options.append(name)
            if value is not None:
                words.appendleft(_next_flag(option, name, value, known))
        else:
            line.options.append(f"{option.opts[-1]}={_value(option, value, words, known)}")
    return line


def title(option: click.Parameter) -> str:
    """Return all names of an option: -n/--namespace."""
    return "/".join([*option.opts, *option.secondary_opts])


def _add_positionals(line: Line, words: Sequence[str] | deque[str], positionals: int) -> None:
    for word in words:
        (line.positionals if len(line.positionals) < positionals else line.extra).append(word)


def _like_an_option(word: str, known: Mapping[str, click.Option]) -> bool:
    if len(word) < 2 or not word.startswith("-"):
        return False
    return _named(word, known)[0] in known or not (NEGATIVE.match(word) or " " in word)


def _named(word: str, known: Mapping[str, click.Option]) -> tuple[str, str | None]:
    """Return the option's name and the value in the same argument: --name=value, -nvalue, -n=value."""
    name, equals, value = word.partition("=")
    if name not in known and not word.startswith("--") and word[:2] in known:
        return word[:2], word[2:].removeprefix("=")
    return name, value if equals else None


def _next_flag(option: click.Option, name: str, value: str, known: Mapping[str, click.Option]) -> str:
    """Return the rest of an argument after a flag, as an option of its own: the -p of -fp."""
    if name.startswith("--") or f"-{value[:1]}" not in known:
        raise click.BadOptionUsage(title(option), f"argument {title(option)}: ignored explicit argument {value!r}")
    return f"-{value}"


def _value(option: click.Option, value: str | None, words: deque[str], known: Mapping[str, click.Option]) -> str:
    if value is not None:
        return value
    if not words or _like_an_option(words[0], known):
        raise click.BadOptionUsage(title(option), f"argument {title(option)}: expected one argument")
    return words.popleft()
