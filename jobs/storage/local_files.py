"""Files of this machine: complete or not there, on any file system, and its errors as those of this package."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path

from jobs.errors import ClusterError, InputError
from jobs.storage.base import AGAIN, TEMPORARY

_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG)
_NO_LINKS = (errno.EOPNOTSUPP, errno.EPERM, errno.ENOSYS)
"""Errors of a file system without hard links: SMB, exFAT, many of FUSE's. EPERM may be one of permissions, too."""
_NO_SYNC = (errno.EINVAL, errno.ENOTSUP)
"""Errors of a network's file system that cannot sync a folder; it has no other way to store a name."""


def _error(address: str, error: OSError, *, writing: bool) -> Exception:
    """Return the package's error for an OSError at `address`."""
    if error.errno in _FULL:
        return ClusterError(f"{address}: no space left to write ({error.strerror}); free some or move it, {AGAIN}")
    if error.errno == errno.ENOENT and not writing:
        return FileNotFoundError(errno.ENOENT, "no such file", address)
    # ENOENT of a write: not the file, which is created, but its folder is gone or cannot be made.
    if error.errno in (*_REFUSED, errno.ENOENT):
        use = "written" if writing else "read"
        return InputError(f"{address}: cannot be {use} ({error.strerror}); check the path and its permissions")
    return ClusterError(f"{address}: {error.strerror or error}; check the disk, {AGAIN}")


@contextlib.contextmanager
def translate_errors(address: str, *, writing: bool = False) -> Iterator[None]:
    """Translate an OSError into an error of this package."""
    try:
        yield
    except OSError as error:
        raise _error(address, error, writing=writing) from error


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data` to an open file."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]  # a write may be partial: at most 2 GiB, or the space that is left


def sync_folder(path: Path) -> None:
    """Make a new name in the folder `path` survive a power failure: a file's own fsync does not store its name."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(descriptor)


def replace_file(path: Path, chunks: Iterable[bytes]) -> None:
    """Write `chunks` as the file `path`, atomically, in the place of an old one; its folder is created."""
    with _temporary(path, chunks) as temporary:
        temporary.replace(path)


def create_file(path: Path, data: bytes) -> bool:
    """Write a file unless there is one, and return whether it was written; of many callers one gets True.

    Readers see all bytes or, where the file system has no hard links, for a moment an empty file.
    """
    with _temporary(path, [data]) as temporary:
        try:
            # Not O_EXCL on the name itself, under which others could read a part: a link appears with all bytes, and
            # fails if the name exists.
            path.hardlink_to(temporary)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return _claim(path, temporary)
    return True


def _claim(path: Path, temporary: Path) -> bool:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except FileExistsError:
        return False
    try:
        temporary.replace(path)  # only the one that made the empty file gets here
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return True


@contextlib.contextmanager
def _temporary(path: Path, chunks: Iterable[bytes]) -> Iterator[Path]:
    """Yield a complete file of `chunks` next to `path`, whose folder is created; remove it if it is still there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / (TEMPORARY + secrets.token_hex(8))
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)  # mkstemp's would be 0600
    try:
        try:
            for chunk in chunks:
                write_all(descriptor, chunk)
            # Before the rename: else the new name could survive a power failure, and the bytes not.
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        yield temporary
        sync_folder(path.parent)  # after the rename, which changes the folder
    finally:
        temporary.unlink(missing_ok=True)
