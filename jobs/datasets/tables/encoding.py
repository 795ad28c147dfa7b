"""From Arrow's record batches to numbers: features, categories, labels and weights, none of them missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.datasets.tables.arrow import import_arrow, translate_errors
from jobs.datasets.tables.columns import Columns, Kind, TableColumn, Value, listed
from jobs.datasets.tables.form import Chunk, Form, missing, missing_error
from jobs.datasets.tables.pieces import Piece
from jobs.errors import DataError, argument
from jobs.formatting import given


def pieces(form: Form, chunk: Chunk, columns: Columns, dtype: str, rows: int) -> Iterator[Piece]:
    """Yield the decoded rows of a chunk.

    Args:
        form: of the files.
        chunk: the rows.
        columns: which are read, and what their values become.
        dtype: of numbers.
        rows: of a piece, about.

    Raises:
        DataError: a value is missing, or no category that is known, or the file is damaged or changed.
    """
    start = chunk.start
    for batch in form.batches(chunk, columns, rows):
        if len(batch):
            with translate_errors(form.where(chunk)):  # texts that are no UTF-8, in Parquet
                piece = _piece(batch, Reader(form, chunk, start), columns, dtype)
            yield piece
            start += len(batch)


def _piece(batch: Any, reader: Reader, columns: Columns, dtype: str) -> Piece:
    plain = [column for column in columns.features if column.values is None]
    numbers = np.empty((len(batch), len(plain)), dtype)
    for index, column in enumerate(plain):
        numbers[:, index] = reader.numbers(batch, column.name)
    coded = [column for column in columns.features if column.values is not None]
    codes = np.empty((len(batch), len(coded)), np.int32)
    for index, column in enumerate(coded):
        codes[:, index] = reader.codes(batch, column)
    weights = None if columns.weight is None else reader.weights(batch, columns.weight)
    return Piece(numbers, codes, reader.labels(batch, columns.label), weights)


class Reader:
    """Takes the columns of one batch apart.

    Args:
        form: of the file.
        chunk: that the batch is of.
        start: the number of its first row in the table.
    """

    def __init__(self, form: Form, chunk: Chunk, start: int) -> None:
        self._form, self._chunk, self._start = form, chunk, start
        self._arrow = import_arrow()

    def present(self, batch: Any, name: str, kind: Kind) -> Any:
        """Return a column of a batch as an Arrow array that is no dictionary, in which no value is missing.

        Raises:
            DataError: one is.
        """
        array = batch.column(name)
        if self._arrow.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        if (array.null_count or self._arrow.types.is_floating(array.type)) and missing(array, self._arrow).any():
            raise missing_error(self._form, self._chunk, name, Columns((TableColumn(name, kind),)))
        return array

    def numbers(self, batch: Any, name: str) -> NDArray[Any]:
        """Return a column of numbers, (rows,).

        Raises:
            DataError: a value is missing.
        """
        array = self.present(batch, name, "number")
        if self._arrow.types.is_decimal(array.type):
            array = array.cast(self._arrow.float64())
        return np.asarray(array.to_numpy(zero_copy_only=False))

    def values(self, batch: Any, column: TableColumn) -> list[Value]:
        """Return the different values of a column.

        Raises:
            DataError: a value is missing.
        """
        if column.kind == "number":
            return list(np.unique(self.numbers(batch, column.name)).tolist())
        return list(self.present(batch, column.name, column.kind).unique().to_pylist())

    def codes(self, batch: Any, column: TableColumn) -> NDArray[np.int64]:
        """Return the numbers of the categories or classes of a column, (rows,).

        Raises:
            DataError: a value is missing, or none of the known ones.
        """
        assert column.values is not None
        if column.kind == "boolean":
            found = self.present(batch, column.name, column.kind).to_numpy(zero_copy_only=False)
            return np.asarray(found, np.int64)
        if column.kind == "text":
            texts = self.present(batch, column.name, column.kind).cast(self._arrow.string())
            known = self._arrow.array(column.values, self._arrow.string())
            index = self._arrow.compute.index_in(texts, value_set=known).fill_null(-1)
            codes = np.asarray(index, np.int64)
            if (codes < 0).any():
                row = int((codes < 0).argmax())
                raise self._unseen(column, texts[row].as_py(), row)
            return codes
        numbers, values = self.numbers(batch, column.name), np.array(column.values)
        codes = np.minimum(np.searchsorted(values, numbers), len(values) - 1)
        if (wrong := values[codes] != numbers).any():
            row = int(wrong.argmax())
            raise self._unseen(column, numbers[row].item(), row)
        return codes

    def _unseen(self, column: TableColumn, value: object, row: int) -> DataError:
        return DataError(
            f"{self._form.where(self._chunk)}: column {given(column.name)} has {given(value)} in row "
            f"{self._start + row:,}, which is none of the values that the model knows ({listed(column.names)}): leave "
            "out such rows, or fit a model to data that have them"
        )

    def labels(self, batch: Any, label: TableColumn | None) -> NDArray[Any]:
        """Return y, (rows,): int64, or float64 of numbers that are no integers; (rows, 0) without a label.

        Raises:
            DataError: a value is missing, or no class that is known.
        """
        if label is None:
            return np.zeros((len(batch), 0), np.int64)
        if label.values is not None:
            return self.codes(batch, label)
        return self.numbers(batch, label.name).astype(np.int64 if label.integer else np.float64)

    def weights(self, batch: Any, name: str) -> NDArray[np.float64]:
        """Return the weights of rows, (rows,).

        Raises:
            DataError: one is missing, negative or infinite.
        """
        weights = self.numbers(batch, name).astype(np.float64)
        if (wrong := ~((weights >= 0) & np.isfinite(weights))).any():
            row = int(wrong.argmax())
            raise DataError(
                f"{self._form.where(self._chunk)}: {argument('weight')} {given(name)} is {weights[row]} in row "
                f"{self._start + row:,}, but must be 0 or more"
            )
        return weights


def one_hot(
    columns: Sequence[TableColumn], parts: Sequence[tuple[NDArray[Any], NDArray[np.int32]]], dtype: str
) -> NDArray[Any]:
    """Return features, (rows, features), read-only: numbers as they are, categories one-hot.

    Args:
        columns: of the features.
        parts: numbers and codes of consecutive rows.
        dtype: of the result.
    """
    if len(parts) == 1 and not parts[0][1].shape[1]:
        x = parts[0][0]
    else:
        widths = [len(column.values or (0,)) for column in columns]
        rows = sum(len(numbers) for numbers, _ in parts)
        x, first = np.zeros((rows, sum(widths)), dtype), 0
        for numbers, codes in parts:
            _fill(x[first : first + len(numbers)], columns, numbers, codes)
            first += len(numbers)
    x = x.view()
    x.flags.writeable = False
    return x


def _fill(x: NDArray[Any], columns: Sequence[TableColumn], numbers: NDArray[Any], codes: NDArray[np.int32]) -> None:
    at, plain, coded, rows = 0, 0, 0, np.arange(len(x))
    for column in columns:
        if column.values is None:
            x[:, at] = numbers[:, plain]
            plain += 1
            at += 1
        else:
            x[rows, at + codes[:, coded]] = 1
            coded += 1
            at += len(column.values)
