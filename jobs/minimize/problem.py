"""What a problem is, and how the driver and each worker get the same one.

A problem is any object with the methods of `Problem`; it need not know this package. It travels either pickled (a
small object that loads its data on the worker) or as `Imported("module:factory")`, called on each side.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import pickle
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from jobs.errors import InputError, UserCodeError

Vector = NDArray[np.float64]
DEFAULT_BLOCK_ROWS = 1024
PICKLE_LIMIT = 10_000_000


class Problem(Protocol):
    """A loss that is a sum over rows. Only what is listed here is required.

    Optional methods, found by their names:
        value_and_grad(theta, data) -> (float, (n,) float64): loss and gradient, summed over the rows of `data`.
        value(theta, data) -> float: for a problem without a gradient; one of the two must be there.
        hessp(theta, v, data) -> (n,): the Hessian's product with `v`, summed over the rows.
        hess(theta, data) -> (n, n): the Hessian, summed over the rows.
        penalized() -> (n,) bool: the entries that L1 and L2 act on; all of them if absent.
        bounds, constraints: as SciPy takes them, where the options give none.
        fingerprint() -> str: the identity of the data and the model, for resuming a run.
        block_rows: rows of a block, a number that depends on the data alone; 1,024 if absent.
    """

    @property
    def rows(self) -> int:
        """Number of rows of the data."""

    def x0(self) -> Vector:
        """Return the start, (n,) float64."""

    def load(self, start: int, stop: int) -> Any:
        """Return rows start .. stop - 1 in whatever form the other methods take. Called on workers only.

        One thread at a time, once for each block that the worker owns, mostly in ascending order.
        """


@dataclass(frozen=True)
class Imported:
    """`module:factory`, a function without arguments that returns the problem; never pickled, imported on each side."""

    spec: str

    def __call__(self) -> Any:
        """Import and call the factory.

        Raises:
            InputError: the module or the name in it cannot be found or imported.
            UserCodeError: the factory raised.
        """
        module_name, _, name = self.spec.partition(":")
        if not (module_name and name):
            raise InputError(f"--problem is {self.spec!r}, but must be 'module:function', such as 'my_model:problem'")
        try:
            factory = getattr(importlib.import_module(module_name), name)
        except Exception as error:
            raise InputError(
                f"--problem {self.spec}: cannot import it ({type(error).__name__}: {error}); the module must be on the "
                "Python path of the driver and of every worker",
                traceback.format_exc(),
            ) from error
        try:
            return factory()
        except Exception as error:
            if isinstance(error, InputError):
                raise
            raise UserCodeError(f"--problem {self.spec}: {describe(error)}", traceback.format_exc()) from error


@dataclass(frozen=True)
class Pickled:
    """A problem object that travels as it is."""

    problem: Any

    def __call__(self) -> Any:
        """Return the problem."""
        return self.problem


Source = Imported | Pickled
"""Makes the problem, on the driver and on every worker."""


def source_of(problem: Any) -> Source:
    """Return how a problem given by a user travels: a 'module:factory' string is imported, an object pickled.

    Raises:
        InputError: the object holds so much data that it should load them in `load` instead.
    """
    if isinstance(problem, str):
        return Imported(problem)
    try:
        size = len(pickle.dumps(problem, protocol=5))
    except Exception:  # noqa: BLE001  what pickle cannot take (lambdas, local classes), cloudpickle of Dask may
        size = 0
    if size > PICKLE_LIMIT:
        raise InputError(
            f"problem is {size / 1e6:,.0f} MB when pickled, but must be under {PICKLE_LIMIT / 1e6:.0f} MB: "
            "let its load(start, stop) read the rows on the worker"
        )
    return Pickled(problem)


@dataclass(frozen=True)
class Made:
    """A problem on the driver, checked: what makes it on the workers, the object itself, and its start (n,)."""

    source: Source
    problem: Any
    x0: Vector


def make(problem: Any) -> Made:
    """Make a user's problem, an object or 'module:factory', on the driver, and check its contract.

    Raises:
        InputError: it cannot be imported, carries too much data, or breaks the contract.
        UserCodeError: its code raised.
    """
    source = source_of(problem)
    made = source()
    return Made(source, made, _check(made))


def _check(problem: Any) -> Vector:
    """Return the problem's start after checking its contract, before any work begins.

    Raises:
        InputError: a required attribute is missing or of the wrong kind, or x0 is not a finite vector.
    """
    name = type(problem).__name__
    for attribute, kind in {"rows": "an integer", "x0": "a method", "load": "a method"}.items():
        if not hasattr(problem, attribute):
            raise InputError(f"problem {name} has no {attribute!r}; a problem needs {attribute} ({kind})")
    if not (hasattr(problem, "value_and_grad") or hasattr(problem, "value")):
        raise InputError(f"problem {name} has neither value_and_grad(theta, data) nor value(theta, data)")
    for attribute in ("rows", "block_rows"):
        value = getattr(problem, attribute, 1)
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise InputError(f"problem.{attribute} is {value!r}, but must be a positive integer")
    return check_theta("problem.x0()", call("problem.x0()", problem.x0), None)


def check_theta(name: str, theta: Any, size: int | None) -> Vector:
    """Return `theta` as a finite flat float64 vector.

    Raises:
        InputError: it is no vector, of another size, or not finite.
    """
    try:
        vector = np.array(theta, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is {type(theta).__name__}, but must be a vector of numbers") from error
    if vector.ndim != 1 or vector.size == 0:
        raise InputError(f"{name} has shape {vector.shape}, but must be a vector (n,) with n >= 1")
    if size is not None and vector.size != size:
        raise InputError(f"{name} has {vector.size:,} entries, but the problem has {size:,} parameters")
    if not np.isfinite(vector).all():
        where = int(np.flatnonzero(~np.isfinite(vector))[0])
        raise InputError(f"{name} is not finite: entry {where} is {vector[where]}")
    return vector


def call(what: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call the user's code; what it raises becomes a UserCodeError that says where, with the traceback as details.

    Raises:
        UserCodeError: the function raised anything but a JobError.
    """
    try:
        return function(*arguments)
    except InputError:
        raise
    except UserCodeError:
        raise
    except Exception as error:
        raise UserCodeError(f"{what}: {describe(error)}", traceback.format_exc()) from error


def describe(error: BaseException) -> str:
    """Return one line for an exception of the user's code."""
    text = str(error).strip().splitlines()
    return f"the user's code raised {type(error).__name__}" + (f": {text[0]}" if text else "")


def fingerprint(made: Made) -> dict[str, str]:
    """Return the identity of a problem, name -> value, so that a journal is never replayed into another one.

    It is the problem's own `fingerprint()` where there is one, else its factory or class with the source of the module
    it came from; always with the number of rows and the problem's x0.
    """
    problem, spec = made.problem, getattr(made.source, "spec", type(made.problem).__qualname__)
    parts = {"rows": identity(problem), "x0 of the problem": _digest(made.x0.tobytes())}
    if hasattr(problem, "fingerprint"):
        return parts
    module = inspect.getmodule(type(problem))
    try:
        text = inspect.getsource(module) if module else ""
    except (OSError, TypeError):
        text = ""
    file = Path(getattr(module, "__file__", None) or "unknown").name
    return parts | {"problem": spec, f"source of {file}": _digest(text.encode())}


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def identity(problem: Any) -> str:
    """Return what must be the same on the driver and on every worker: rows, block rows, and the fingerprint if any."""
    own = call("problem.fingerprint()", problem.fingerprint) if hasattr(problem, "fingerprint") else ""
    return f"{problem.rows} rows in blocks of {block_rows(problem)} {own}".strip()


def block_rows(problem: Any) -> int:
    """Return the rows of a block."""
    return int(getattr(problem, "block_rows", DEFAULT_BLOCK_ROWS))
