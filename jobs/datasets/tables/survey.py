"""One pass over a table before any work: categories and classes, missing labels, weights, and where CSV rows begin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jobs.datasets.tables import csv, parquet
from jobs.datasets.tables.arrow import translate_errors
from jobs.datasets.tables.columns import MAX_VALUES, Columns, TableColumn, Value, listed
from jobs.datasets.tables.csv import CsvForm
from jobs.datasets.tables.encoding import Reader
from jobs.datasets.tables.files import TableFile
from jobs.datasets.tables.form import Chunk, Form
from jobs.errors import DataError, argument
from jobs.formatting import given

BATCH_ROWS = 2**16
AnyChunks = Iterator[tuple[Chunk, Any]]


@dataclass
class Found:
    """What is found of a column.

    Attributes:
        column: it, with the values that are known before.
        values: that are found, where they count.
        whole: whether all numbers are whole.
    """

    column: TableColumn
    values: set[Value]
    whole: bool = True


def survey(
    form: Form, files: Sequence[tuple[TableFile, int]], columns: Columns, new: frozenset[str]
) -> tuple[list[Chunk], Columns]:
    """Return all chunks of the files, and the columns with the values that are found.

    Args:
        form: of the files.
        files: each with the byte after its header.
        columns: which are read; those of `new` with no values yet.
        new: names of columns whose values are categories or classes that are not known yet.

    Raises:
        DataError: a file is damaged, or a value is missing, of another kind, or unknown.
    """
    label = columns.label
    features = tuple(column for column in columns.features if column.values is not None or column.name in new)
    # Some column must be decoded in any case: it tells how many rows there are.
    wanted = Columns(features or (() if label else columns.features[:1]), label, columns.weight)
    found = {column.name: Found(column, set()) for column in (*features, *([label] if label else []))}
    chunks = []
    walk = _csv_chunks(form, files, wanted) if isinstance(form, CsvForm) else _parquet_chunks(form, files, wanted)
    for chunk, batches in walk:
        chunks.append(chunk)
        start = chunk.start
        for batch in batches:
            reader = Reader(form, chunk, start)
            with translate_errors(form.where(chunk)):  # texts that are no UTF-8, in Parquet
                for one in found.values():
                    _add(reader, batch, one, form.where(chunk), new=one.column.name in new)
                if columns.weight is not None:
                    reader.weights(batch, columns.weight)
            start += len(batch)
    done = {name: _completed(one, new=name in new) for name, one in found.items()}
    known = tuple(done.get(column.name, column) for column in columns.features)
    return chunks, replace(columns, features=known, label=done[label.name] if label else None)


def _parquet_chunks(form: Form, files: Sequence[tuple[TableFile, int]], wanted: Columns) -> AnyChunks:
    """Yield the row groups."""
    start = 0
    for file, _ in files:
        for chunk in parquet.chunks(file, start):
            start += chunk.rows
            yield chunk, form.batches(chunk, wanted, BATCH_ROWS)


def _csv_chunks(form: CsvForm, files: Sequence[tuple[TableFile, int]], wanted: Columns) -> AnyChunks:
    """Yield ranges of whole rows; each byte is read once for both."""
    size = max(csv.CHUNK_BYTES, sum(file.size for file, _ in files) // csv.MAX_CHUNKS)
    start = 0
    kinds = form.kinds(wanted)
    for file, begin in files:
        for place, data in csv.chunks(file, begin, size):
            table = csv.decode(file, data, form.names, kinds, start)
            csv.check_quotes(file, data, len(table), start)
            if len(table):
                yield Chunk(file, start, len(table), place), table.combine_chunks().to_batches()
            start += len(table)


def _add(reader: Reader, batch: Any, found: Found, where: str, *, new: bool) -> None:
    """Add the values of a column of a batch to what is found, after checking them."""
    column = found.column
    if column.values is not None:
        reader.codes(batch, column)
        return
    if not new:  # numbers
        numbers = reader.numbers(batch, column.name)
        found.whole = found.whole and (numbers.dtype.kind in "iu" or bool((numbers % 1 == 0).all()))
        return
    found.values.update(reader.values(batch, column))
    if len(found.values) > MAX_VALUES:
        raise DataError(
            f"{where}: column {given(column.name)} has more than {MAX_VALUES:,} different values, too many for "
            f"categories or classes: is it a number, or an identifier? Leave it out by {argument('features')}"
        )


def _completed(found: Found, *, new: bool) -> TableColumn:
    column = found.column
    if not new:
        return replace(column, integer=column.values is None and found.whole)
    return replace(column, values=tuple(sorted(found.values)))


def class_values(label: TableColumn, classes: int | None, where: str) -> TableColumn:
    """Return a label whose values are classes, after checking that they can be.

    Args:
        label: with the values that are found.
        classes: labels are the numbers 0..classes-1; None: the values in ascending order are.
        where: the table.

    Raises:
        DataError: a number is not whole, or there are other classes than that.
    """
    assert label.values
    values, name = label.values, f"{where}: {argument('label')} {given(label.name)}"
    if label.kind == "number":
        if odd := [value for value in values if not float(value).is_integer()]:
            raise DataError(
                f"{name} has {odd[0]}, but classes are whole numbers, text or booleans; numbers of any kind are the "
                "targets of a regression"
            )
        values = tuple(int(value) for value in values)
    if classes is None:
        return replace(label, values=values)
    if label.kind != "number" and len(values) != classes:
        raise DataError(
            f"{name} has {len(values)} classes ({listed(values)}), but classes is {classes}: leave that out"
        )
    if label.kind == "number":
        if odd := [value for value in values if not 0 <= int(value) < classes]:
            raise DataError(f"{name} has {odd[0]}, but must be in 0..{classes - 1} (classes is {classes})")
        values = tuple(range(classes))
    return replace(label, values=values)
