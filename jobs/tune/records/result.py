"""The fields of a search's result.json that are read again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jobs.errors import InputError


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class _Good(_Model):
    number: int
    params: dict[str, Any]
    code: str = ""


class _Best(_Good):
    value: float


class _OfFront(_Good):
    values: dict[str, float]


class _Identity(_Model):
    metric: list[str]


class _Arithmetic(_Model):
    processes: str


class _Result(_Model):
    success: bool
    message: str
    versions: dict[str, str]
    best: _Best | None
    front: list[_OfFront] = []
    trials: dict[str, int]
    unfinished: int
    retried: dict[str, int] = {}
    lost_executions: int
    left_out: list[str] = []
    sampler: str
    pruner: str
    direction: Annotated[list[Literal["maximize", "minimize"]], Field(min_length=1)]
    identity: _Identity
    codes: dict[str, int]
    seconds: float
    attempt: int
    workers: int
    bits: Literal["equal", "mixed"]
    arithmetic: Annotated[list[_Arithmetic], Field(min_length=1)]


def check_result(result: Mapping[str, Any], address: str) -> None:
    """Check that a search's result is valid, before it is shown or taken for an earlier one.

    Args:
        result: the content of result.json.
        address: its path or URL.

    Raises:
        InputError: a field of it is missing or of another type.
    """
    try:
        _Result.model_validate(result)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{address} is damaged ({where}: {first['msg']}); remove it: the job's command goes on from the journal"
        ) from error
