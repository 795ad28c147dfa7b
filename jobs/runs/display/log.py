"""Log lines for programs, one JSON object per line on standard error; and how a process replaces itself.

`log` writes the events of this package. In a pod, and with `--progress json`, `collect_logs` brings the records of all
libraries, and Python's warnings, into the same lines.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

import psutil

from jobs.errors import Stopped

RESTARTED = "DASK_JOBS_RESTARTED"
"""Environment variable: when a process replaced itself by this one, in seconds of the epoch."""
ROLE = "DASK_JOBS_ROLE"
"""Environment variable: the role of a process that collects logs, for the processes that it starts."""


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON: `{"time": ..., "job": ..., "event": ..., ...}`.

    The time is UTC in ISO 8601, as `2026-11-20T14:05:29.123Z`.

    An event of this package is followed by its fields. Any other record has its level as `event`, then `logger`,
    `message` and, if it has an exception or a stack, `traceback`.

    Args:
        role: `job` in the lines of other records than events.
    """

    def __init__(self, role: str = "") -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; NaN and infinity become text, since JSON has no such numbers."""
        fields: dict[str, Any] | None = getattr(record, "fields", None)
        if fields is None:
            fields = {"job": self._role, "event": record.levelname.lower(), **self._library(record)}
        line = {"time": _moment(record.created), **fields}
        # default: an event with a value that JSON cannot encode must not be lost.
        return json.dumps({key: _finite(value) for key, value in line.items()}, default=str)

    def _library(self, record: logging.LogRecord) -> dict[str, str]:
        """Return the fields of a record that is not an event."""
        traces = (self.formatException(record.exc_info) if record.exc_info else "", record.stack_info or "")
        traceback = "\n".join(filter(None, traces))
        fields = {"logger": record.name, "message": record.getMessage().strip()}
        return {**fields, "traceback": traceback} if traceback else fields


class LineHandler(logging.Handler):
    """Writes each record as one line to standard error.

    Args:
        formatter: formats the line.
    """

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; called with the handler's lock held, so that lines of several threads do not mix."""
        try:
            # One write, end of line included: other processes may write to the same pipe. sys.stderr is looked up each
            # time, since it is replaced while a user's output is redirected.
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Stopped:  # from the handler of a signal that came while the line was written
            raise
        except Exception:  # noqa: BLE001  as in logging's own handlers: a log line must not end the program
            self.handleError(record)


# Not from logging.getLogger: a user's logging.config.dictConfig disables all loggers that it does not name, and the
# events, the result's among them, must get through.
_EVENTS = logging.Logger("dask-jobs")  # noqa: LOG001
_EVENTS.addHandler(LineHandler(JsonFormatter()))


def log(job: str, event: str, **fields: Any) -> None:
    """Write the event of a job or of a pod's process; NaN and infinity become text."""
    line = {"job": job, "event": event, **fields}
    record = _EVENTS.makeRecord(
        _EVENTS.name, logging.INFO, __file__, 0, event, args=(), exc_info=None, extra={"fields": line}
    )
    # Not _EVENTS.info, which does nothing after a user's logging.disable().
    _EVENTS.handle(record)


def collect_logs(role: str) -> None:
    """Log the records of all libraries and Python's warnings as the same JSON lines, from now on.

    Levels are unchanged. Handlers that write text to standard error or output are removed, such as those of Dask; user
    code's own files and printed output are not touched.

    Args:
        role: the process: driver, scheduler or worker.
    """
    os.environ[ROLE] = role
    root = logging.getLogger()
    loggers = [item for item in root.manager.loggerDict.values() if isinstance(item, logging.Logger)]
    for logger in (root, *loggers):
        for handler in [one for one in logger.handlers if _is_console(one)]:
            logger.removeHandler(handler)
            logger.propagate = True  # Dask turned it off where it added its handler
    # TensorFlow adds a handler of its own when it is imported, unless the root logger has one.
    root.addHandler(LineHandler(JsonFormatter(role)))
    logging.captureWarnings(capture=True)


@contextlib.contextmanager
def collected_logs(role: str) -> Iterator[None]:
    """Do as `collect_logs` until the end of the context."""
    root, before = logging.getLogger(), os.environ.get(ROLE)
    loggers = [item for item in root.manager.loggerDict.values() if isinstance(item, logging.Logger)]
    kept = [(logger, list(logger.handlers), logger.propagate) for logger in (root, *loggers)]
    collect_logs(role)
    try:
        yield
    finally:
        for logger, handlers, propagate in kept:
            logger.handlers, logger.propagate = handlers, propagate
        if before is None:
            os.environ.pop(ROLE, None)
            logging.captureWarnings(capture=False)


def log_start(job: str) -> None:
    """Write the event `started` with the seconds of this process until now, mostly for imports."""
    # `execv` keeps the process, hence its start: that of the first program.
    began = float(os.environ.pop(RESTARTED, "0")) or psutil.Process().create_time()
    log(job, "started", import_seconds=round(time.time() - began, 3))


def restart(module: str, arguments: Sequence[str]) -> NoReturn:
    """Replace this process by a fresh `python -m MODULE ARGUMENTS`, with the same environment and process id."""
    os.environ[RESTARTED] = str(time.time())
    # Not an exit: Kubernetes would start the container again, after a back-off that grows to minutes.
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606  no shell is wanted


def _is_console(handler: logging.Handler) -> bool:
    """Return whether a handler writes to this process's standard error or output."""
    consoles = (sys.stderr, sys.stdout, sys.__stderr__, sys.__stdout__)
    return isinstance(handler, LineHandler) or (
        isinstance(handler, logging.StreamHandler) and handler.stream in consoles
    )


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _finite(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
