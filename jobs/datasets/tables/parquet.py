"""Parquet files: their row groups, and decoding one by ranged reads of the columns that are wanted."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jobs.datasets.ranged_file import SeekableFile
from jobs.datasets.tables.arrow import import_arrow, translate_errors
from jobs.datasets.tables.columns import Columns, Kind
from jobs.datasets.tables.files import TableFile
from jobs.datasets.tables.form import MAX_COLUMNS, MAX_ROWS, Chunk, Field
from jobs.errors import DataError

SMALL = {"int8", "int16", "uint8", "uint16", "halffloat", "float"}
"""Arrow's types of numbers that float32 holds."""


@dataclass(frozen=True)
class ParquetForm:
    """See `Form`."""

    def where(self, chunk: Chunk) -> str:
        """See `Form.where`."""
        return f"{chunk.file.address}, row group {chunk.place[0]}"

    def batches(self, chunk: Chunk, columns: Columns, rows: int) -> Iterator[Any]:
        """See `Form.batches`."""
        pa, metadata = import_arrow(), _metadata(chunk.file)
        names, seen = columns.read, 0
        with translate_errors(self.where(chunk)):
            # Buffered before: one request for columns that lie beside each other.
            file = pa.parquet.ParquetFile(SeekableFile(chunk.file), metadata=metadata, pre_buffer=True)
            for batch in file.iter_batches(rows, row_groups=list(chunk.place), columns=names, use_threads=False):
                seen += len(batch)
                yield batch.select(names)
        if seen != chunk.rows:
            raise DataError(f"{self.where(chunk)}: {seen:,} rows, but its header says {chunk.rows:,}; write it again")


@functools.lru_cache(maxsize=8)
def _metadata(file: TableFile) -> Any:
    """Return the footer of a file; a process keeps the last ones.

    Raises:
        DataError: it is damaged, or no Parquet file.
    """
    pa = import_arrow()
    with translate_errors(file.address):
        return pa.parquet.read_metadata(SeekableFile(file))


def chunks(file: TableFile, start: int) -> list[Chunk]:
    """Return the row groups of a file that have rows.

    Nothing else of their metadata is asked for: for some that are damaged PyArrow would end the process.

    Args:
        file: the file.
        start: the number of its first row in the table.

    Raises:
        DataError: it is damaged.
    """
    metadata, found = _metadata(file), []
    with translate_errors(file.address):
        for number in range(metadata.num_row_groups):
            rows = metadata.row_group(number).num_rows
            if not 0 <= rows <= MAX_ROWS:
                raise DataError(f"{file.address}: damaged: row group {number} has {rows} rows; write it again")
            if rows:
                found.append(Chunk(file, start, rows, (number,)))
                start += rows
    return found


def fields(file: TableFile) -> list[Field]:
    """Return the columns of a file.

    Raises:
        DataError: it is damaged, or has too many.
    """
    pa, metadata = import_arrow(), _metadata(file)
    if metadata.num_columns > MAX_COLUMNS:
        raise DataError(
            f"{file.address}: {metadata.num_columns:,} columns, but a table has at most {MAX_COLUMNS:,}; save such "
            "data as arrays: npy:FOLDER"
        )
    with translate_errors(file.address):
        return [_field(pa, one.name, one.type) for one in metadata.schema.to_arrow_schema()]


def _field(pa: Any, name: str, of: Any) -> Field:
    text = str(of)
    if categories := pa.types.is_dictionary(of):
        of = of.value_type
    return Field(name, kind_of(pa, of), text, categories, str(of) in SMALL, bool(pa.types.is_integer(of)))


def kind_of(pa: Any, of: Any) -> Kind | None:
    """Return the kind of the values of an Arrow type; None: of none that is read."""
    if pa.types.is_boolean(of):
        return "boolean"
    if pa.types.is_integer(of) or pa.types.is_floating(of) or pa.types.is_decimal(of):
        return "number"
    if pa.types.is_string(of) or pa.types.is_large_string(of) or pa.types.is_string_view(of):
        return "text"
    return None
