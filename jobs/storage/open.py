"""The storage that a path or a URL names."""

from __future__ import annotations

import os
import re

from jobs.errors import InputError, nearest
from jobs.storage.base import DEFAULT_ACCESS, Access, Storage, is_path


def open_storage(url: str | os.PathLike[str], access: Access = DEFAULT_ACCESS) -> Storage:
    """Return the storage at `url`, a local folder (which need not exist yet) or `s3://bucket/prefix`.

    Args:
        url: the folder.
        access: how a store in S3 is reached.

    Raises:
        InputError: `url` is empty, or no path, its scheme is not `s3`, or it names no bucket.
    """
    text = os.fspath(url)
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://|(s3):", text)
    if not text:
        raise InputError("the folder is ''; give a local path or s3://bucket/prefix")
    if not is_path(text):
        raise InputError(f"{text!r}: the folder has a character that no path can have; choose another one")
    if scheme is None:
        from jobs.storage.local import LocalStorage

        return LocalStorage(os.path.abspath(os.path.expanduser(text)))  # noqa: PTH100, PTH111 Path keeps "..", drops none
    if scheme[1] != "s3":
        near = nearest(f"{scheme[1] or 's3'}://", ["s3://"])
        raise InputError(f"{text!r}: the folder must be a local path or s3://bucket/prefix{near}")
    from jobs.storage.s3 import S3Storage

    return S3Storage("s3://" + text.removeprefix("s3://").rstrip("/"), access)


def locate(address: str) -> tuple[Storage, str]:
    """Return the storage of a file, at a path or `s3://bucket/prefix/name`, and its name there.

    Raises:
        InputError: its folder is not a storage's, see `open_storage`.
    """
    folder, slash, name = address.rpartition("/")
    return open_storage(folder + slash or "."), name  # with the slash: the folder of "/name" is "/"
