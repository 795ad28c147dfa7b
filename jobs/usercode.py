"""The user's code: imported and called so that whatever it raises, `sys.exit()` too, is an error for people.

Its source is part of a run's identity: `sources` gives the digests of all modules that it is made of.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
import pickle
import signal
import site
import sys
import sysconfig
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from jobs.errors import ClusterError, InputError, JobError, Stopped, UserCodeError

THIS = __name__.partition(".")[0]
MODULES = 1000
"""At most so many of the user's modules are looked at."""


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
    except Exception:  # noqa: BLE001  the user's exceptions may be broken, too
        return ""


def sources(*roots: Any) -> dict[str, str]:
    """Return `source of FILE` -> digest for the modules that define `roots`, and all of the user's that these use.

    A module is followed to those whose names or objects it holds, as `import` leaves them there; the standard library,
    installed packages and this package end that. A module without a source (a notebook's cell) is left out.

    Args:
        roots: modules, or objects that know theirs, such as functions and classes.
    """
    first = [module for root in roots if (module := _module_of(root)) is not None]
    own = {_family(module.__name__) for module in first}
    found: dict[str, str] = {}
    for module in _reachable(first, own):
        text = _source(module)
        if text is not None:
            found[f"source of {_label(module)}"] = digest(text.encode())
    return dict(sorted(found.items()))


def digest(data: bytes) -> str:
    """Return 16 hex digits (BLAKE2b) of some bytes."""
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def _module_of(root: Any) -> ModuleType | None:
    if isinstance(root, ModuleType):
        return root
    try:
        return sys.modules.get(str(getattr(root, "__module__", None)))
    except Exception:  # noqa: BLE001  a module may hold objects whose attributes raise, such as proxies
        return None


def _reachable(first: list[ModuleType], own: set[str]) -> Iterator[ModuleType]:
    """Yield the modules, and those of the user's that they hold or use something of, each once."""
    todo, seen = list(first), set[str]()
    while todo and len(seen) < MODULES:
        module = todo.pop()
        if module.__name__ in seen:
            continue
        seen.add(module.__name__)
        yield module
        held = [_module_of(value) for value in list(vars(module).values())]
        todo += [other for other in held if other is not None and _is_users(other, own)]


def _family(name: str) -> str:
    """Return the package that a module belongs to; one of this package is alone with those that begin with its name."""
    package = name.partition(".")[0]
    return name if package == THIS else package


def _is_users(module: ModuleType, own: set[str]) -> bool:
    if _family(module.__name__) in own or (
        module.__name__.startswith(f"{THIS}.") and module.__name__.startswith(tuple(own))
    ):
        return True
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or module.__name__ == "__main__":
        return False
    path = Path(file).resolve()
    return not any(path.is_relative_to(place) for place in _installed())


@functools.cache
def _installed() -> tuple[Path, ...]:
    """Return where modules lie that are not the user's: Python's own, installed packages, and this package."""
    paths = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    paths += [*site.getsitepackages(), site.getusersitepackages(), str(Path(__file__).parent)]
    debian = Path(sys.base_prefix, "lib", "python3", "dist-packages")
    return (*(Path(path).resolve() for path in paths), debian)


def _source(module: ModuleType) -> str | None:
    try:
        return inspect.getsource(module)
    except (OSError, TypeError):
        return None


def _label(module: ModuleType) -> str:
    """Return a module's file as people know it: my_model.py, package/part.py, package/__init__.py."""
    name = Path(getattr(module, "__file__", None) or module.__name__).name
    package = module.__name__ if hasattr(module, "__path__") else module.__name__.rpartition(".")[0]
    return "/".join([*package.split("."), name]) if package else name
