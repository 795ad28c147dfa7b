"""CSV files: where rows begin, found in one pass, and decoding ranges of bytes."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jobs.datasets.tables.arrow import import_arrow, translate_errors
from jobs.datasets.tables.columns import Columns, Kind
from jobs.datasets.tables.files import TableFile
from jobs.datasets.tables.form import MAX_COLUMNS, Chunk, Field
from jobs.datasets.tables.parquet import kind_of
from jobs.errors import DataError
from jobs.formatting import given, one_line
from jobs.storage import MIB

CHUNK_BYTES, MAX_CHUNKS = 4 * MIB, 4096
"""What is decoded at once, unless a table would have more chunks than that, which travel to the workers."""
MAX_RECORD = 16 * MIB
QUOTE, NEWLINE, RETURN = b'"\n\r'
_ROW = re.compile(r"Row #(\d+): (.*)")
_COLUMN = re.compile(r"In CSV column #(\d+)")


@dataclass(frozen=True)
class CsvForm:
    """See `Form`.

    Attributes:
        names: of all columns, as the header has them.
    """

    names: tuple[str, ...]

    def where(self, chunk: Chunk) -> str:
        """See `Form.where`."""
        return f"{chunk.file.address}, rows {chunk.start:,} to {chunk.start + chunk.rows - 1:,}"

    def batches(self, chunk: Chunk, columns: Columns, rows: int) -> Iterator[Any]:
        """See `Form.batches`; `rows` are those of the chunk."""
        del rows
        data = chunk.file.read(*chunk.place)
        table = decode(chunk.file, data, self.names, self.kinds(columns), chunk.start)
        if len(table) != chunk.rows:
            raise DataError(
                f"{chunk.file.address}: {len(table):,} rows from row {chunk.start:,} on, not {chunk.rows:,}"
            )
        yield from table.combine_chunks().to_batches()

    def kinds(self, columns: Columns) -> dict[str, Kind | None]:
        """Return the kinds of columns, by which they are decoded."""
        label = [columns.label] if columns.label else []
        kinds: dict[str, Kind | None] = {column.name: column.kind for column in (*columns.features, *label)}
        return kinds | ({columns.weight: "number"} if columns.weight else {})


def decode(file: TableFile, data: bytes, names: Sequence[str], kinds: Mapping[str, Kind | None], start: int) -> Any:
    """Return whole rows of a CSV file as Arrow's table of some columns.

    Args:
        file: the file.
        data: the rows, as they are stored.
        names: of all columns.
        kinds: of the columns that are wanted; None: as their values look like.
        start: the number of the first row, for messages.

    Raises:
        DataError: a row has another number of columns, or a value is of another kind.
    """
    pa = import_arrow()
    types = {"number": pa.float64(), "text": pa.string(), "boolean": pa.bool_()}
    # Columns by number: a name may be there twice, in columns that nobody reads.
    columns = [names.index(name) for name in kinds]
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(data),
            pa.csv.ReadOptions(
                use_threads=False, column_names=[str(index) for index in range(len(names))], block_size=len(data) + 1
            ),
            pa.csv.ParseOptions(newlines_in_values=True),
            pa.csv.ConvertOptions(
                column_types={str(names.index(name)): types[kind] for name, kind in kinds.items() if kind is not None},
                include_columns=list(map(str, columns)),
                # A text that is missing is an empty one without quotes, as pandas writes it.
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise _bad_row(file, names, one_line(error), start) from error
    with translate_errors(file.address):
        return table.rename_columns(list(kinds))


def _bad_row(file: TableFile, names: Sequence[str], text: str, start: int) -> DataError:
    """Return the error for what PyArrow could not take, with the row's number in the table."""
    found, column = _ROW.search(text), _COLUMN.search(text)
    row = f"row {start + int(found[1]) - 1:,}" if found else f"from row {start:,} on"
    why = given(found[2] if found else text)
    if column:
        return DataError(
            f"{file.address}, {row}: column {given(names[int(column[1])])}: {why}; in its first rows the column looked "
            "otherwise: make its values alike"
        )
    return DataError(f"{file.address}, {row}: {why}; the header has {len(names):,} columns")


def header(file: TableFile) -> tuple[tuple[str, ...], int]:
    """Return the names of a CSV file's columns, and the byte after its header.

    Raises:
        DataError: there is none, or it is no CSV in UTF-8.
    """
    size = min(MIB, file.size)
    while (end := _first_row(data := file.read(0, size))) == size and size < min(MAX_RECORD, file.size):
        size = min(2 * size, file.size)
    line = data[:end]
    if line.startswith(b"\x1f\x8b"):
        raise DataError(f"{file.address}: packed by gzip: unpack it, or write Parquet, which is packed inside")
    if not line.strip() or end == size < file.size:
        what = "has no header in its first line, or one of over 16 MiB" if file.size else "is empty"
        raise DataError(f"{file.address} {what}: a CSV file's first line has the names of its columns")
    return _names(file, line.removeprefix(codecs.BOM_UTF8)), min(end + 1, file.size)


def _first_row(data: bytes) -> int:
    """Return where the first row ends that is not within quotes."""
    at, inside = 0, False
    while (end := data.find(b"\n", at)) >= 0:
        inside ^= data.count(b'"', at, end) % 2 == 1
        if not inside:
            return end
        at = end + 1
    return len(data)


def _names(file: TableFile, line: bytes) -> tuple[str, ...]:
    remedy = "; write it in UTF-8, with commas between columns"
    try:
        text = line.decode().rstrip("\r")
    except UnicodeDecodeError as error:
        raise DataError(f"{file.address}: the header is not UTF-8 ({one_line(error)}){remedy}") from error
    if "\0" in text or "\r" in text.replace("\r\n", ""):
        what = "has NUL bytes: is it UTF-16?" if "\0" in text else "ends its lines by \\r alone"
        raise DataError(f"{file.address}: the file {what}{remedy}, and lines that end with \\n or \\r\\n")
    if text.count(",") >= MAX_COLUMNS:
        raise DataError(f"{file.address}: over {MAX_COLUMNS:,} columns; save such data as arrays: npy:FOLDER")
    try:
        names = tuple(next(csv.reader([text], strict=True)))
    except csv.Error as error:
        raise DataError(f"{file.address}: the header cannot be read ({error}){remedy}") from error
    if len(names) == 1 and (";" in text or "\t" in text):
        found = ";" if ";" in text else "tabs"
        raise DataError(f"{file.address}: columns are separated by {found}{remedy}")
    return names


def chunks(file: TableFile, begin: int, size: int) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Yield consecutive ranges of whole rows of a file, as (first and last byte, content).

    Args:
        file: the file.
        begin: the byte after the header.
        size: bytes of a range, about.

    Raises:
        DataError: a row has no end.
    """
    rest, start = b"", begin
    while start < file.size:
        at = start + len(rest)
        stop = min(max(start + size, at + MIB), file.size)
        data = rest + file.read(at, stop)
        end, _ = _boundaries(data, last=stop == file.size)
        if end == 0 and len(data) >= MAX_RECORD:
            raise DataError(
                f"{file.address}: from byte {start:,} on a row has no end within {len(data) // MIB} MiB: is a quote "
                '(") not closed? A field that has one must be quoted, and quotes in it doubled'
            )
        if end:
            yield (start, start + end), data[:end]
        start, rest = start + end, data[end:]


def _boundaries(data: bytes, *, last: bool) -> tuple[int, int | None]:
    """Return where the last whole row ends, and, where there are quotes, how many rows there are, blank lines apart.

    Args:
        data: rows from the beginning of one on.
        last: whether they end with the file, so that the last row needs no end of line.
    """
    if QUOTE not in data:
        return (len(data) if last else data.rfind(b"\n") + 1), None
    letters = np.frombuffer(data, np.uint8)
    newlines = np.flatnonzero(letters == NEWLINE)
    inside = np.searchsorted(np.flatnonzero(letters == QUOTE), newlines) % 2
    newlines = newlines[inside == 0]
    # A line is blank if the end of another is right before its own, or that and \r.
    before = np.concatenate((np.full(2, NEWLINE, np.uint8), letters))
    blank = (before[newlines + 1] == NEWLINE) | ((before[newlines + 1] == RETURN) & (before[newlines] == NEWLINE))
    end = int(newlines[-1]) + 1 if len(newlines) else 0
    rows = len(newlines) - int(np.count_nonzero(blank))
    if last and end < len(data):
        return len(data), rows + bool(data[end:].strip(b"\r"))
    return end, rows


def check_quotes(file: TableFile, data: bytes, rows: int, start: int) -> None:
    """Check that quotes are where CSV has them: else rows would be cut elsewhere than PyArrow cuts them.

    Args:
        file: the file.
        data: whole rows.
        rows: as PyArrow counts them.
        start: the number of the first one.

    Raises:
        DataError: they are not.
    """
    _, counted = _boundaries(data, last=True)
    if counted is not None and counted != rows:
        raise DataError(
            f'{file.address}: from row {start:,} on quotes (") do not match, so that it is not clear where rows end: a '
            "field that has one must be quoted, and quotes in it doubled"
        )


def first_fields(
    form: CsvForm, files: Sequence[tuple[TableFile, int]], kinds: Mapping[str, Kind | None]
) -> list[Field]:
    """Return the columns of CSV files, of kinds that the first rows look like, or that are given.

    Raises:
        DataError: there are no rows, or the first ones are no such CSV.
    """
    pa = import_arrow()
    for file, begin in files:
        for _, data in chunks(file, begin, CHUNK_BYTES):
            table = decode(file, data, form.names, kinds, 0)
            if len(table):
                types = dict(zip(table.column_names, table.schema.types, strict=True))
                for name, of in types.items():
                    if pa.types.is_binary(of):  # what it makes of texts that are not UTF-8
                        text = f"{file.address}: column {given(name)} is not UTF-8 in its first rows; write it in UTF-8"
                        raise DataError(text)
                return [_field(pa, name, types.get(name)) for name in form.names]
    raise DataError(f"{files[0][0].address}: there are no rows, only a header")


def _field(pa: Any, name: str, of: Any) -> Field:
    return Field(name, None if of is None else kind_of(pa, of), str(of))
