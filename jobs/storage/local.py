"""A local folder as a `Storage`."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO

from jobs.errors import ClusterError, InputError, argument
from jobs.storage.base import MIB, TEMPORARY, LogWriter, Names, Stamp, Storage, changed

_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG)
_AGAIN = "then give the same command again: it goes on from what is stored"


def _error(address: str, error: OSError, *, writing: bool) -> Exception:
    """Return the package's error for an OSError at `address`."""
    if error.errno in _FULL:
        return ClusterError(f"{address}: no space left to write ({error.strerror}); free some or move it, {_AGAIN}")
    if error.errno == errno.ENOENT and not writing:
        return FileNotFoundError(errno.ENOENT, "no such file", address)
    # ENOENT of a write: not the file, which is created, but its folder is gone or cannot be made.
    if error.errno in (*_REFUSED, errno.ENOENT):
        use = "written" if writing else "read"
        return InputError(f"{address}: cannot be {use} ({error.strerror}); check the path and its permissions")
    return ClusterError(f"{address}: {error.strerror or error}; check the disk, {_AGAIN}")


@contextlib.contextmanager
def _translate_errors(address: str, *, writing: bool = False) -> Iterator[None]:
    """Translate an OSError into an error of this package."""
    try:
        yield
    except OSError as error:
        raise _error(address, error, writing=writing) from error


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


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]  # a write may be partial: at most 2 GiB, or the space that is left


def _sync_folder(path: Path) -> None:
    """Make a new name in the folder `path` survive a power failure: a file's own fsync does not store its name."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _temporary(path: Path, chunks: Iterable[bytes]) -> Iterator[Path]:
    """Yield a complete file of `chunks` next to `path`, whose folder is created; remove it if it is still there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / (TEMPORARY + secrets.token_hex(8))
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)  # mkstemp's would be 0600
    try:
        try:
            for chunk in chunks:
                _write_all(descriptor, chunk)
            # Before the rename: else the new name could survive a power failure, and the bytes not.
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        yield temporary
        _sync_folder(path.parent)  # after the rename, which changes the folder
    finally:
        temporary.unlink(missing_ok=True)


class LocalStorage(Storage):
    """The files below one folder of this machine (or of a mounted volume); `url` is its absolute path."""

    def _path(self, name: str) -> Path:
        return Path(self.url) / self.checked(name)

    def check_inside(self, name: str) -> None:
        """See `Storage.check_inside`."""
        path = Path(self.url)
        for part in self.checked(name).split("/"):
            path /= part
            if os.path.islink(path):  # noqa: PTH114  Path.is_symlink raises for a name that is too long
                raise InputError(f"{path} is a symbolic link, but what a run folder has must lie in it; remove it")

    def read(self, name: str) -> bytes:
        """See `Storage.read`."""
        with _translate_errors(self.address(name)):
            return self._path(name).read_bytes()

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        """See `Storage.read_range`."""
        if stop <= start:
            return b""
        with _translate_errors(self.address(name)), self._path(name).open("rb", buffering=0) as file:
            return _read_range(file, start, stop)

    def read_unchanged(self, name: str, stamp: Stamp, start: int, stop: int) -> bytes:
        """See `Storage.read_unchanged`."""
        if stop <= start:
            return b""
        with _translate_errors(self.address(name)), self._path(name).open("rb", buffering=0) as file:
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
        with _translate_errors(self.address(name)):
            status = self._path(name).stat()
            if not S_ISREG(status.st_mode):
                raise IsADirectoryError(errno.EISDIR, "not a regular file")
        return _stamp(status)

    def exists(self, name: str) -> bool:
        """See `Storage.exists`."""
        with _translate_errors(self.address(name)):
            try:
                return S_ISREG(self._path(name).stat().st_mode)
            except (FileNotFoundError, NotADirectoryError):
                return False

    def write(self, name: str, data: bytes) -> None:
        """See `Storage.write`."""
        path = self._path(name)
        with _translate_errors(self.address(name), writing=True), _temporary(path, [data]) as temporary:
            temporary.replace(path)

    def write_file(self, name: str, path: Path) -> None:
        """See `Storage.write_file`."""
        to = self._path(name)
        with path.open("rb") as file, _translate_errors(self.address(name), writing=True):
            chunks = iter(lambda: file.read(8 * MIB), b"")
            with _temporary(to, chunks) as temporary:
                temporary.replace(to)

    def create(self, name: str, data: bytes) -> bool:
        """See `Storage.create`."""
        path = self._path(name)
        with _translate_errors(self.address(name), writing=True), _temporary(path, [data]) as temporary:
            try:
                # Not O_EXCL on the name itself, under which others could read a part: a link appears with all bytes,
                # and fails if the name exists.
                path.hardlink_to(temporary)
            except FileExistsError:
                return False
        return True

    def delete(self, name: str) -> None:
        """See `Storage.delete`."""
        with _translate_errors(self.address(name), writing=True), contextlib.suppress(FileNotFoundError):
            self._path(name).unlink()

    def check_writable(self) -> None:
        """See `Storage.check_writable`."""
        folder = Path(self.url)
        with _translate_errors(f"{argument('run')} {self.url}", writing=True):
            if folder.is_file():
                raise InputError(f"{argument('run')} {self.url} is a file, but must be a folder")
            made = [path for path in (folder, *folder.parents) if not path.exists()]
        super().check_writable()
        for path in made:
            with contextlib.suppress(OSError):  # not empty: another process uses it by now
                path.rmdir()

    def append_log(self, name: str) -> LogWriter:
        """See `Storage.append_log`."""
        return LocalLog(self.address(name), self._path(name))

    def read_log(self, name: str) -> BinaryIO:
        """See `Storage.read_log`."""
        with _translate_errors(self.address(name)):
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
        with _translate_errors(self.address(top)):
            names = [
                str((folder / file).relative_to(self.url))
                for folder, file in _walk(root, first)
                if not file.startswith(TEMPORARY)
            ]
        return sorted(names)


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
    """A log in one local file; appended data survive a crash of the process, and after `flush` one of the machine."""

    def __init__(self, address: str, path: Path) -> None:
        """Open the file at `path`, called `address` in messages, and create its folder if need be."""
        self._address = address
        with _translate_errors(address, writing=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor: int | None = _open_log(path, address)
            _sync_folder(path.parent)

    def append(self, data: bytes) -> None:
        """See `LogWriter.append`."""
        descriptor = self._open_descriptor()
        end = os.fstat(descriptor).st_size
        with _translate_errors(self._address, writing=True):
            try:
                _write_all(descriptor, data)
            except OSError:
                # On a full disk a part may be written: without it the log can be appended to once there is space.
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, end)
                raise

    def flush(self) -> None:
        """See `LogWriter.flush`."""
        with _translate_errors(self._address, writing=True):
            os.fsync(self._open_descriptor())

    def close(self) -> None:
        """See `LogWriter.close`."""
        if self._descriptor is None:
            return
        try:
            self.flush()
        finally:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def _open_descriptor(self) -> int:
        if self._descriptor is None:
            raise ValueError(f"{self._address}: the log is closed")
        return self._descriptor
