"""The user's code: imported and called so that whatever it raises, `sys.exit()` too, is an error for people."""

from __future__ import annotations

import importlib
import pickle
import signal
import threading
import traceback
from collections.abc import Callable
from typing import Any

from jobs.errors import ClusterError, InputError, JobError, Stopped, UserCodeError


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
    try:
        return getattr(importlib.import_module(module), name)
    except BaseException as error:
        if isinstance(error, ClusterError) or is_interrupt(error):
            raise
        raise InputError(
            f"{argument} {spec}: cannot import it ({line(error)}); the module must be on the Python path of the "
            "driver and of every worker",
            traceback.format_exc(),
        ) from error


def unpickle(what: str, data: bytes) -> Any:
    """Return an object of the user's from its bytes.

    Raises:
        InputError: it cannot be unpickled in this process, since a module of it cannot be imported here, most likely.
    """
    try:
        return pickle.loads(data)  # noqa: S301  from the driver, over Dask's connections
    except BaseException as error:
        if isinstance(error, ClusterError) or is_interrupt(error):
            raise
        raise InputError(
            f"{what} cannot be unpickled here ({line(error)}): put its module on the Python path of every worker, or "
            "give 'module:function'",
            traceback.format_exc(),
        ) from error


def only_exceptions(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a thread of an event loop, which SystemExit and its like would end.

    Raises:
        UserCodeError: what it raised was no `Exception`; those pass.
    """
    try:
        return function(*arguments)
    except Exception:
        raise
    except BaseException as error:
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
    text = _text(error).strip().splitlines()
    return f"the user's code raised {type(error).__name__}" + (f": {text[0]}" if text else "")


def line(error: BaseException) -> str:
    """Return an exception's type and text as one line."""
    return " ".join(f"{type(error).__name__}: {_text(error)}".split())


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # noqa: BLE001  the user's exceptions may be broken, too
        return ""
