"""Haste: after a signal the requests to a store have one attempt and a short timeout; an unanswered one is given up.

Kubernetes ends a pod 30 s after SIGTERM, while a store that accepts connections and answers none takes minutes of
attempts and timeouts. One state for the process, as its signals are.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from jobs.errors import JobError

SECONDS = 3.0
"""Timeout of an answer after a signal."""
LOG_SECONDS = 8.0
"""Maximum wait for a log to be stored after a signal."""
_hasty, _away = threading.Event(), threading.Event()
_requests = 0
"""Requests of the main thread that are not answered: 0 or, where one makes others, more."""


class GivenUp(BaseException):
    """A request that a signal has interrupted; no Exception, which botocore would take for a lost connection.

    Attributes:
        error: what the caller of the storage gets in its place.
    """

    def __init__(self, error: JobError) -> None:
        super().__init__(str(error))
        self.error = error


def begin(error: JobError) -> None:
    """Be in haste from now on; called by a signal's handler, hence in the main thread.

    Args:
        error: what the storage is to raise in the place of the main thread's answer, if that waits for one.

    Raises:
        GivenUp: it does.
    """
    _hasty.set()
    if _requests:
        raise GivenUp(error)


def end() -> None:
    """Be patient again."""
    global _requests  # noqa: PLW0603
    _requests = 0
    _hasty.clear()
    _away.clear()


def hasty() -> bool:
    """Return whether a signal has come."""
    return _hasty.is_set()


def given_up() -> bool:
    """Return whether the store has left a request unanswered since the signal: others would only wait as long."""
    return _away.is_set()


def unanswered() -> None:
    """Note that a request was not answered."""
    if _hasty.is_set():
        _away.set()


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Enclose a request that a signal may interrupt: it has reached the store as a whole, or not at all."""
    global _requests  # noqa: PLW0603  one process has one main thread
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _requests += 1
    try:
        yield
    finally:
        _requests -= 1
