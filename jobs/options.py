"""What all jobs' options share, and how options come from the command line and a YAML file.

An options class is the one source of the command line, of the YAML file's keys, of their help texts (the fields'
descriptions) and of their checks.
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import io
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError
from pydantic_settings import BaseSettings, CliSettingsSource, SettingsError

from jobs.errors import InputError, nearest


class JobOptions(BaseModel):
    """Options of every job: where it runs, on how much, and where its results go."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    MAY_CHANGE: ClassVar[tuple[str, ...]] = ()
    """A job's own options that may change between attempts, since they say where it may go on, not what it computes."""

    run: str | None = Field(
        default=None,
        description="run folder, a path or s3://bucket/prefix; the same command on the same folder goes on "
        "where it was (default: runs/<job>-<date>-<time>)",
    )
    config: str | None = Field(default=None, description="YAML file with any of these options; the command line wins")
    scheduler: str | None = Field(
        default=None,
        description="address of a Dask scheduler, such as tcp://host:8786 "
        "(default: $DASK_SCHEDULER_ADDRESS, else a cluster on this machine)",
    )
    workers: int | None = Field(
        default=None,
        ge=0,
        description="on this machine: worker processes (default: one a core; 0: no cluster, all in this process); "
        "with a scheduler: how many to wait for (default 1)",
    )
    threads: PositiveInt = Field(default=1, description="compute threads of each worker on this machine")
    connect_timeout: PositiveFloat = Field(default=60.0, description="seconds to wait for the scheduler to answer")
    workers_timeout: PositiveFloat = Field(default=300.0, description="seconds to wait for the workers")
    deadline: PositiveFloat | None = Field(
        default=None, description="seconds after which the job saves its state and ends with exit code 4"
    )


PLACEMENT_OPTIONS = frozenset(JobOptions.model_fields)
"""Options of every job: where and how long it runs, not what it computes, so that they may change between attempts. A
chart sets them from its other values."""

AnyOptions = TypeVar("AnyOptions", bound=BaseModel)


def parse(options: type[AnyOptions], program: str, arguments: Sequence[str]) -> AnyOptions:
    """Return options from the command line's arguments and the YAML file that `--config` names.

    Raises:
        InputError: an option is unknown or has a value that it must not have; one line that names all of them.
        SystemExit: for --help, with code 0.
    """
    known = [f"--{name.replace('_', '-')}" for name in options.model_fields]
    for argument in arguments:
        name = argument.partition("=")[0]
        if name.startswith("--") and name not in (*known, "--help"):
            raise InputError(f"{name}: there is no such option{nearest(name, known)} ({program} --help lists them)")
    given = _command_line(options, program, arguments)
    path = given.get("config")
    values = {**_read_yaml(options, path, program.rpartition(" ")[2]), **given} if path else given
    return validated(options, values)


def validated(options: type[AnyOptions], values: Mapping[str, Any]) -> AnyOptions:
    """Return options made of values.

    Raises:
        InputError: one line with every wrong value.
    """
    try:
        return options.model_validate(values)
    except ValidationError as error:
        raise InputError("; ".join(_complaint(detail) for detail in error.errors())) from None


def _complaint(detail: Any) -> str:
    """Return one complaint of pydantic's as people read it: the option, the value, the rule."""
    name = "--" + str(detail["loc"][0]).replace("_", "-") if detail["loc"] else "options"
    if detail["type"] == "missing":
        return f"{name} is missing"
    if not detail["loc"] or detail["type"] == "value_error":
        return f"{detail['msg'].removeprefix('Value error, ')}"
    rule = detail["msg"].removeprefix("Input ")
    return f"{name} is {detail['input']!r}, but {rule.replace('should', 'must', 1)}"


def _command_line(options: type[BaseModel], program: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Return the options that the command line gives, as text."""

    class CommandLine(options, BaseSettings):  # type: ignore[valid-type, misc]  # the class is only known at run time
        model_config = {"extra": "forbid"}

    CommandLine.__doc__ = inspect.getdoc(options)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            source: Any = CliSettingsSource(
                CommandLine,
                cli_prog_name=program,
                cli_parse_args=list(arguments),
                cli_kebab_case=True,
                cli_avoid_json=True,
                cli_hide_none_type=True,
                cli_implicit_flags=True,
                formatter_class=_Help,
            )
            return dict(source())
    except SettingsError as error:
        name = re.sub(r".*encountered for (\w+):.*", r"\1", str(error), flags=re.DOTALL).replace("_", "-")
        raise InputError(
            f"--{name} must be given as name=value, or as several of them: name=value,name=value"
        ) from None
    except SystemExit as end:
        if not end.code:
            raise
        complaint = said.getvalue().strip().rpartition("error: ")[2]
        raise InputError(f"{complaint} (a value that starts with '-' is given as --option=-1)") from None


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help without the defaults that say nothing and the types that only Python reads."""

    def _expand_help(self, action: argparse.Action) -> str:
        return re.sub(r" \(default(: None| factory: \w+)\)$", "", super()._expand_help(action))

    def _metavar_formatter(self, action: argparse.Action, default_metavar: str) -> Callable[[int], tuple[str, ...]]:
        if isinstance(action.metavar, str):
            shapes = {"dict": "name=value,...", "list": "value,...", "{str,dict": "file"}
            action.metavar = shapes.get(action.metavar.partition("[")[0], action.metavar)
        return super()._metavar_formatter(action, default_metavar)


def _read_yaml(options: type[BaseModel], path: str, job: str) -> dict[str, Any]:
    """Return the keys of a YAML file; a run folder's options.yaml, which names its job, is one too.

    Raises:
        InputError: it cannot be read, is no YAML mapping, or has an unknown key.
    """
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise InputError(f"--config {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"--config {path}: no YAML ({' '.join(str(error).split())})") from error
    if not isinstance(values, dict):
        raise InputError(f"--config {path}: holds {type(values).__name__}, but must hold 'option: value' lines")
    values = {str(key).replace("-", "_"): value for key, value in values.items()}
    if values.pop("job", job) != job:
        raise InputError(f"--config {path}: holds options of another job, not of {job!r}")
    for key in values:
        if key not in options.model_fields:
            raise InputError(f"--config {path}: there is no option {key!r}{nearest(key, options.model_fields)}")
    return values
