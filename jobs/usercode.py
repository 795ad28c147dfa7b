"""The user's code: imported and called so that any exception of it, `SystemExit` too, becomes a JobError."""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import cloudpickle

from jobs.code_files import CodeFile, code_file, named_file, why_missing
from jobs.errors import ClusterError, InputError, JobError, Stopped, UserCodeError, argument, as_ours, nearest
from jobs.formatting import error_first_line, error_line

MISSING = object()


class UserCode:
    """The user's code, an object, `module:name` or `file.py:name`, the same on the driver and each worker.

    A name is imported in each process; a file is imported as the module that it is, and sent to workers that do not
    have it. An object is sent as bytes, which are unpickled at the first `load`: Dask unpickles messages on the
    worker's event loop, where none of the user's code may run.

    Args:
        noun: the name of the argument that it came from, such as `problem`, for messages.
        given: an object, `module:name`, or `path/to/file.py:name`.
        example: an example of `module:name`, for messages.

    Attributes:
        noun: as given.
        spec: `module:name`, also of a file; None of an object.

    Raises:
        InputError: there is no such file.
    """

    def __init__(self, noun: str, given: Any, example: str) -> None:
        self.spec = given if isinstance(given, str) else None
        self.noun, self._example = noun, example
        self._file: CodeFile | None = None
        if self.spec is not None and (named := named_file(self.spec)):
            self._file = code_file(argument(noun), named[0])
            self.spec = f"{self._file.module}:{named[1]}"
        self._object = None if isinstance(given, str) else given
        self._data = b""

    @property
    def name(self) -> str:
        """Its name: `module:name`, also that of an object or its class.

        Raises:
            InputError: the object has no name.
        """
        if self.spec is not None:
            return self.spec
        with refused(f"{self.noun} does not say what it is called", ": give a plain function"):
            name = getattr(self._object, "__qualname__", type(self._object).__qualname__)
            return f"{getattr(self._object, '__module__', None) or '?'}:{name}"

    def load(self) -> Any:
        """Return the object; imports or unpickles it at the first call in a process.

        Raises:
            InputError: it cannot be imported or unpickled here.
        """
        if self.spec is not None:
            return _load(argument(self.noun), self.spec, self._example, self._file)
        if self._object is None and self._data:
            self._object = unpickle(f"the {self.noun}", self._data)
        return self._object

    def freeze(self) -> int:
        """Pickle an object now, so that later changes of it are not sent; return the number of bytes.

        Raises:
            InputError: it cannot be pickled, or has no name.
        """
        self._data = self._pickled()
        return len(self._data)

    def _pickled(self) -> bytes:
        rest = ": make what it uses inside it, or give 'module:function'"
        with refused(f"{self.noun} {self.name} cannot be pickled", rest):
            return cloudpickle.dumps(self._object)  # type: ignore[no-any-return]  # cloudpickle is untyped

    def roots(self) -> tuple[Any, ...]:
        """Return the roots of a name's modules, its module and the named object; none of an object."""
        return () if self.spec is None else (sys.modules.get(self.spec.partition(":")[0]), self.load())

    def __getstate__(self) -> dict[str, Any]:
        data = b"" if self.spec is not None else self._data or self._pickled()
        return {**self.__dict__, "_object": None, "_data": data}


def load(given_as: str, spec: str, example: str) -> Any:
    """Return the object that `module:name` or `path/to/file.py:name` names.

    Args:
        given_as: the argument that it came from, for messages, such as `create_model`.
        spec: the name.
        example: an example of one, for messages.

    Raises:
        InputError: it is not of that form, or cannot be imported, or its module has no such name.
    """
    if named := named_file(spec):
        file = code_file(given_as, named[0])
        return _load(given_as, f"{file.module}:{named[1]}", example, file)
    return _load(given_as, spec, example, None)


def _load(given_as: str, spec: str, example: str, file: CodeFile | None) -> Any:
    module, _, name = spec.partition(":")
    if not (module.strip(".") and name) or "/" in module or module.startswith("."):
        raise InputError(
            f"{given_as} is {spec!r}, but must be 'module:function' or 'file.py:function', such as {example!r}"
        )
    with refused(f"{given_as} {spec}: cannot import it", lambda error: why_missing(error, module, file)):
        found = importlib.import_module(module) if file is None else file.load()
    with refused(f"{given_as} {spec}: cannot be read from its module", ""):
        if (value := getattr(found, name, MISSING)) is not MISSING:
            return value
        names = [other for other in vars(found) if not other.startswith("_")]
    raise InputError(f"{given_as} {spec}: module {module!r} has no {name!r}{nearest(name, names)}")


def unpickle(what: str, data: bytes) -> Any:
    """Return an object of the user's from its bytes.

    Raises:
        InputError: it cannot be unpickled in this process, usually since one of its modules cannot be imported here.
    """
    rest = ": put its module on the Python path of every worker, or give 'module:function'"
    with refused(f"{what} cannot be unpickled here", rest):
        return pickle.loads(data)  # noqa: S301  from the driver, over Dask's connections


@contextlib.contextmanager
def refused(what: str, rest: str | Callable[[BaseException], str]) -> Iterator[None]:
    """Translate any exception of loading or inspecting the user's object to an InputError: `WHAT (TypeError: ...)REST`.

    Args:
        what: which cannot be loaded.
        rest: the remedy, or a function of the error that returns it.

    Raises:
        InputError: it raised any exception, also `SystemExit`, except for a ClusterError.
    """
    try:
        with no_forked_child():
            yield
    except BaseException as error:
        if isinstance(error, ClusterError) or is_interrupt(error):
            raise_ours(error)
        remedy = rest if isinstance(rest, str) else rest(error)
        raise InputError(f"{what} ({error_line(error)}){remedy}", traceback.format_exc()) from error


def only_exceptions(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function that runs the user's code, whose SystemExit would end an event loop, or the job as successful.

    Raises:
        UserCodeError: it raised a BaseException that is not an `Exception`; `Exception`s pass unchanged.
    """
    try:
        with no_forked_child():
            return function(*arguments)
    except BaseException as error:
        if isinstance(error, Exception) or is_interrupt(error):
            raise_ours(error)
        raise UserCodeError(describe(error), traceback.format_exc()) from error


def call(what: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call the user's code; its errors become UserCodeErrors that name the place, with the traceback as details.

    Raises:
        UserCodeError: the function raised any exception but a JobError, also `SystemExit`.
    """
    try:
        with no_forked_child():
            return function(*arguments)
    except BaseException as error:
        if isinstance(error, JobError) or is_interrupt(error):
            raise_ours(error)
        raise UserCodeError(f"{what}: {describe(error)}", traceback.format_exc()) from error


def raise_ours(error: BaseException) -> NoReturn:
    """Raise an error as it is, but a JobError as one of our own classes: its exit code is the driver's."""
    if isinstance(error, JobError) and (ours := as_ours(error)) is not error:
        raise ours from error
    raise error


@contextlib.contextmanager
def no_forked_child() -> Iterator[None]:
    """End a process that the user's code within has forked, where that code ends: else it would be a second worker."""
    before = os.getpid()
    try:
        yield
    finally:
        if os.getpid() != before:
            os._exit(0)  # at once: files, connections and exit handlers are the parent's


def is_interrupt(error: BaseException) -> bool:
    """Return whether an error was raised by a signal, not by the user's code: Stopped, or Python's own of Ctrl-C."""
    # Python's handler runs in the main thread alone: KeyboardInterrupt in any other is the user's code's.
    return isinstance(error, Stopped) or (
        isinstance(error, KeyboardInterrupt)
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )


def describe(error: BaseException) -> str:
    """Return one line for an exception of the user's code."""
    return f"the user's code raised {error_first_line(error)}"
