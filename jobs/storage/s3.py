"""A bucket and prefix in S3, or in any store with its protocol, as a `Storage`; see `jobs.storage.s3_client`."""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from jobs.errors import ClusterError, InputError
from jobs.storage.base import (
    DEFAULT_ACCESS,
    MIB,
    TEMPORARY,
    Access,
    LogWriter,
    Names,
    Stamp,
    Storage,
    changed,
    is_plain,
)
from jobs.storage.haste import hasty
from jobs.storage.s3_client import ATTEMPTS, is_transient, s3_client, status_of, translate_errors

_PATIENCE_SECONDS = 60
"""For so long a read goes on without a byte, and then until boto3's attempts are over."""
_ETAG = "ETag "
_PIECE = 2**16
"""Bytes that are read of a body at a time: what a broken connection loses at most."""


@dataclass(frozen=True)
class S3Storage(Storage):
    """The objects of one bucket below one prefix; `url` is `s3://bucket` or `s3://bucket/prefix`."""

    access: Access = DEFAULT_ACCESS
    read_ahead: ClassVar[int] = 8 * MIB

    def __post_init__(self) -> None:
        """Check the URL.

        Raises:
            InputError: `url` names no bucket.
        """
        if not self._bucket:
            raise InputError(f"{self.url!r}: no bucket; the folder must be s3://bucket/prefix")

    @property
    def _bucket(self) -> str:
        return self.url.removeprefix("s3://").partition("/")[0]

    @property
    def _prefix(self) -> str:
        prefix = self.url.removeprefix("s3://").partition("/")[2]
        return f"{prefix}/" if prefix else ""

    def _client(self, *, adaptive: bool = False) -> Any:
        return s3_client(self.access, adaptive=adaptive)

    def _errors(self, name: str) -> contextlib.AbstractContextManager[None]:
        return translate_errors(self.address(name), self.access)

    def _where(self, name: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + self.checked(name)}

    def read(self, name: str) -> bytes:
        """See `Storage.read`."""
        return self._get(name)

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        """See `Storage.read_range`."""
        if stop <= start:
            return b""
        from botocore.exceptions import ClientError

        try:
            return self._get(name, Range=f"bytes={start}-{stop - 1}")
        except InputError as error:
            if isinstance(error.__cause__, ClientError) and status_of(error.__cause__) == 416:
                return b""  # `start` is at or after the end
            raise

    def _get(self, name: str, **options: str) -> bytes:
        """Read an object; boto3 retries a failed request, but not one whose body is cut off."""
        from botocore.exceptions import HTTPClientError, IncompleteReadError

        with self._errors(name):
            for attempt in range(3):
                body = self._client().get_object(**self._where(name), **options)["Body"]
                try:
                    return bytes(body.read())
                except (HTTPClientError, IncompleteReadError):
                    if attempt == 2 or hasty():
                        raise
        raise AssertionError

    def read_unchanged(self, name: str, stamp: Stamp, start: int, stop: int) -> bytes:
        """See `Storage.read_unchanged`; a body that is cut off is continued where it ended."""
        from botocore.exceptions import ClientError, ConnectionError, HTTPClientError, IncompleteReadError  # noqa: A004

        pieces: list[bytes] = []
        failures, since = 0, time.monotonic()
        with self._errors(name):
            while start < stop:
                try:
                    for piece in self._pieces(name, stamp, start, stop):
                        pieces.append(piece)
                        start += len(piece)
                        failures, since = 0, time.monotonic()
                # Also what boto3 has tried again in vain: where many requests fail, it soon retries none of them.
                except (ClientError, ConnectionError, HTTPClientError, IncompleteReadError) as error:
                    refused = isinstance(error, ClientError) and not is_transient(error)
                    if refused or hasty() or time.monotonic() > since + _PATIENCE_SECONDS:
                        raise
                    time.sleep(min(0.05 * 2**failures, 10.0))
                    failures += 1
        return b"".join(pieces)

    def _pieces(self, name: str, stamp: Stamp, start: int, stop: int) -> Iterator[bytes]:
        from botocore.exceptions import IncompleteReadError

        body = self._body(name, stamp, start, stop)
        with contextlib.closing(body):
            while piece := body.read(_PIECE):
                start += len(piece)
                yield piece
        if start < stop:  # not noticed by boto3 where the answer's length was too small, too
            raise IncompleteReadError(actual_bytes=start, expected_bytes=stop)

    def _body(self, name: str, stamp: Stamp, start: int, stop: int) -> Any:
        """Return the stream of bytes start..stop-1 of an object that must be the one that had `stamp`."""
        from botocore.exceptions import ClientError

        etag = stamp[1].removeprefix(_ETAG)
        where = {**self._where(name), "IfMatch": etag, "Range": f"bytes={start}-{stop - 1}"}
        try:
            reply = self._client(adaptive=True).get_object(**where)
        except ClientError as error:
            if status_of(error) == 412:
                raise changed(self.address(name)) from error
            raise
        if reply["ETag"] != etag:  # not every S3-compatible store knows If-Match
            raise changed(self.address(name))
        if reply.get("ContentRange") != f"bytes {start}-{stop - 1}/{stamp[0]}":
            raise InputError(f"{self.address(name)}: the store sends another range than asked for; use another store")
        return reply["Body"]

    def _head(self, name: str) -> dict[str, Any] | None:
        """Return an object's properties, None if there is none."""
        from botocore.exceptions import ClientError

        with self._errors(name):
            try:
                return dict(self._client().head_object(**self._where(name)))
            except ClientError as error:
                if status_of(error) != 404:
                    raise
            self._client().head_bucket(Bucket=self._bucket)  # HEAD's 404 has no body: object or bucket may be missing
        return None

    def size(self, name: str) -> int:
        """See `Storage.size`."""
        return self.stamp(name)[0]

    def stamp(self, name: str) -> Stamp:
        """See `Storage.stamp`."""
        properties = self._head(name)
        if properties is None:
            raise FileNotFoundError(errno.ENOENT, "no such object", self.address(name))
        return int(properties["ContentLength"]), f"{_ETAG}{properties['ETag']}"

    def exists(self, name: str) -> bool:
        """See `Storage.exists`."""
        return self._head(name) is not None

    def write(self, name: str, data: bytes) -> None:
        """See `Storage.write`."""
        with self._errors(name):
            self._client().put_object(**self._where(name), Body=data)

    def write_file(self, name: str, path: Path) -> None:
        """See `Storage.write_file`; a large one in parts, several at a time, which the store joins at the end."""
        with path.open("rb") as file, self._errors(name):
            self._client().upload_fileobj(file, **self._where(name))

    def create(self, name: str, data: bytes) -> bool:
        """See `Storage.create`."""
        from botocore.exceptions import ClientError

        with self._errors(name):
            for attempt in range(ATTEMPTS):
                try:
                    self._client().put_object(**self._where(name), Body=data, IfNoneMatch="*")
                except ClientError as error:
                    if status_of(error) == 412:
                        return False
                    if status_of(error) == 501:
                        raise InputError(
                            f"{self.address(name)}: the store refused a write on condition that there is no such file"
                            " (If-None-Match), which a run folder needs; use another store"
                        ) from error
                    # 409: a concurrent request creates the same key, and may still fail, so neither True nor False is
                    # known yet. boto3 does not retry it.
                    if status_of(error) != 409:
                        raise
                    time.sleep(0.05 * 2**attempt)
                else:
                    return True
        raise ClusterError(f"{self.address(name)}: others write it all the time; give the same command again")

    def delete(self, name: str) -> None:
        """See `Storage.delete`."""
        with self._errors(name):
            self._client().delete_object(**self._where(name))

    def append_log(self, name: str) -> LogWriter:
        """See `Storage.append_log`."""
        from jobs.storage.s3_log import S3Log

        return S3Log(self, name)

    def read_log(self, name: str) -> BinaryIO:
        """See `Storage.read_log`."""
        from jobs.storage.s3_log import read_parts

        return read_parts(self, name)

    def delete_log(self, name: str) -> None:
        """See `Storage.delete_log`."""
        from jobs.storage.s3_log import part_names

        # From the end: where this is interrupted, the parts left are the log's beginning, without a gap.
        for part in reversed(part_names(self, name)):
            self.delete(part)

    def list(self, prefix: str = "") -> Names:
        """See `Storage.list`."""
        self.checked(prefix, prefix=True)
        with self._errors(prefix):
            paginator = self._client().get_paginator("list_objects_v2")
            pages = paginator.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix)
            keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        names = [key.removeprefix(self._prefix) for key in keys]
        return sorted(name for name in names if is_plain(name) and not name.rpartition("/")[2].startswith(TEMPORARY))

    def folders(self) -> Names:
        """See `Storage.folders`."""
        with self._errors(""):
            paginator = self._client().get_paginator("list_objects_v2")
            pages = paginator.paginate(Bucket=self._bucket, Prefix=self._prefix, Delimiter="/")
            found = [entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", [])]
        return sorted(name for key in found if is_plain(name := key.removeprefix(self._prefix).rstrip("/")))
