"""Predictions for the rows of a data set as CSV, for all jobs: each gives a function from a block to outputs."""

from __future__ import annotations

import csv
import io
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from jobs.datasets.open import AnyDataset, open_dataset
from jobs.datasets.tables.columns import Columns
from jobs.errors import InputError, UserCodeError, argument, print_note
from jobs.storage import locate
from jobs.usercode import call

Array: TypeAlias = NDArray[Any]
Kind: TypeAlias = Literal["class", "classes", "binary", "number", "numbers"]
"""What outputs are: class numbers, a number per class, one of class 1, a number, or several."""
BLOCK_ROWS, BLOCK_VALUES = 1024, 2**22
"""Maximum rows of a block, and numbers in it unless one row has more: they bound what a model computes at once."""
FIXED = ("row", "predicted", "label")
"""Columns that no class's may be called."""


@dataclass(frozen=True)
class Predictor:
    """What a run's model says of rows.

    Attributes:
        outputs: of x (rows, *shape) as stored and a factor that makes it about 0 .. 1, returns (rows,) or (rows, k).
        what: what it calls, for messages.
        names: of the classes, by number.
        classes: whether several outputs are those of classes; None: unless the labels are as many numbers.
        threshold: from which on a single output is class 1, if it is that of two classes.
    """

    outputs: Callable[[Array, float], Any]
    what: str
    names: Sequence[str] = ()
    classes: bool | None = None
    threshold: float | None = None


def open_rows(spec: str, columns: Columns | None = None) -> AnyDataset:
    """Return the data set that `--data` of `predict` names; its labels may be any numbers, or missing.

    Args:
        spec: as of `open_dataset`.
        columns: the run's mapping of a table's values to numbers; None: it has none.

    Raises:
        InputError: there is no such data set, or it is damaged.
        ClusterError: the storage cannot be reached.
    """
    return open_dataset(spec, unlabelled=True, columns=columns)


def check_output(output: str, kept: Iterable[str] = ()) -> None:
    """Check that a file may be written, before any work.

    Args:
        output: a path or s3:// URL.
        kept: addresses that it must not replace: of the data, and of the run's own files; with `/` at the end a folder.

    Raises:
        InputError: it is a folder, one of those that are kept, or a device or pipe, in whose place a file would come.
    """
    what = f"{argument('output')} {output}"
    if output.endswith("/") or os.path.isdir(output):  # noqa: PTH112  Path.is_dir raises for a name that is too long
        raise InputError(f"{what} is a folder, but must be a file, such as predictions.csv")
    storage, name = locate(output)
    address = storage.address(name)
    if os.path.exists(address) and not os.path.isfile(address):  # noqa: PTH110, PTH113  as above
        raise InputError(f"{what} is a device or a pipe, but must be a file, such as predictions.csv")
    if any(_is_of(address, one) for one in kept):
        raise InputError(f"{what} is a file of the data or of the run, which would be lost: name another one")


def _is_of(address: str, kept: str) -> bool:
    """Return whether an address is another one, by any path to it, or in the folder that it names."""
    if not address.startswith("s3://") and not kept.startswith("s3://"):
        address, kept = os.path.realpath(address), os.path.realpath(kept) + "/" * kept.endswith("/")
    return address == kept or (kept.endswith("/") and address.startswith(kept))


def write_predictions(predictor: Predictor, data: AnyDataset, output: str | None) -> None:
    """Write a row of CSV for each row of the data, a block at a time, and say the accuracy if it can be known.

    Args:
        predictor: the model.
        data: the rows.
        output: a path or s3:// URL, which gets all rows or is left as it was; None: standard output.

    Raises:
        InputError: the data do not fit the model, or the file cannot be written.
        UserCodeError: the model raised, or returned something else than numbers for each row.
        ClusterError: the storage failed.
    """
    table = _Table(predictor, data)
    if output is None:
        for text in table.texts():
            sys.stdout.write(text)
        sys.stdout.flush()
    else:
        storage, name = locate(output)
        storage.write_chunks(name, (text.encode() for text in table.texts()))
    if table.counted:
        share = f"{table.right / data.rows:.2%}"
        print_note(f"accuracy {share}: {table.right:,} of {data.rows:,} rows are predicted right")


class _Table:
    """The table of one data set; `right` of its rows are predicted right, which is `counted` if it can be."""

    def __init__(self, predictor: Predictor, data: AnyDataset) -> None:
        self._predictor, self._data = predictor, data
        self._rows = max(1, min(BLOCK_ROWS, BLOCK_VALUES // math.prod(data.shape)))
        self._kind: Kind = "number"
        self._shape: tuple[int, ...] | None = None
        self.right, self.counted = 0, False

    def texts(self) -> Iterator[str]:
        """Yield the lines of each block, the first with those of the header."""
        for start in range(0, self._data.rows, self._rows):
            text = io.StringIO()
            table = csv.writer(text, lineterminator="\n")
            x, y = self._data.read(start, min(start + self._rows, self._data.rows))
            outputs = self._outputs(x)
            y = y.reshape(len(y), -1)
            if start == 0:
                self._kind = _kind(self._predictor, outputs, y)
                table.writerow(self._header(outputs, y))
            table.writerows(zip(*self._columns(start, outputs, y), strict=True))
            yield text.getvalue()

    def _outputs(self, x: Array) -> Array:
        """Return the outputs of a block as (rows, k), or (rows,) class numbers.

        Raises:
            UserCodeError: they are none.
        """
        given = call(self._predictor.what, self._predictor.outputs, x, self._data.scale)
        found = np.asarray(call(self._predictor.what, np.asarray, given))
        self._shape = self._shape or found.shape[1:]
        if found.dtype.kind not in "biuf" or found.ndim not in (1, 2) or 0 in found.shape[1:]:
            found = np.zeros(0)
        if found.shape != (len(x), *self._shape):
            raise UserCodeError(
                f"{self._predictor.what} returned {_described(given)} for {len(x):,} rows, but must return numbers "
                "(rows,) or (rows, k), as many for each row"
            )
        return found if found.ndim == 2 or found.dtype.kind in "biu" else found[:, None]

    def _header(self, outputs: Array, y: Array) -> list[str]:
        k = 0 if outputs.ndim == 1 else outputs.shape[1]
        names = list(self._predictor.names)
        if len(names) != k or len({*names, *FIXED}) != k + len(FIXED):
            names = [f"p{number}" for number in range(k)]
        predicted = {
            "class": ["predicted"],
            "number": ["predicted"],
            "binary": ["predicted", "p1"],
            "classes": ["predicted", *names],
            "numbers": [f"predicted{number}" for number in range(k)],
        }[self._kind]
        labels = self._labels(y).shape[1]
        return ["row", *predicted, *(["label"] if labels == 1 else [f"label{number}" for number in range(labels)])]

    def _columns(self, start: int, outputs: Array, y: Array) -> Iterator[Sequence[Any]]:
        labels = self._labels(y)
        yield range(start, start + len(y))
        if self._kind in ("number", "numbers"):
            yield from map(_texts, outputs.T)
            yield from map(_texts, labels.T)
            return
        classes, known = self._classes(outputs)
        yield [text if found else "nan" for text, found in zip(self._named(classes), known, strict=True)]
        if outputs.ndim == 2:
            yield from map(_texts, outputs.T)
        if labels.shape[1] == 1:
            self.counted = True
            self.right += int(np.count_nonzero(known & (classes == labels[:, 0])))
            yield self._named(labels[:, 0])
        else:
            yield from map(_texts, labels.T)

    def _classes(self, outputs: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Return class numbers, and which of them are known: those of rows without NaN."""
        if outputs.ndim == 1:
            return outputs, np.ones(len(outputs), np.bool_)
        known: NDArray[np.bool_] = np.asarray(~np.isnan(outputs).any(axis=1))
        if self._kind == "binary":
            return (outputs[:, 0] >= self._predictor.threshold).astype(np.int64), known
        return outputs.argmax(axis=1), known

    def _labels(self, y: Array) -> Array:
        """Return the labels of a block, (rows, any); of one-hot labels the class."""
        if self._kind == "classes" and y.shape[1] > 1 and _one_hot(y):
            return np.asarray(y.argmax(axis=1)[:, None])
        return y

    def _named(self, classes: Array) -> list[str]:
        names = dict(enumerate(self._predictor.names))
        return [names.get(number, text) for number, text in zip(classes.tolist(), _texts(classes), strict=True)]


def _kind(predictor: Predictor, outputs: Array, y: Array) -> Kind:
    """Return what a model's outputs are, by those of the first block and its labels (rows, any)."""
    if outputs.ndim == 1:
        return "class"
    if outputs.shape[1] == 1:
        return "number" if predictor.threshold is None else "binary"
    targets = y.shape == outputs.shape and not _one_hot(y)
    return "classes" if predictor.classes or (predictor.classes is None and not targets) else "numbers"


def _one_hot(y: Array) -> bool:
    return bool(((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all())


def _texts(numbers: Array) -> list[str]:
    """Return the shortest text of each number that has its bits; of booleans and whole numbers as integers."""
    if numbers.dtype.kind == "f":
        return numbers.astype(str).tolist()  # type: ignore[no-any-return]
    whole = numbers.astype(np.int64) if numbers.dtype.kind == "b" else numbers  # uint64 holds more than int64
    return whole.astype(str).tolist()  # type: ignore[no-any-return]


def _described(value: Any) -> str:
    shape = getattr(value, "shape", None)
    kind = f" of {value.dtype}" if hasattr(value, "dtype") else ""
    return f"{type(value).__name__}" if shape is None else f"shape {tuple(shape)}{kind}"
