"""Options of the command line from the fields of a pydantic model; pydantic reads and checks the values."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from click.core import ParameterSource
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from jobs.command_line import texts
from jobs.command_line.command import Command, Option, completer
from jobs.command_line.option_help import OTHER, OptionHelp
from jobs.command_line.overview import EXIT_CODES
from jobs.errors import InputError

METAVARS: dict[Any, str] = {int: "N", float: "NUMBER", dict: "NAME=VALUE,...", list: "VALUE,...", str: "TEXT"}
CHOICES_WIDTH = 24
"""Maximum length of choices as the metavar; longer ones are in the text."""
Reader = Callable[[Sequence[str]], Any]


def _fields(model: type) -> Iterable[str]:
    """Return the names of a model's fields, with those of its bases."""
    return getattr(model, "model_fields", ())


class OptionsCommand(Command):
    """A command whose options are the fields of a model.

    Args:
        model: its docstring is the help, with "Examples:" at its end; its fields are the options.
        program: the command, as it is typed.
    """

    def __init__(self, model: type[BaseModel], program: str) -> None:
        about, _, examples = (inspect.getdoc(model) or "").partition("Examples:\n")
        self._model = model
        options = [_option(name, field) for name, field in model.model_fields.items()]
        # A job's own groups come first, those of what all jobs share last; within a group it is the other way round.
        depths = {name: depth for depth, base in enumerate(model.__mro__) for name in _fields(base)}
        deepest: dict[str, int] = {}
        for option in options:
            deepest[option.group] = max(deepest.get(option.group, 0), depths[option.name])
        ordered = [option.group for option in sorted(options, key=lambda option: depths[option.name])]
        groups = sorted(deepest, key=lambda group: (deepest[group], ordered.index(group)))
        super().__init__(
            program,
            program="",
            params=sorted(options, key=lambda option: (option.group == OTHER, groups.index(option.group))),
            help=about.strip(),
            examples=inspect.cleandoc(examples),
            exit_codes=EXIT_CODES if examples else {},
        )

    def hint(self) -> str:
        """Return the hint on a value that looks like an option."""
        return "(a value that starts with '-' is given as --option=-1)"

    def unexpected(self, extra: Sequence[str]) -> Exception:
        """Return the error for arguments that it does not take."""
        return click.UsageError(f"unrecognized arguments: {' '.join(extra)}")

    def given(self, arguments: Sequence[str]) -> dict[str, Any]:
        """Return the options of the command line, as texts, lists and mappings of texts, and booleans.

        Raises:
            InputError: the usage error.
            SystemExit: for --help, with code 0.
        """
        for argument in arguments:
            name = argument.partition("=")[0]
            if name.startswith("--") and name not in self.names():
                raise self.no_such_option(name)
        with self.context(arguments) as context:
            typed = [
                name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
            ]
            return {name: _value(name, self._model.model_fields[name], context.params[name]) for name in typed}


def _value(name: str, field: FieldInfo, given: Any) -> Any:
    reader = _reader(field)
    if reader is None:
        return texts.scalar(given) if isinstance(given, str) else given
    try:
        return reader(given)
    except ValueError:
        raise InputError(
            f"--{_kebab(name)} must be given as name=value, or as several of them: name=value,name=value"
        ) from None


def _reader(field: FieldInfo) -> Reader | None:
    """Return the parser of an option with several values; None for options with one."""
    kinds = [get_origin(kind) or kind for kind in _kinds(field.annotation)]
    if dict in kinds:
        return texts.mapped_or_text if str in kinds else texts.mapped
    # A list beside a text is for a --config file: here it is the text, a path.
    return texts.listed if list in kinds and str not in kinds else None


def _option(name: str, field: FieldInfo) -> Option:
    shown = next((item for item in field.metadata if isinstance(item, OptionHelp)), OptionHelp())
    flag = bool in _kinds(field.annotation)
    choices = _choices(field)
    text = "|".join(choices)
    metavar = shown.metavar or (text if choices and len(text) <= CHOICES_WIDTH else _metavar(field))
    return Option(
        [f"--{_kebab(name)}/--no-{_kebab(name)}" if flag else f"--{_kebab(name)}", name],
        group=shown.group,
        metavar=None if flag else metavar,
        is_flag=flag,
        default=None,
        multiple=_reader(field) is not None,
        type=None if flag else str,
        help=_help(field, choices if len(text) > CHOICES_WIDTH else ()),
        shell_complete=completer(choices, path=shown.path),
    )


def _help(field: FieldInfo, choices: Sequence[str]) -> str:
    text, default_is, note = str(field.description).partition(" (default")
    if not all(choice in text for choice in choices):
        text += f": {', '.join(choices)}"
    text += default_is + note
    if field.is_required():
        return f"{text} (required)"
    default = field.get_default(call_default_factory=True, validated_data={})
    if default is None or default is False or default in ("", [], {}) or "(default" in text:
        return text
    default = ",".join(default) if isinstance(default, list) else default
    return f"{text} (default: {default:g})" if isinstance(default, float) else f"{text} (default: {default})"


def _choices(field: FieldInfo) -> list[str]:
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    given: Any = extra.get("enum", [])
    found = [str(value) for value in given]
    for kind in _kinds(field.annotation):
        for inner in (kind, *get_args(kind)) if get_origin(kind) is list else (kind,):
            found += [str(value) for value in get_args(inner)] if get_origin(inner) is Literal else []
    return found


def _metavar(field: FieldInfo) -> str:
    kinds = [get_origin(kind) or kind for kind in _kinds(field.annotation)]
    return next((METAVARS[kind] for kind in kinds if kind in METAVARS), "TEXT")


def _kinds(annotation: Any) -> list[Any]:
    """Return the types of a union, or the single type, without None and without constraints."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _kinds(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return [kind for part in get_args(annotation) for kind in _kinds(part)]
    return [] if annotation is type(None) else [annotation]


def _kebab(name: str) -> str:
    return name.replace("_", "-")
