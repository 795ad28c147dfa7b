"""NumPy arrays x (rows, features...) and y (rows,), or (rows, ...) of targets, in a folder or in one .npz file."""

from __future__ import annotations

import io
import struct
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jobs.datasets.column import Column
from jobs.datasets.dataset import TARGETS, UNLABELLED, Dataset, check_dataset, no_labels
from jobs.datasets.ranged_file import File, SeekableFile, open_file
from jobs.errors import DataError, JobError
from jobs.formatting import error_line, one_line
from jobs.npy import read_header
from jobs.storage import locate, open_storage

if TYPE_CHECKING:
    pass

_HEADER_BYTES = 2**14  # NumPy itself refuses headers of more than 10,000
_LABELS = ("biu", "integers 0, 1, ...: save y.astype(np.int64)")
_NUMBERS = ("biuf", "numbers: save {}.astype(np.float32)")


def open_npy(path: str, spec: str, classes: int | None) -> Dataset:
    """Return the data set of x.npy and y.npy in the folder `path`.

    Raises:
        FileNotFoundError: one of them is missing.
        DataError: it is truncated, or the data do not fit, see `check_dataset`.
    """
    storage = open_storage(path)
    x = _array(open_file(storage, "x.npy"), "x", classes)
    missing = classes == UNLABELLED and not storage.exists("y.npy")
    y = no_labels(x) if missing else _array(open_file(storage, "y.npy"), "y", classes)
    return check_dataset(spec, x, y, classes, scale=1.0)


def open_npz(path: str, spec: str, classes: int | None) -> Dataset:
    """Return the data set of the arrays x and y in the uncompressed .npz file `path`, as np.savez writes it.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: it is not such a file, is truncated, lacks an array, or the data do not fit, see `check_dataset`.
    """
    file = open_file(*locate(path))
    try:
        with zipfile.ZipFile(io.BufferedReader(SeekableFile(file))) as archive:
            members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
    except JobError:
        raise
    except Exception as error:  # zipfile raises BadZipFile, and others for what is damaged within
        text = error_line(error)
        raise DataError(f"{file.address}: truncated, or no .npz file ({text}); write it with np.savez") from error
    names = "x" if classes == UNLABELLED and "y" not in members else "xy"
    columns = [_array(replace(file, part=name), name, classes, *_place(file, members, name)) for name in names]
    x, y = columns if len(columns) == 2 else (columns[0], no_labels(columns[0]))
    return check_dataset(spec, x, y, classes, scale=1.0)


def _place(file: File, members: dict[str, zipfile.ZipInfo], name: str) -> tuple[int, int]:
    """Return the offsets, in bytes, where the array `name` begins and ends in the .npz file."""
    member = members.get(name)
    if member is None:
        raise DataError(
            f"{file.address}: there is no array {name!r}, only {sorted(members)}; use np.savez(f, x=x, y=y)"
        )
    if member.compress_type != zipfile.ZIP_STORED:
        raise DataError(
            f"{file.address}: the array {name!r} is compressed; write it with np.savez instead of np.savez_compressed"
        )
    # The local header before the content: 30 bytes, the last four the lengths of name and extra field (APPNOTE 4.3.7).
    # zipfile makes it negative where the file lacks its beginning; a damaged one may be any number.
    begin = min(max(member.header_offset, 0), file.size)
    header = file.read(begin, begin + 30)
    if not header.startswith(b"PK\3\4") or len(header) < 30:
        raise DataError(f"{file.address}: damaged or truncated before the array {name!r}; write it again")
    name_length, extra_length = struct.unpack("<2H", header[26:])
    start = begin + 30 + name_length + extra_length
    return start, start + member.file_size


def _array(file: File, name: str, classes: int | None, start: int = 0, stop: int | None = None) -> Column:
    """Check the .npy header in bytes start..stop-1 of `file` and return where its array lies."""
    stop = file.size if stop is None else stop
    where = f"{file.address}, array {name!r}"
    shape, fortran_order, dtype, header_bytes = _header(file.read(start, min(start + _HEADER_BYTES, stop)), where)
    kinds, wanted = _NUMBERS if name == "x" or classes in (TARGETS, UNLABELLED) else _LABELS
    if dtype.kind not in kinds:
        raise DataError(f"{where}: the type is {dtype}, but must be {wanted.format(name)}")
    if fortran_order:
        raise DataError(
            f"{where}: it is in Fortran order, but rows must follow each other: save np.ascontiguousarray(x)"
        )
    column = Column(file, start + header_bytes, dtype, shape)
    if column.end != stop or stop > file.size:
        raise DataError(
            f"{where}: its header says shape {shape} of {dtype}, {column.end - start} bytes in all, but there are"
            f" {min(stop, file.size) - start}; write it again"
        )
    return column


def _header(data: bytes, where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Return shape, Fortran order, type and length in bytes of the .npy header at the beginning of `data`."""
    try:
        return read_header(data)
    except ValueError as error:
        text = one_line(error)
        raise DataError(f"{where}: truncated, or no .npy array ({text}); write it with np.save") from error
