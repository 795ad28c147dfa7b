"""The options that all jobs share, and parsing options from the command line and a YAML file.

An options class is the one source of the command line, of the YAML file's keys, of their help texts (the fields'
descriptions) and of their checks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from jobs.command_line.option_help import RESULTS, RUNS, OptionHelp
from jobs.cpu import Cpu
from jobs.errors import InputError, argument, nearest
from jobs.formatting import given, one_line

MAX_BITS = 63
"""Maximum bits of an integer, its sign apart."""
MAX_VALUES = 100_000
"""Maximum values that a YAML text may have by its anchors, beyond its bytes: a line of nine aliases, nine deep, are
billions, which take no memory until they are shown or compared."""
MAX_DEPTH = 32
"""Maximum depth of lists and mappings in each other: what writes and compares them calls itself at each level."""


Tracker = Literal["mlflow", "wandb", "tensorboard"]


class JobOptions(BaseModel):
    """Options of every job: where it runs, on how much, and where its results go."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    MAY_CHANGE: ClassVar[tuple[str, ...]] = ()
    """A job's own options that may change between attempts, since they decide where it runs, not what it computes."""
    OWN_TRACKERS: ClassVar[tuple[str, ...]] = ()
    """Trackers of the option `log` that the job writes itself."""
    RESUMES: ClassVar[tuple[str, ...]] = ()
    """Options about what the run folder holds already, which mean nothing for a run that begins."""

    run: Annotated[str | None, OptionHelp(RESULTS, "FOLDER", path=True)] = Field(
        default=None,
        description="run folder, a path or s3://bucket/prefix; the same command on the same folder resumes "
        "it (default: runs/<job>-<date>-<time>)",
    )
    config: Annotated[str | None, OptionHelp(metavar="PATH", path=True)] = Field(
        default=None, description="YAML file with any of these options; the command line wins"
    )
    scheduler: Annotated[str | None, OptionHelp(RUNS, "ADDRESS")] = Field(
        default=None,
        description="address of a Dask scheduler, such as tcp://host:8786 "
        "(default: $DASK_SCHEDULER_ADDRESS, else a cluster on this machine)",
    )
    workers: Annotated[int | None, OptionHelp(RUNS)] = Field(
        default=None,
        ge=1,
        description="on this machine: worker processes (default: one per core); with a scheduler: how many to wait for "
        "(default 1)",
    )
    threads: Annotated[PositiveInt, OptionHelp(RUNS)] = Field(
        default=1, description="compute threads of each worker on this machine"
    )
    connect_timeout: Annotated[PositiveFloat, OptionHelp(RUNS, "SECONDS")] = Field(
        default=60.0, description="seconds to wait for the scheduler to answer"
    )
    workers_timeout: Annotated[PositiveFloat, OptionHelp(RUNS, "SECONDS")] = Field(
        default=300.0, description="seconds to wait for the workers"
    )
    deadline: Annotated[PositiveFloat | None, OptionHelp(RUNS, "SECONDS")] = Field(
        default=None, description="seconds after which the job saves its state and ends with exit code 4"
    )

    progress: Annotated[Literal["auto", "plain", "json", "none"], OptionHelp(RUNS)] = Field(
        default="auto",
        description="how progress is shown on standard error: live on a terminal or in a notebook, else as text "
        "(auto); as text; as JSON lines, those of Dask and other libraries among them; or not at all",
    )

    log: Annotated[list[Tracker], OptionHelp(RESULTS, "TRACKER")] = Field(
        default_factory=list,
        description="trackers that get the run's curves, trials and end: mlflow, wandb, tensorboard (files in the run "
        "folder), several with commas; each by its own environment variables",
    )
    observer: Annotated[str | None, OptionHelp(RESULTS, "module:function")] = Field(
        default=None,
        description="a function of yours, called with each event of the run in a thread of its own",
    )
    on_end: Annotated[str | None, OptionHelp(RESULTS, "COMMAND|URL")] = Field(
        default=None,
        description="at the end of each attempt, run this command, with the event as JSON on its standard input, or "
        "post that to this http(s):// address",
    )
    metrics_port: Annotated[int | None, OptionHelp(RUNS, "PORT")] = Field(
        default=None,
        ge=1,
        le=65535,
        description="serve Prometheus metrics of the run at this port of the driver, at /metrics",
    )
    cpu: Annotated[Cpu, OptionHelp(RUNS)] = Field(
        default="native",
        description="vector instructions of numerical libraries: all that each machine has, or those of x86-64-v3, so "
        "that bits are the same on any such machine",
    )

    @field_validator("*", mode="wrap")
    @classmethod
    def _is_number(cls, value: Any, check: ValidatorFunctionWrapHandler) -> Any:
        """Refuse a boolean as a number, since for pydantic true is 1, and integers that no library could take."""
        checked = check(value)
        if isinstance(value, bool) and type(checked) in (int, float):
            raise PydanticCustomError("number_type", "Input should be a number, and no boolean")
        if is_huge(checked):
            raise PydanticCustomError("too_large", "Input should be less than 2**63")
        return checked


class SerialJobOptions(JobOptions):
    """Options of a job that runs in this process too, with `--workers 0`."""

    workers: Annotated[int | None, OptionHelp(RUNS)] = Field(
        default=None,
        ge=0,
        description="on this machine: worker processes (default: one per core; 0: no cluster, all in this process); "
        "with a scheduler: how many to wait for (default 1)",
    )

    @model_validator(mode="after")
    def _one_thread(self) -> Self:
        if self.workers == 0 and self.threads > 1:
            raise ValueError(
                f"{argument('threads')} is {self.threads}, but with {argument('workers')} 0 all happens on one thread"
            )
        return self


COMMON_OPTIONS = frozenset(JobOptions.model_fields)
"""Options of every job: where and how long it runs, not what it computes, so that they may change between attempts."""
PLACEMENT_OPTIONS = COMMON_OPTIONS - {"cpu", "log", "observer", "on_end"}
"""Those that a chart sets from its other values."""

AnyOptions = TypeVar("AnyOptions", bound=BaseModel)


def parse(options: type[AnyOptions], program: str, arguments: Sequence[str]) -> AnyOptions:
    """Return options from the command line's arguments and the YAML file that `--config` names.

    Raises:
        InputError: an option is unknown or its value is invalid; one line that names all of them.
        SystemExit: for --help, with code 0.
    """
    typed = parse_typed(options, program, arguments)
    path = typed.get("config")
    values = {**_read_yaml(options, path, program.rpartition(" ")[2]), **typed} if path else typed
    return validated(options, values)


def parse_typed(options: type[BaseModel], program: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Return the options that the command line's arguments have, not yet checked.

    Raises:
        InputError: an option is unknown, or lacks its value.
        SystemExit: for --help, with code 0.
    """
    from jobs.command_line.fields import OptionsCommand

    return OptionsCommand(options, program).given(arguments)


def validated(options: type[AnyOptions], values: Mapping[str, Any]) -> AnyOptions:
    """Return the options with these values.

    Raises:
        InputError: one line with every invalid value.
    """
    for name, value in values.items():
        if _is_deep(value):
            raise InputError(f"{argument(name)} is nested too deeply, or in itself: at most {MAX_DEPTH} levels")
    try:
        return options.model_validate(values)
    except ValidationError as error:
        raise InputError("; ".join(_error_text(detail) for detail in error.errors())) from None


def is_huge(value: Any) -> bool:
    """Return whether a value is an integer of more than 64 bits."""
    return isinstance(value, int) and value.bit_length() > MAX_BITS


def _is_deep(value: Any) -> bool:
    """Return whether lists and mappings are nested too deeply; those that YAML's anchors nest in themselves are."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        held = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list | tuple)]
        level = list({id(one): one for several in held for one in several}.values())
    return bool(level)


def _error_text(detail: Any) -> str:
    """Return the text of one of pydantic's errors: the option, the value, the rule."""
    name = argument(str(detail["loc"][0])) if detail["loc"] else "options"
    if detail["type"] == "missing":
        return f"{name} is missing"
    if not detail["loc"] or detail["type"] == "value_error":
        return f"{detail['msg'].removeprefix('Value error, ')}"
    rule = detail["msg"].removeprefix("Input ")
    return f"{name} is {given(detail['input'])}, but {rule.replace('should', 'must', 1)}"


def _read_yaml(options: type[BaseModel], path: str, job: str) -> dict[str, Any]:
    """Return the keys of a YAML file, which may be a run folder's options.yaml, with the job's name.

    Raises:
        InputError: it cannot be read, is not a YAML mapping, or has an unknown key.
    """
    try:
        values = from_yaml(Path(path).read_bytes()) or {}
    except OSError as error:
        raise InputError(f"--config {path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"--config {path}: {error}") from error
    if not isinstance(values, dict):
        raise InputError(f"--config {path}: holds {type(values).__name__}, but must hold 'option: value' lines")
    values = {key.replace("-", "_") if isinstance(key, str) else given(key): value for key, value in values.items()}
    if values.pop("job", job) != job:
        raise InputError(f"--config {path}: holds options of another job, not of {job!r}")
    for key in values:
        if key not in options.model_fields:
            raise InputError(f"--config {path}: there is no option {key!r}{nearest(key, options.model_fields)}")
    return values


NOT_YAML = (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError)
"""PyYAML's errors for a text that is not YAML, or that looks like a number or a date and is not one: 2026-13-01."""


def from_yaml(content: bytes) -> Any:
    """Return the value of a YAML file.

    Raises:
        ValueError: it is not YAML, or its anchors stand for too many values; says why.
    """
    try:
        value = yaml.safe_load(content.decode())
        count = _count(value, {})
    except NOT_YAML as error:
        raise ValueError(f"no YAML ({one_line(error)})") from error
    if count > len(content) + MAX_VALUES:
        raise ValueError(f"its anchors and aliases stand for more than {MAX_VALUES:,} values; write them out")
    return value


def _count(value: Any, counts: dict[int, int]) -> int:
    """Return how many values one has, each as often as it is referred to; those that hold themselves count once.

    Args:
        value: of a YAML text.
        counts: id -> number, of those that are counted, or begun to be.

    Raises:
        RecursionError: it is nested too deeply, as by aliases of aliases.
    """
    if not isinstance(value, dict | list | tuple | set):
        return 1
    if id(value) not in counts:
        counts[id(value)] = 1
        counts[id(value)] += sum(_count(one, counts) for one in (value.values() if isinstance(value, dict) else value))
    return counts[id(value)]


def read_scalar(text: str) -> Any:
    """Return the value of a text of the command line: 20 and 1e-12 are numbers, true is a boolean.

    Args:
        text: an option's value, as typed.

    Returns:
        The value as YAML; the text itself if it is not YAML, such as `*.csv`.
    """
    try:
        # YAML 1.1, which PyYAML reads, takes a number without a dot, such as 1e-12, for a text.
        return float(text) if any(letter in text for letter in ".eE") else int(text)
    except ValueError:
        pass
    try:
        return yaml.safe_load(text)
    except NOT_YAML:
        return text
