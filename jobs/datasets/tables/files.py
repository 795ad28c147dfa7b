"""The files of a table, and reading ranges of one that must be as it was when the table was opened."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from jobs.errors import DataError, InputError
from jobs.storage import Stamp, Storage, changed, is_plain, locate, open_storage

SUFFIXES = {"parquet": (".parquet", ".pq", ".parq"), "csv": (".csv",)}
PACKED = (".gz", ".bz2", ".zip", ".zst", ".xz")
OPENERS = 8
"""Files that are looked at side by side: in S3 each takes some round trips."""
AnyResult = TypeVar("AnyResult")
AnyItem = TypeVar("AnyItem")


@dataclass(frozen=True)
class TableFile:
    """A file as it was when the table was opened.

    Attributes:
        storage: where it lies.
        name: there.
        stamp: its size and time, or ETag, on the driver.
        fingerprint: of its size, beginning and end.
    """

    storage: Storage
    name: str
    stamp: Stamp
    fingerprint: str

    @property
    def address(self) -> str:
        """Path or URL."""
        return self.storage.address(self.name)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.stamp[0]

    def read(self, start: int, stop: int) -> bytes:
        """Return bytes start..stop-1 of the file, which is as it was.

        Raises:
            DataError: it was changed or deleted since.
        """
        try:
            return self.storage.read_unchanged(self.name, _stamp_here(self), start, stop)
        except FileNotFoundError as error:
            raise DataError(f"{self.address} cannot be read; the file is gone") from error


@functools.lru_cache(maxsize=64)
def _stamp_here(file: TableFile) -> Stamp:
    """Return the stamp of a file in this process, for which it must be the file that was opened.

    A copy on another machine has another time, and its beginning and end are compared.

    Raises:
        DataError: it is another one.
        FileNotFoundError: it is gone.
    """
    stamp = file.storage.stamp(file.name)
    if stamp != file.stamp and file.storage.fingerprint(file.name) != file.fingerprint:
        raise changed(file.address)
    return stamp


def open_file(storage: Storage, name: str) -> TableFile:
    """Return a file as it is now; raises FileNotFoundError if there is none."""
    stamp = storage.stamp(name)
    return TableFile(storage, name, stamp, storage.fingerprint(name))


def find_files(path: str, form: str) -> list[TableFile]:
    """Return the file at a path, or all files of a form below it in the order of their names.

    Args:
        path: local or in S3.
        form: of `SUFFIXES`.

    Raises:
        InputError: there are none, or only packed ones.
    """
    if not _is_bucket(path):
        storage, name = locate(path)
        if is_plain(name) and storage.exists(name):
            _check_packed(path, form)
            return [open_file(storage, name)]
    storage = open_storage(path)
    names = storage.list()
    found = [name for name in names if _is_part(name) and name.lower().endswith(SUFFIXES[form])]
    if not found:
        for name in names:
            if form in name.lower():
                _check_packed(storage.address(name), form)
        suffix = SUFFIXES[form][0]
        raise InputError(f"{path}: no such file, nor a folder with files that end in {suffix}; check the path")
    return side_by_side(functools.partial(open_file, storage), found)


def has_files(path: str) -> str | None:
    """Return the form of the files in a folder, if there are files of a table."""
    for name in open_storage(path).list():
        for form, suffixes in SUFFIXES.items():
            if _is_part(name) and name.lower().endswith(suffixes):
                return form
    return None


def side_by_side(function: Callable[[AnyItem], AnyResult], items: Iterable[AnyItem]) -> list[AnyResult]:
    """Return a function's results for several files, in their order."""
    with ThreadPoolExecutor(OPENERS, thread_name_prefix="dask-jobs-tables") as pool:
        return list(pool.map(function, items))


def _is_bucket(path: str) -> bool:
    return path.startswith("s3://") and "/" not in path.removeprefix("s3://")


def _is_part(name: str) -> bool:
    """Return whether a file is one of the table: Spark and others put notes such as _SUCCESS beside the data."""
    return not any(part.startswith(("_", ".")) for part in name.split("/"))


def _check_packed(address: str, form: str) -> None:
    if form == "csv" and address.lower().endswith(PACKED):
        raise InputError(
            f"{address}: a packed CSV file cannot be read from its middle, as each worker does: unpack it, or write "
            "Parquet, which is packed inside"
        )
