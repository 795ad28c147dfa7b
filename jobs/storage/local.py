"""A local folder as a `Storage`."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO

from jobs.errors import InputError, argument
from jobs.storage.base import MIB, TEMPORARY, LogWriter, Names, Stamp, Storage, changed, is_plain
from jobs.storage.local_files import create_file, replace_file, sync_folder, translate_errors, write_all

SYNC_SECONDS = 30.0
"""What a log loses at most when the machine crashes, as a log in S3 does when the process is killed."""


def _stamp(status: os.stat_result) -> Stamp:
    seconds, nanoseconds = divmod(status.st_mtime_ns, 10**9)
    return status.st_size, f"modified {datetime.fromtimestamp(seconds, tz=UTC):%Y-%m-%d %H:%M:%S}.{nanoseconds:09}"


def _read_range(file: io.FileIO, start: int, stop: int) -> bytes:
    file.seek(start)
    parts = []
    while start < stop and (data := file.read(stop - start)):  # one read returns at most 2 GiB
        parts.append(data)
        start += len(data)
    return parts[0] if len(parts) == 1 else b"".join(parts)


class _ChunksError(Exception):
    """Carries an OSError of the chunks that are written, which is none of their writing."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


def _marked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from chunks
    except OSError as error:
        raise _ChunksError(error) from error


class LocalStorage(Storage):
    """The files below one folder of this machine (or of a mounted volume); `url` is its absolute path."""

    def _path(self, name: str) -> Path:
        return Path(self.url) / self.checked(name)

    def _own_path(self, name: str) -> Path:
        """Return the path of a file to write or to delete.

        Raises:
            InputError: a folder on the way to it is a link, which would lead out of this one.
        """
        path = self._path(name)  # first, since it says more of a name that is none
        if folder := name.rpartition("/")[0]:
            self.check_inside(folder)
        return path

    def check_inside(self, name: str) -> None:
        """See `Storage.check_inside`."""
        path = Path(self.url)
        for part in self.checked(name).split("/"):
            path /= part
            if os.path.islink(path):  # noqa: PTH114  Path.is_symlink raises for a name that is too long
                raise InputError(f"{path} is a symbolic link, but what a run folder has must lie in it; remove it")

    def read(self, name: str) -> bytes:
        """See `Storage.read`."""
        with translate_errors(self.address(name)):
            return self._path(name).read_bytes()

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        """See `Storage.read_range`."""
        if stop <= start:
            return b""
        with translate_errors(self.address(name)), self._path(name).open("rb", buffering=0) as file:
            return _read_range(file, start, stop)

    def read_unchanged(self, name: str, stamp: Stamp, start: int, stop: int) -> bytes:
        """See `Storage.read_unchanged`."""
        if stop <= start:
            return b""
        with translate_errors(self.address(name)), self._path(name).open("rb", buffering=0) as file:
            data = _read_range(file, start, stop)
            after = _stamp(os.fstat(file.fileno()))  # after reading: a file that was written meanwhile is noticed
        if after != stamp or len(data) < stop - start:
            raise changed(self.address(name))
        return data

    def size(self, name: str) -> int:
        """See `Storage.size`."""
        return self.stamp(name)[0]

    def stamp(self, name: str) -> Stamp:
        """See `Storage.stamp`."""
        with translate_errors(self.address(name)):
            status = self._path(name).stat()
            if not S_ISREG(status.st_mode):
                raise IsADirectoryError(errno.EISDIR, "not a regular file")
        return _stamp(status)

    def exists(self, name: str) -> bool:
        """See `Storage.exists`."""
        with translate_errors(self.address(name)):
            try:
                return S_ISREG(self._path(name).stat().st_mode)
            except (FileNotFoundError, NotADirectoryError):
                return False

    def write(self, name: str, data: bytes) -> None:
        """See `Storage.write`."""
        with translate_errors(self.address(name), writing=True):
            replace_file(self._own_path(name), [data])

    def write_file(self, name: str, path: Path) -> None:
        """See `Storage.write_file`."""
        with path.open("rb") as file, translate_errors(self.address(name), writing=True):
            replace_file(self._own_path(name), iter(lambda: file.read(8 * MIB), b""))

    def write_chunks(self, name: str, chunks: Iterable[bytes]) -> None:
        """See `Storage.write_chunks`."""
        try:
            with translate_errors(self.address(name), writing=True):
                replace_file(self._path(name), _marked(chunks))
        except _ChunksError as error:
            raise error.error from error.error.__cause__

    def create(self, name: str, data: bytes) -> bool:
        """See `Storage.create`."""
        with translate_errors(self.address(name), writing=True):
            return create_file(self._own_path(name), data)

    def delete(self, name: str) -> None:
        """See `Storage.delete`."""
        with translate_errors(self.address(name), writing=True), contextlib.suppress(FileNotFoundError):
            self._own_path(name).unlink()

    def check_writable(self) -> None:
        """See `Storage.check_writable`."""
        folder = Path(self.url)
        with translate_errors(f"{argument('run')} {self.url}", writing=True):
            if folder.is_file():
                raise InputError(f"{argument('run')} {self.url} is a file, but must be a folder")
            made = [path for path in (folder, *folder.parents) if not path.exists()]
        super().check_writable()
        for path in made:
            with contextlib.suppress(OSError):  # not empty: another process uses it by now
                path.rmdir()

    def append_log(self, name: str) -> LogWriter:
        """See `Storage.append_log`."""
        return LocalLog(self.address(name), self._own_path(name))

    def read_log(self, name: str) -> BinaryIO:
        """See `Storage.read_log`."""
        with translate_errors(self.address(name)):
            try:
                return self._path(name).open("rb")
            except FileNotFoundError:
                return io.BytesIO()

    def delete_log(self, name: str) -> None:
        """See `Storage.delete_log`."""
        self.delete(name)

    def list(self, prefix: str = "") -> Names:
        """See `Storage.list`."""
        top, _, first = self.checked(prefix, prefix=True).rpartition("/")
        root = Path(self.url) / top
        with translate_errors(self.address(top)):
            names = [
                str((folder / file).relative_to(self.url))
                for folder, file in _walk(root, first)
                if not file.startswith(TEMPORARY)
            ]
        return sorted(names)

    def folders(self) -> Names:
        """See `Storage.folders`."""
        try:
            with translate_errors(self.url), os.scandir(self.url) as entries:
                return sorted(one.name for one in entries if is_plain(one.name) and _is_folder_with_files(one))
        except (FileNotFoundError, NotADirectoryError):
            return []


def _is_folder_with_files(entry: os.DirEntry[str]) -> bool:
    with contextlib.suppress(OSError):  # one that may not be read has none for us
        return entry.is_dir() and bool(os.listdir(entry.path))  # noqa: PTH208  an entry is no Path
    return False


def _walk(root: Path, first: str) -> Iterator[tuple[Path, str]]:
    """Yield (folder, file) of all files below `root` of which the first part of the path starts with `first`."""

    def fail(error: OSError) -> None:
        # A folder that does not exist, or was deleted meanwhile, has no files. `os.walk` would ignore all other errors.
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise error

    for folder, subfolders, files in os.walk(root, onerror=fail):
        wanted = first if folder == str(root) else ""
        subfolders[:] = [subfolder for subfolder in subfolders if subfolder.startswith(wanted)]  # in place, for os.walk
        for file in files:
            if file.startswith(wanted):
                yield Path(folder), file


def _open_log(path: Path, address: str) -> int:
    """Open the file of a log to append to it, unless it is a link, which could lead to any file of the user's.

    Raises:
        InputError: it is a symbolic link.
    """
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise InputError(f"{address} is a symbolic link, but a log must be a file; remove the link") from error
        raise


class LocalLog(LogWriter):
    """A log in one local file; appended data survive a crash of the process, and after `flush` one of the machine.

    Within half a minute they do without it, too: a thread stores them, for which `append` does not wait.
    """

    def __init__(self, address: str, path: Path) -> None:
        """Open the file at `path`, called `address` in messages, and create its folder if need be."""
        self._address = address
        self._unsynced = False
        self._failed: OSError | None = None
        self._closed = threading.Event()
        with translate_errors(address, writing=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor: int | None = _open_log(path, address)
            sync_folder(path.parent)
        self._thread = threading.Thread(target=self._sync, args=[self._descriptor], name=f"log {path}", daemon=True)
        self._thread.start()

    def append(self, data: bytes) -> None:
        """See `LogWriter.append`."""
        descriptor = self._open_descriptor()
        end = os.fstat(descriptor).st_size
        with translate_errors(self._address, writing=True):
            if self._failed:
                raise self._failed  # the system reports such an error once
            self._unsynced = True
            try:
                write_all(descriptor, data)
            except OSError:
                # On a full disk a part may be written: without it the log can be appended to once there is space.
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, end)
                raise

    def flush(self) -> None:
        """See `LogWriter.flush`."""
        with translate_errors(self._address, writing=True):
            os.fsync(self._open_descriptor())
            if self._failed:
                raise self._failed

    def close(self) -> None:
        """See `LogWriter.close`."""
        if self._descriptor is None:
            return
        self._closed.set()
        self._thread.join()  # before the descriptor is closed: its number may be another file's at once
        try:
            self.flush()
        finally:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def _sync(self, descriptor: int) -> None:
        """Store what was appended, every `SYNC_SECONDS`, until the log is closed."""
        while not self._closed.wait(SYNC_SECONDS):
            if self._unsynced:
                self._unsynced = False  # before: what is appended meanwhile may be left out
                try:
                    os.fsync(descriptor)
                except OSError as error:
                    self._failed = error

    def _open_descriptor(self) -> int:
        if self._descriptor is None:
            raise ValueError(f"{self._address}: the log is closed")
        return self._descriptor
