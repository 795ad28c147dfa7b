"""Clients of an S3 store, and its errors as those of this package.

Credentials, region and endpoint come from where every AWS tool looks for them: `AWS_ACCESS_KEY_ID`,
`AWS_SECRET_ACCESS_KEY`, `AWS_DEFAULT_REGION`, `AWS_ENDPOINT_URL`, `AWS_PROFILE`, the instance's role, and so on, unless
an `Access` differs from that.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
import threading
from collections.abc import Iterator
from typing import Any

from jobs.errors import AccessError, ClusterError, InputError, argument
from jobs.formatting import one_line, without_credentials
from jobs.storage import haste
from jobs.storage.base import Access

ATTEMPTS = 6  # with boto3's back-off some 15 s: as long as a server needs to restart
_PATIENT_ATTEMPTS = 16  # some 2 minutes, once it has answered this process: then it is away, and its address is right
_CONNECT_SECONDS, _READ_SECONDS = 10, 60
_CREDENTIALS = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "InvalidClientTokenId")
_OTHER_REGION = ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException")
_client_lock = threading.Lock()
Settings = tuple[tuple[str, str], ...]
"""The AWS_ variables, sorted."""
_answered: set[tuple[Settings, Access]] = set()


@functools.lru_cache(maxsize=4)
def _session(process: int, settings: Settings) -> Any:  # noqa: ARG001 the cache's key
    import boto3

    return boto3.session.Session()


@functools.lru_cache(maxsize=8)
def _make_client(process: int, settings: Settings, access: Access, retries: str, *, patient: bool, hasty: bool) -> Any:
    """Return a boto3 client, cached by process and AWS_ variables: threads may share one, forks may not."""
    from botocore import UNSIGNED
    from botocore.config import Config

    # Read here: the variable yields to what `Config` says.
    attempts = 1 if hasty else int(os.environ.get("AWS_MAX_ATTEMPTS", _PATIENT_ATTEMPTS if patient else ATTEMPTS))
    config = Config(
        connect_timeout=haste.SECONDS if hasty else _CONNECT_SECONDS,
        read_timeout=haste.SECONDS if hasty else _READ_SECONDS,
        retries={"mode": retries, "total_max_attempts": attempts},
        max_pool_connections=32,  # more threads than that would open and close a connection for each request
        signature_version=UNSIGNED if access.anonymous else None,
        request_checksum_calculation="when_required",  # not every S3-compatible store supports the newer checksums
        response_checksum_validation="when_required",
    )
    client = _session(process, settings).client("s3", config=config, endpoint_url=access.endpoint or None)
    client.meta.events.register("before-call.s3.HeadBucket", _redirect_once)
    return client


def _redirect_once(context: dict[str, Any], **_: object) -> None:
    """Keep a request for a bucket's region from being redirected: botocore would ask for the region without end."""
    context.setdefault("s3_redirect", {})["redirected"] = True


def _settings() -> Settings:
    return tuple(sorted((key, value) for key, value in os.environ.items() if key.startswith("AWS_")))


def s3_client(access: Access, *, adaptive: bool = False) -> Any:
    """Return the client of this process.

    Args:
        access: how the store is reached.
        adaptive: whether all its requests slow down once the store answers SlowDown, those of all threads; for reading
            much. A run folder's few requests, such as its status, must not wait for those.
    """
    settings = _settings()
    with _client_lock:  # making a boto3 client is not thread-safe, using one is
        how = {"patient": (settings, access) in _answered, "hasty": haste.hasty()}
        return _make_client(os.getpid(), settings, access, "adaptive" if adaptive else "standard", **how)


def status_of(error: Any) -> int:
    """Return the HTTP status of a botocore ClientError."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def is_transient(error: Any) -> bool:
    """Return whether a botocore ClientError may pass."""
    code, status = error.response.get("Error", {}).get("Code", ""), status_of(error)
    # 501: the store does not have the operation, so a retry cannot help. RequestTimeout comes with status 400.
    return (status >= 500 and status != 501) or status == 429 or code == "RequestTimeout"


def _other_region(address: str, access: Access, error: Any) -> InputError:
    """Return the error for a redirect: S3's own, whose hints botocore has followed in vain, or that of a proxy."""
    code, status = error.response.get("Error", {}).get("Code", ""), status_of(error)
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = error.response.get("Error", {}).get("Region") or headers.get("x-amz-bucket-region")
    if code in _OTHER_REGION or region:  # HEAD's reply has no code
        where = f"the region {region}" if region else "another region"
        return InputError(f"{address}: the bucket is in {where}; set AWS_DEFAULT_REGION to its region")
    if to := re.match(r"(https?://)([^/@]*@)?([^/]+)", headers.get("location", "")):
        url = to[1] + to[3]
        return InputError(f"{address}: the store redirects to {url} ({status}); set {_endpoint(access)} to that")
    return InputError(
        f"{address}: the store redirects ({status}); is {_endpoint(access)} https, and the region right"
        " (AWS_DEFAULT_REGION)?"
    )


def _reply_error(address: str, access: Access, error: Any) -> Exception:
    """Return the package's error for a botocore ClientError, an error reply of the store."""
    code, status = error.response.get("Error", {}).get("Code", ""), status_of(error)
    if code == "NoSuchBucket" or (status == 404 and error.operation_name == "HeadBucket"):
        return InputError(f"{address}: there is no such bucket; check its name and {_endpoint(access)}")
    if status == 404:
        return FileNotFoundError(errno.ENOENT, "no such object", address)
    if code in _OTHER_REGION or 300 <= status < 400:
        return _other_region(address, access, error)
    # A reply to HEAD has no body, hence no code: S3's to one with an expired token is 400 alone.
    if status == 403 or code in _CREDENTIALS or (status == 400 and error.operation_name.startswith("Head")):
        return _denied(address, access, error)
    if is_transient(error):
        return ClusterError(f"{address}: the store failed ({_text(error)}); give the same command again later")
    return InputError(f"{address}: the store refused ({_text(error)})")


def _denied(address: str, access: Access, error: Any) -> AccessError:
    code = error.response.get("Error", {}).get("Code", "")
    if code in _CREDENTIALS or status_of(error) == 400:
        return AccessError(f"{address}: the credentials are not valid ({code}); check the AWS_ environment variables")
    if code == "RequestTimeTooSkewed":
        return AccessError(f"{address}: access denied ({code}): this machine's clock differs from the store's; set it")
    if code not in ("AccessDenied", "403", "Forbidden", ""):
        return AccessError(f"{address}: the store refused ({_text(error)})")
    remedy = "it is not public" if access.anonymous else "check the credentials' permissions"
    return AccessError(f"{address}: access denied ({error.operation_name}); {remedy}")


def _text(error: BaseException) -> str:
    """Return an error's text on one line, without the user and password that a URL in it may have."""
    return without_credentials(one_line(error))


def _endpoint(access: Access) -> str:
    return argument("endpoint_url") if access.endpoint else "AWS_ENDPOINT_URL"


@contextlib.contextmanager
def translate_errors(address: str, access: Access) -> Iterator[None]:
    """Translate botocore's errors into those of this package."""
    from botocore import exceptions as failed

    credentials = (failed.NoCredentialsError, failed.PartialCredentialsError)
    setting = (
        failed.ProfileNotFound,
        failed.NoRegionError,
        failed.InvalidRegionError,
        failed.ParamValidationError,
        ValueError,  # botocore's for an endpoint that is not a URL
    )
    if haste.given_up():
        raise ClusterError(f"{address}: the store does not answer")
    try:
        with haste.interruptible():
            yield
        _answered.add((_settings(), access))
    except haste.GivenUp as stopped:
        raise stopped.error from None
    except failed.ClientError as error:
        raise _reply_error(address, access, error) from error
    except credentials as error:
        raise AccessError(f"{address}: {_text(error)}; check the AWS_ environment variables") from error
    except setting as error:
        raise InputError(f"{address}: {_text(error)}; check the URL and the AWS_ environment variables") from error
    except failed.BotoCoreError as error:
        haste.unanswered()
        raise ClusterError(f"{address}: {_text(error)}; check {_endpoint(access)} and the network") from error
