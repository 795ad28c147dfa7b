"""A bucket and prefix in S3, or in any store with its protocol, as a `Storage`.

Credentials, region and endpoint come from where every AWS tool looks for them: `AWS_ACCESS_KEY_ID`,
`AWS_SECRET_ACCESS_KEY`, `AWS_DEFAULT_REGION`, `AWS_ENDPOINT_URL`, `AWS_PROFILE`, the instance's role, and so on.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from jobs.errors import ClusterError, InputError
from jobs.formatting import one_line
from jobs.storage.base import MIB, TEMPORARY, LogWriter, Names, Storage, is_plain

_ATTEMPTS = 6  # with boto3's back-off some 15 s: as long as a server needs to restart
_PATIENT_ATTEMPTS = 16  # some 2 minutes, once it has answered this process: then it is away, and its address is right
_CREDENTIALS = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "InvalidClientTokenId")
_client_lock = threading.Lock()
Settings = tuple[tuple[str, str], ...]
"""The AWS_ variables, sorted."""
_answered: set[Settings] = set()


@functools.lru_cache(maxsize=4)
def _session(process: int, settings: Settings) -> Any:  # noqa: ARG001 the cache's key
    import boto3

    return boto3.session.Session()


@functools.lru_cache(maxsize=8)
def _make_client(process: int, settings: Settings, *, patient: bool) -> Any:
    """Return a boto3 client, cached by process and AWS_ variables: threads may share one, forks may not."""
    from botocore.config import Config

    attempts = int(os.environ.get("AWS_MAX_ATTEMPTS", _PATIENT_ATTEMPTS if patient else _ATTEMPTS))
    config = Config(
        connect_timeout=10,
        read_timeout=60,
        retries={"mode": "standard", "total_max_attempts": attempts},
        request_checksum_calculation="when_required",  # not every S3-compatible store supports the newer checksums
        response_checksum_validation="when_required",
    )
    return _session(process, settings).client("s3", config=config)


def _settings() -> Settings:
    return tuple(sorted((key, value) for key, value in os.environ.items() if key.startswith("AWS_")))


def _client() -> Any:
    settings = _settings()
    with _client_lock:  # making a boto3 client is not thread-safe, using one is
        return _make_client(os.getpid(), settings, patient=settings in _answered)


def _status(error: Any) -> int:
    """Return the HTTP status of a botocore ClientError."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _reply_error(address: str, error: Any) -> Exception:
    """Return the package's error for a botocore ClientError, an error reply of the store."""
    code, status = error.response.get("Error", {}).get("Code", ""), _status(error)
    if code == "NoSuchBucket" or (status == 404 and error.operation_name == "HeadBucket"):
        return InputError(f"{address}: there is no such bucket; check its name and AWS_ENDPOINT_URL")
    if status == 404:
        return FileNotFoundError(errno.ENOENT, "no such object", address)
    if code in _CREDENTIALS:
        return InputError(f"{address}: the credentials are not valid ({code}); check the AWS_ environment variables")
    if status == 403:
        return InputError(f"{address}: access denied ({error.operation_name}); check the credentials' permissions")
    # 501: the store does not have the operation, so a retry cannot help. RequestTimeout comes with status 400.
    if (status >= 500 and status != 501) or status == 429 or code == "RequestTimeout":
        return ClusterError(f"{address}: the store failed ({one_line(error)}); give the same command again later")
    return InputError(f"{address}: the store refused ({one_line(error)})")


@contextlib.contextmanager
def _translate_errors(address: str) -> Iterator[None]:
    """Translate botocore's errors into those of this package."""
    from botocore import exceptions as failed

    setting = (
        failed.NoCredentialsError,
        failed.PartialCredentialsError,
        failed.ProfileNotFound,
        failed.NoRegionError,
        failed.InvalidRegionError,
        failed.ParamValidationError,
        ValueError,  # botocore's for an endpoint that is not a URL
    )
    try:
        yield
        _answered.add(_settings())
    except failed.ClientError as error:
        raise _reply_error(address, error) from error
    except setting as error:
        raise InputError(f"{address}: {one_line(error)}; check the URL and the AWS_ environment variables") from error
    except failed.BotoCoreError as error:
        raise ClusterError(f"{address}: {one_line(error)}; check AWS_ENDPOINT_URL and the network") from error


@dataclass(frozen=True)
class S3Storage(Storage):
    """The objects of one bucket below one prefix; `url` is `s3://bucket` or `s3://bucket/prefix`."""

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
            if isinstance(error.__cause__, ClientError) and _status(error.__cause__) == 416:
                return b""  # `start` is at or after the end
            raise

    def _get(self, name: str, **options: str) -> bytes:
        """Read an object; boto3 retries a failed request, but not one whose body is cut off."""
        from botocore.exceptions import HTTPClientError, IncompleteReadError

        with _translate_errors(self.address(name)):
            for attempt in range(3):
                body = _client().get_object(**self._where(name), **options)["Body"]
                try:
                    return bytes(body.read())
                except (HTTPClientError, IncompleteReadError):
                    if attempt == 2:
                        raise
        raise AssertionError

    def _head(self, name: str) -> dict[str, Any] | None:
        """Return an object's properties, None if there is none."""
        from botocore.exceptions import ClientError

        with _translate_errors(self.address(name)):
            try:
                return dict(_client().head_object(**self._where(name)))
            except ClientError as error:
                if _status(error) != 404:
                    raise
            _client().head_bucket(Bucket=self._bucket)  # HEAD's 404 has no body: object or bucket may be missing
        return None

    def size(self, name: str) -> int:
        """See `Storage.size`."""
        return self.stamp(name)[0]

    def stamp(self, name: str) -> tuple[int, str]:
        """See `Storage.stamp`."""
        properties = self._head(name)
        if properties is None:
            raise FileNotFoundError(errno.ENOENT, "no such object", self.address(name))
        return int(properties["ContentLength"]), f"ETag {properties['ETag']}"

    def exists(self, name: str) -> bool:
        """See `Storage.exists`."""
        return self._head(name) is not None

    def write(self, name: str, data: bytes) -> None:
        """See `Storage.write`."""
        with _translate_errors(self.address(name)):
            _client().put_object(**self._where(name), Body=data)

    def write_file(self, name: str, path: Path) -> None:
        """See `Storage.write_file`; a large one in parts, several at a time, which the store joins at the end."""
        with path.open("rb") as file, _translate_errors(self.address(name)):
            _client().upload_fileobj(file, **self._where(name))

    def create(self, name: str, data: bytes) -> bool:
        """See `Storage.create`."""
        from botocore.exceptions import ClientError

        with _translate_errors(self.address(name)):
            for attempt in range(_ATTEMPTS):
                try:
                    _client().put_object(**self._where(name), Body=data, IfNoneMatch="*")
                except ClientError as error:
                    if _status(error) == 412:
                        return False
                    # 409: a concurrent request creates the same key, and may still fail, so neither True nor False is
                    # known yet. boto3 does not retry it.
                    if _status(error) != 409:
                        raise
                    time.sleep(0.05 * 2**attempt)
                else:
                    return True
        raise ClusterError(f"{self.address(name)}: others write it all the time; give the same command again")

    def delete(self, name: str) -> None:
        """See `Storage.delete`."""
        with _translate_errors(self.address(name)):
            _client().delete_object(**self._where(name))

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
        with _translate_errors(self.address(prefix)):
            paginator = _client().get_paginator("list_objects_v2")
            pages = paginator.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix)
            keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        names = [key.removeprefix(self._prefix) for key in keys]
        return sorted(name for name in names if is_plain(name) and not name.rpartition("/")[2].startswith(TEMPORARY))
