"""The label file: which class each image is of, by the image's name without folders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.alexnet.tars import Index
from jobs.errors import DataError, argument
from jobs.formatting import given, plural
from jobs.storage import MIB, Storage

_EXAMPLE = "n01440764/n01440764_10026.JPEG 0"
_MAX_NAME = 255
"""Bytes of an image's name without its folders, as in file systems; all names take as many as the longest."""
_DIGITS = 6
_PIECE = 4 * MIB
"""Bytes of lines that are Python objects at the same time: ten times as large as their text."""
UNLABELLED = -1
"""The label of an image that the label file does not have."""


@dataclass(frozen=True, eq=False)
class Labels:
    """What a label file says.

    Attributes:
        address: the file's path or URL.
        names: of images, without folders, sorted, each once (bytes).
        labels: the class of each (int32).
    """

    address: str
    names: NDArray[np.bytes_]
    labels: NDArray[np.int32]

    @property
    def classes(self) -> int:
        """The number of classes: the largest label + 1."""
        return int(self.labels.max()) + 1

    def match(self, index: Index, *, skip_unlabelled: bool = False) -> NDArray[np.int32]:
        """Return the label of each image of an index (int32), `UNLABELLED` for those without one.

        Args:
            index: the images.
            skip_unlabelled: whether there may be such.

        Raises:
            DataError: an image has no label, and that is not allowed; or none has one.
        """
        names = index.base_names()
        places = np.minimum(np.searchsorted(self.names, names), len(self.names) - 1)
        found = self.names[places] == names
        missing = np.flatnonzero(~found)
        if len(missing) == len(names) or (len(missing) and not skip_unlabelled):
            raise DataError(
                f"label file {self.address}: {plural(len(missing), 'image')} of {len(names):,} not in it, the first is "
                f"{index.address(int(missing[0]))}; add them, or leave them out by {argument('skip_unlabelled')}"
                if len(missing) < len(names)
                else f"label file {self.address}: none of {plural(len(names), 'image')} is in it, such as "
                f"{index.address(0)}; give the label file of these tars"
            )
        return np.where(found, self.labels[places], np.int32(UNLABELLED)).astype(np.int32)

    def check_classes(self) -> None:
        """Check that the file has an image of each class; of some tars of many a class may have none.

        Raises:
            DataError: of some it has none.
        """
        counts = np.bincount(self.labels, minlength=self.classes)
        missing = np.flatnonzero(counts == 0)
        if len(missing):
            some = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
            raise DataError(
                f"label file {self.address}: {len(missing):,} of {self.classes:,} classes have no image in it: {some};"
                " labels are 0, 1, 2, ... without a gap; add images, or remove the classes and number the others anew"
            )


def read_labels(storage: Storage, name: str) -> Labels:
    """Read a label file of lines `path label`, with the label an integer from 0 on; blank lines are skipped.

    Raises:
        DataError: there is no such file, a line has another form, or one image has two labels.
        InputError, ClusterError: the storage cannot be read.
    """
    address = storage.address(name)
    try:
        content = storage.read(name)
    except FileNotFoundError as error:
        raise no_label_file(address) from error
    content = content.removeprefix(b"\xef\xbb\xbf")
    parts = [_parse(address, content[start:stop], lines) for start, stop, lines in _pieces(content)]
    names, labels, lines = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    if not len(names):
        raise DataError(f"label file {address} is empty; it must have lines such as {_EXAMPLE!r}")
    return _sorted(address, names, labels, lines)


def no_label_file(address: str) -> DataError:
    """Return the error for a label file that is missing."""
    return DataError(
        f"label file {address} does not exist; give {argument('label_file')}, or {argument('labels')} folder where the "
        "images of each class have a folder or a tar of their own"
    )


def _pieces(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the first byte, the byte after the last one, and the number of lines before, of pieces of whole lines."""
    start = lines = 0
    while start < len(content) or not start:
        stop = content.find(b"\n", start + _PIECE) + 1 or len(content) + 1
        yield start, stop, lines
        lines += content.count(b"\n", start, stop)
        start = stop


def _parse(address: str, text: bytes, before: int) -> tuple[NDArray[np.bytes_], NDArray[np.int32], NDArray[np.int64]]:
    """Return the names, labels and numbers of some lines, of which `before` are before them.

    Raises:
        DataError: a line has another form.
    """
    lines = [line.strip().rsplit(None, 1) for line in text.split(b"\n")]
    numbers = [number for number, line in enumerate(lines) if line]
    filled = [lines[number] for number in numbers]
    paths = [line[0] for line in filled]
    labels = [line[-1] for line in filled]
    names = [path.rpartition(b"/")[2] for path in paths]
    # All lines at once, as a call per line would take longer than all else.
    if not (
        all(len(line) == 2 for line in filled)
        and all(map(bytes.isdigit, labels))
        and max(map(len, labels), default=0) <= _DIGITS
        and max(map(len, names), default=0) <= _MAX_NAME
        and all(names)
        and b"\0" not in text
    ):
        raise _malformed(address, before, text)
    return np.array(names, np.bytes_), np.array([*map(int, labels)], np.int32), np.array(numbers, np.int64) + before


def _is_good(line: bytes) -> bool:
    path, *label = line.strip().rsplit(None, 1) or [b""]
    return (
        len(label) == 1
        and label[0].isdigit()
        and len(label[0]) <= _DIGITS
        and len(path.rpartition(b"/")[2]) <= _MAX_NAME
        and path[-1] != ord("/")
        and b"\0" not in path
    )


def _malformed(address: str, before: int, text: bytes) -> DataError:
    """Return the error for the first of some lines that is not `path label`."""
    number, line = next(
        (number, line)
        for number, line in enumerate(text.split(b"\n"), before + 1)
        if line.strip() and not _is_good(line)
    )
    shown = given(line.strip()[:200].decode("utf-8", "replace"))
    return DataError(
        f"label file {address}, line {number}: {shown} is not `path label`, such as {_EXAMPLE!r}, a name of at "
        f"most {_MAX_NAME} bytes, and a label from 0 to 999,999"
    )


def _sorted(address: str, names: NDArray[np.bytes_], labels: NDArray[np.int32], numbers: NDArray[np.int64]) -> Labels:
    """Return labels by name; `numbers` are their lines, from 0.

    Raises:
        DataError: a name has two labels.
    """
    order = np.argsort(names, kind="stable")
    names, labels, numbers = names[order], labels[order], numbers[order]
    again = names[1:] == names[:-1]
    other = np.flatnonzero(again & (labels[1:] != labels[:-1]))
    if len(other):
        place = int(other[np.argmin(numbers[other + 1])])
        name = given(names[place].decode("utf-8", "replace"))
        raise DataError(
            f"label file {address}, line {numbers[place + 1] + 1}: {name} has "
            f"the label {labels[place + 1]}, but {labels[place]} in line {numbers[place] + 1}; remove one"
        )
    first = np.concatenate([[True], ~again])
    return Labels(address, names[first], labels[first])
