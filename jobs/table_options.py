"""Options of jobs whose data may be a table: which of its columns are what."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field

from jobs.command_line.option_help import COMPUTE, OptionHelp


def _some(features: list[str] | None) -> list[str] | None:
    if features is not None and not features:
        raise ValueError("--features is empty: name one column or more, or leave it out for all")
    return features


LabelOption = Annotated[
    str | None,
    OptionHelp(COMPUTE, "COLUMN"),
    Field(description="with parquet: or csv: data, the column to predict"),
]
FeaturesOption = Annotated[
    list[str] | None,
    OptionHelp(COMPUTE, "COLUMN,..."),
    Field(description="with parquet: or csv: data, the columns to predict it from (default: all others)"),
    AfterValidator(_some),
]
WeightOption = Annotated[
    str | None,
    OptionHelp(COMPUTE, "COLUMN"),
    Field(description="with parquet: or csv: data, the column of the rows' weights in the loss"),
]


def columns_of(options: BaseModel) -> dict[str, Any]:
    """Return which columns of a table a job's options name, name -> value, as `open_dataset` takes them."""
    values = {name: getattr(options, name) for name in ("label", "features", "weight")}
    return {name: value for name, value in values.items() if value is not None}
