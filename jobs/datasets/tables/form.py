"""`Form`: what a kind of table file must offer, and what all of them share: chunks, fields, missing values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from jobs.datasets.tables.arrow import import_arrow
from jobs.datasets.tables.columns import Columns, Kind
from jobs.datasets.tables.files import TableFile
from jobs.errors import DataError, argument
from jobs.formatting import given

MAX_COLUMNS = 2**16
MAX_ROWS = 2**53


@dataclass(frozen=True)
class Field:
    """A column as a file has it.

    Attributes:
        name: its name.
        kind: of its values; None: of a kind that is no feature, nor a label.
        type: Arrow's name of its type, for messages.
        categories: whether its values are categories though they are numbers, as in a dictionary column.
        small: whether float32 holds its numbers.
        integer: whether its numbers are integers; None: as is found in its values.
    """

    name: str
    kind: Kind | None
    type: str
    categories: bool = False
    small: bool = False
    integer: bool | None = None


@dataclass(frozen=True)
class Chunk:
    """Rows of one file that are decoded from their first to their last: a row group, or a range of bytes.

    Attributes:
        file: the file.
        start: the number of its first row in the table.
        rows: their number.
        place: in the file: the number of the row group, or first and last byte.
    """

    file: TableFile
    start: int
    rows: int
    place: tuple[int, ...]


class Form(Protocol):
    """A kind of table file: Parquet or CSV. It holds no data, and can be pickled."""

    def where(self, chunk: Chunk) -> str:
        """Return what a chunk is called in messages."""

    def batches(self, chunk: Chunk, columns: Columns, rows: int) -> Iterator[Any]:
        """Yield the rows of a chunk as Arrow's record batches of the columns, about so many rows at a time.

        Raises:
            DataError: the file is damaged, or was changed.
        """


def check_fields(fields: Sequence[Field], columns: Sequence[str], address: str, name: str = "features") -> list[Field]:
    """Return the fields of columns, after checking that each is of a kind that is read.

    Args:
        fields: of a file.
        columns: the names of columns that it has.
        address: the file.
        name: the argument to choose others by.

    Raises:
        DataError: one is a date, or of another kind.
    """
    known = {field.name: field for field in fields}
    for column in columns:
        field = known[column]
        if field.kind is None and field.type == "null":
            raise DataError(
                f"{address}: column {given(column)} has no values (its type is null): leave it out by {argument(name)}"
            )
        if field.kind is None:
            remedy = "leave it out by {}"
            if field.type.startswith(("date", "time", "duration")):
                remedy = "make a number of it, such as the days since a date, or leave it out by {}"
            raise DataError(
                f"{address}: column {given(column)} is of type {field.type}, but must be numbers, text or booleans: "
                f"{remedy.format(argument(name))}"
            )
    return [known[column] for column in columns]


def missing(values: Any, arrow: Any) -> NDArray[np.bool_]:
    """Return which values of an Arrow array are missing: null, or NaN."""
    floating = arrow.types.is_floating(values.type)
    if floating and not values.null_count:  # the common case, several times as fast
        return np.asarray(np.isnan(values.to_numpy(zero_copy_only=False)), np.bool_)
    found = arrow.compute.is_null(values, nan_is_null=floating)
    return np.asarray(found.to_numpy(zero_copy_only=False), np.bool_)


def missing_error(form: Form, chunk: Chunk, name: str, columns: Columns) -> DataError:
    """Return the error for a column of a chunk in which values are missing; how many is counted in all of the chunk."""
    arrow, count, first, row = import_arrow(), 0, 0, chunk.start
    for batch in form.batches(chunk, columns, 2**16):
        absent = missing(batch.column(name), arrow)
        if not count and absent.any():
            first = row + int(absent.argmax())
        count += int(np.count_nonzero(absent))
        row += len(absent)
    what = "1 value is" if count == 1 else f"{count:,} values are"
    return DataError(
        f"{form.where(chunk)}: in column {given(name)} {what} missing, the first in row {first:,}: leave out such "
        f"rows, or fill them (pandas: dropna, fillna), or leave out the column by {argument('features')}"
    )
