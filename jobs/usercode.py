"""The user's code: imported and called so that whatever it raises, `sys.exit()` too, is an error for people."""

from __future__ import annotations

import contextlib
import importlib
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from jobs.errors import ClusterError, InputError, JobError, Stopped, UserCodeError
from jobs.formatting import error_first_line, error_line


def load(argument: str, spec: str, example: str) -> Any:
    """Return what `module:name` names.

    Args:
        argument: the option that it came from, for messages, such as `--problem`.
        spec: `module:name`.
        example: what it may look like.

    Raises:
        InputError: it is not of that form, or cannot be imported.
    """
    module, _, name = spec.partition(":")
    if not (module and name):
        raise InputError(f"{argument} is {spec!r}, but must be 'module:function', such as {example!r}")
    rest = "; the module must be on the Python path of the driver and of every worker"
    with refused(f"{argument} {spec}: cannot import it", rest):
        return getattr(importlib.import_module(module), name)


def unpickle(what: str, data: bytes) -> Any:
    """Return an object of the user's from its bytes.

    Raises:
        InputError: it cannot be unpickled in this process, since a module of it cannot be imported here, most likely.
    """
    rest = ": put its module on the Python path of every worker, or give 'module:function'"
    with refused(f"{what} cannot be unpickled here", rest):
        return pickle.loads(data)  # noqa: S301  from the driver, over Dask's connections


@contextlib.contextmanager
def refused(what: str, rest: str) -> Iterator[None]:
    """Make whatever the user's object raises where it is only looked at an InputError: `WHAT (TypeError: ...)REST`.

    Raises:
        InputError: it raised anything, `SystemExit` and its like included, but a fault of cluster or storage.
    """
    try:
        yield
    except BaseException as error:
        if isinstance(error, ClusterError) or is_interrupt(error):
            raise
        raise InputError(f"{what} ({error_line(error)}){rest}", traceback.format_exc()) from error


def only_exceptions(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call what calls the user's code, where SystemExit and its like would end an event loop, or the job as done.

    Raises:
        UserCodeError: what it raised was no `Exception`; those pass.
    """
    try:
        return function(*arguments)
    except BaseException as error:
        if isinstance(error, Exception) or is_interrupt(error):
            raise
        raise UserCodeError(describe(error), traceback.format_exc()) from error


def call(what: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call the user's code; what it raises becomes a UserCodeError that says where, with the traceback as details.

    Raises:
        UserCodeError: the function raised anything but a JobError, `SystemExit` and its like included.
    """
    try:
        return function(*arguments)
    except BaseException as error:
        if isinstance(error, JobError) or is_interrupt(error):
            raise
        raise UserCodeError(f"{what}: {describe(error)}", traceback.format_exc()) from error


def is_interrupt(error: BaseException) -> bool:
    """Return whether an error comes of a signal, not of the user's code: Stopped, or Python's own of Ctrl-C."""
    return isinstance(error, Stopped) or (
        isinstance(error, KeyboardInterrupt)
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )


def describe(error: BaseException) -> str:
    """Return one line for an exception of the user's code."""
    return f"the user's code raised {error_first_line(error)}"
