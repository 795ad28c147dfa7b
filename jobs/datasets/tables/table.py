"""`Table`: rows of Parquet or CSV files as a data set; what `open_dataset` returns for them."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.datasets.tables.columns import Columns
from jobs.datasets.tables.encoding import one_hot, pieces
from jobs.datasets.tables.files import TableFile
from jobs.datasets.tables.form import Chunk, Form
from jobs.datasets.tables.pieces import PIECES

PIECE_BYTES, PIECE_ROWS = 2 * 2**20, (1024, 2**16)
"""Of the rows that are decoded at once: about so many bytes, and at least and at most so many rows."""


@dataclass(frozen=True, eq=False)
class Table:
    """Rows with labels of files with named columns: small, holds no data, and can be pickled to the workers.

    Attributes:
        spec: the argument of `open_dataset`.
        form: how files are decoded.
        columns: what is read, and the mapping to numbers.
        sources: the files, in the order of their rows.
        places: of each chunk: number of its file, and place in it, (chunks, 1 or 2 more) int64.
        starts: of each chunk the number of its first row, and the number of all rows, (chunks + 1,) int64.
        dtype: of x.
    """

    spec: str
    form: Form
    columns: Columns
    sources: tuple[TableFile, ...]
    places: NDArray[np.int64]
    starts: NDArray[np.int64]
    dtype: str

    @classmethod
    def of(cls, spec: str, form: Form, columns: Columns, chunks: Sequence[Chunk], dtype: str) -> Table:
        """Return the table of chunks, which are in the order of their rows."""
        sources = list(dict.fromkeys(chunk.file for chunk in chunks))
        numbers = {file: number for number, file in enumerate(sources)}
        places = np.array([(numbers[chunk.file], *chunk.place) for chunk in chunks], np.int64)
        starts = np.array([*(chunk.start for chunk in chunks), chunks[-1].start + chunks[-1].rows], np.int64)
        return cls(spec, form, columns, tuple(sources), places, starts, dtype)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.starts[-1])

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row of x: the number of features."""
        return (sum(len(column.values or (0,)) for column in self.columns.features),)

    @property
    def classes(self) -> int:
        """Labels are 0..classes-1; 0: y are numbers, or there are none."""
        return len(self.columns.class_names)

    @property
    def scale(self) -> float:
        """1: features are used as they are."""
        return 1.0

    @property
    def names(self) -> list[str]:
        """The names of the features: those of their columns, or `column=category`."""
        return self.columns.feature_names

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes 0, 1, ...; empty where y are numbers."""
        return self.columns.class_names

    def read(self, start: int, stop: int) -> Any:
        """Return rows start..stop-1: (x, y), or (x, y, w) where there are weights.

        x is (stop - start, features), read-only. y is (stop - start,): int64 of classes and of integers, else float64;
        (stop - start, 0) without a label. w is (stop - start,) float64. What is decoded for them, a row group or some
        MiB of CSV, is kept for the next calls of the process.

        Raises:
            DataError: a value is missing, or the files are damaged, or have changed since they were opened.
            ClusterError: the storage cannot be reached.
            IndexError: there are no such rows.
        """
        if not 0 <= start <= stop <= self.rows:
            raise IndexError(f"rows {start}..{stop - 1} of {self.spec}, which has {self.rows}")
        found: list[tuple[Any, ...]] = [self._empty()] if start == stop else []
        while start < stop:
            number = int(np.searchsorted(self.starts, start, side="right")) - 1
            chunk = self.chunk(number)
            key, row = (self._token, number), start - chunk.start
            piece, first = PIECES.at(key, row, functools.partial(self._pieces, chunk))
            begin = row - first
            end = min(begin + stop - start, len(piece.y))
            found.append(tuple(None if one is None else one[begin:end] for one in vars(piece).values()))
            start += end - begin
        numbers, codes, labels, weights = zip(*found, strict=True)
        x = one_hot(self.columns.features, list(zip(numbers, codes, strict=True)), self.dtype)
        y = np.concatenate(labels)
        return (x, y) if self.columns.weight is None else (x, y, np.concatenate(weights))

    def _empty(self) -> tuple[NDArray[Any], ...]:
        count, label = len(self.columns.features), self.columns.label
        coded = sum(column.values is not None for column in self.columns.features)
        y = np.zeros(0 if label else (0, 0), np.float64 if label and not (label.values or label.integer) else np.int64)
        return np.zeros((0, count - coded), self.dtype), np.zeros((0, coded), np.int32), y, np.zeros(0)

    def _pieces(self, chunk: Chunk) -> Any:
        features = self.columns.features
        bytes_per_row = sum(8 if column.values is None else 4 for column in features) + 16
        least, most = PIECE_ROWS
        rows = 1 << (min(max(PIECE_BYTES // bytes_per_row, least), most).bit_length() - 1)
        return pieces(self.form, chunk, self.columns, self.dtype, rows)

    def chunk(self, number: int) -> Chunk:
        """Return a chunk by its number."""
        file, *place = self.places[number].tolist()
        start, stop = self.starts[number : number + 2].tolist()
        return Chunk(self.sources[file], start, stop - start, tuple(place))

    def files(self) -> list[str]:
        """Return the paths or URLs of the files."""
        return [file.address for file in self.sources]

    def fingerprint(self) -> str:
        """Return the identity of the data, 32 hex digits (BLAKE2b), in any place: the files' content, and the mapping.

        Each file's size, first and last 64 KiB count, as they were when the table was opened.
        """
        return self._digest(file.fingerprint for file in self.sources)

    @functools.cached_property
    def _token(self) -> str:
        """The identity of these very files, by which a process keeps what it has decoded."""
        return self._digest(f"{file.address} {file.stamp} {file.fingerprint}" for file in self.sources)

    def _digest(self, files: Any) -> str:
        content = [list(files), self.columns.as_json(), type(self.form).__name__, self.dtype]
        digest = hashlib.blake2b(json.dumps(content).encode(), digest_size=16)
        digest.update(self.places.tobytes() + self.starts.tobytes())
        return digest.hexdigest()
