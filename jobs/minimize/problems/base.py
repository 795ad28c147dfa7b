"""The interface of a problem, and how the driver and each worker get the same one.

A problem is any object with the methods of `Problem`; it need not import this package. It is sent either pickled (a
small object that loads its data on the worker) or as "module:factory", which each process imports and calls.
"""

from __future__ import annotations

import functools
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from jobs.errors import InputError, JobError, UserCodeError, argument
from jobs.formatting import given
from jobs.usercode import UserCode, call

Vector = NDArray[np.float64]
DEFAULT_BLOCK_ROWS = 1024
PICKLE_LIMIT = 10_000_000
MAX_ROWS = 2**62
MAX_LISTED = 1000
"""Maximum size of a theta that is listed with a result, by its entries' names if there are any."""


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
        files() -> paths or s3:// URLs of the files that `load` reads: a run is refused when one has changed.
        names() -> n texts: the names of theta's entries, where the result is shown.
        correct(theta, data) -> int: how many rows of `data` are predicted right; the result has their fraction.
        predict(theta, x) -> array: what theta predicts of rows x (rows, ...) float64, which are times their data set's
            scale: (rows, k) numbers of k classes, (rows,) values, or (rows,) integers, which are classes.
        dispersion(loss, rows) -> float: what the inverse Hessian is multiplied by for the covariance of theta; 1 if the
            loss is a negative log-likelihood. With `hess`, the result has standard errors.
        save(theta, folder) -> None: writes the problem's own files of the result into a local folder; they come to the
            run folder under their names.
        block_rows: rows of a block, a number that depends on the data alone; 1,024 if absent.
    """

    @property
    def rows(self) -> int:
        """Number of rows of the data."""

    def x0(self) -> Vector:
        """Return the start, (n,) float64."""

    def load(self, start: int, stop: int) -> Any:
        """Return rows start .. stop - 1 in whatever form the other methods take. Called on workers only.

        By one thread at a time, once per block of the worker, mostly in ascending order.
        """


def user_code(problem: Any) -> UserCode:
    """Return a user's problem as `UserCode`: a 'module:function' string is imported, an object pickled.

    Raises:
        InputError: the object holds so much data that it should load them in `load` instead.
    """
    code = UserCode("problem", problem, "my_model:problem")
    if code.spec is not None:
        return code
    try:
        size = len(pickle.dumps(problem, protocol=5))
    except Exception:  # noqa: BLE001  what pickle cannot take (lambdas, local classes), cloudpickle may
        size = 0
    if size > PICKLE_LIMIT:
        raise InputError(
            f"problem is {size / 1e6:,.0f} MB when pickled, but must be under {PICKLE_LIMIT / 1e6:.0f} MB: "
            "let its load(start, stop) read the rows on the worker, or keep them in jobs.from_arrays"
        )
    return code


def instantiate(code: UserCode) -> Any:
    """Return the problem in this process: the object itself, or what the named function returns.

    Raises:
        InputError: it cannot be imported or unpickled here.
        UserCodeError: the function raised.
    """
    loaded = code.load()
    return loaded if code.spec is None else call(f"{argument('problem')} {code.spec}", loaded)


@dataclass(frozen=True)
class CheckedProblem:
    """A problem on the driver, checked: the code that is sent, the object itself, and its start (n,)."""

    code: UserCode
    problem: Any
    x0: Vector


def load_problem(problem: Any) -> CheckedProblem:
    """Load a user's problem, an object or 'module:factory', on the driver, and check its contract.

    Raises:
        InputError: it cannot be imported, carries too much data, or breaks the contract.
        UserCodeError: its code raised.
    """
    code = user_code(problem)
    loaded = instantiate(code)
    x0 = _check(loaded)
    if x0.size <= MAX_LISTED:
        names(loaded, x0.size)
    return CheckedProblem(code, loaded, x0)


def _check(problem: Any) -> Vector:
    """Return the problem's start after checking its contract, before any work begins.

    Raises:
        InputError: a required attribute is missing or of the wrong kind, or x0 is not a finite vector.
        UserCodeError: one of its properties, or x0(), raised.
    """
    name = type(problem).__name__
    for attribute, kind in {"rows": "an integer", "x0": "a method", "load": "a method"}.items():
        if not has(problem, attribute):
            raise InputError(f"problem {name} has no {attribute!r}; a problem needs {attribute} ({kind})")
    if not (has(problem, "value_and_grad") or has(problem, "value")):
        raise InputError(f"problem {name} has neither value_and_grad(theta, data) nor value(theta, data)")
    for attribute in ("rows", "block_rows"):
        value = attribute_of(problem, attribute, 1)
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 1 <= value < MAX_ROWS:
            raise InputError(f"problem.{attribute} is {given(value)}, but must be a positive integer below 2**62")
    return check_theta("problem.x0()", call("problem.x0()", problem.x0), None)


def converted(value: Any, what: str, rule: str, kind: type[JobError] = UserCodeError) -> Vector:
    """Return a value of the user's code as a new array of float64.

    Raises:
        JobError: of `kind` with the text `rule`: it is not numbers; a UserCodeError that names `what`: it raised.
    """
    try:
        return call(what, functools.partial(np.array, value, dtype=np.float64))  # type: ignore[no-any-return]
    except UserCodeError as error:
        if isinstance(error.__cause__, TypeError | ValueError):
            raise kind(rule) from error.__cause__
        raise


def has(problem: Any, attribute: str) -> bool:
    """Return whether a problem has an attribute, which may be a property of the user's.

    Raises:
        UserCodeError: the property raised.
    """
    return bool(call(f"problem.{attribute}", hasattr, problem, attribute))


def attribute_of(problem: Any, attribute: str, default: Any) -> Any:
    """Return a problem's attribute, which may be a property of the user's, or `default`.

    Raises:
        UserCodeError: the property raised.
    """
    return call(f"problem.{attribute}", getattr, problem, attribute, default)


def check_theta(name: str, theta: Any, size: int | None) -> Vector:
    """Return `theta` as a finite flat float64 vector.

    Raises:
        InputError: it is not a vector, of another size, or not finite.
    """
    vector = converted(theta, name, f"{name} is {type(theta).__name__}, but must be a vector of numbers", InputError)
    if vector.ndim != 1 or vector.size == 0:
        raise InputError(f"{name} has shape {vector.shape}, but must be a vector (n,) with n >= 1")
    if size is not None and vector.size != size:
        raise InputError(f"{name} has {vector.size:,} entries, but the problem has {size:,} parameters")
    if not np.isfinite(vector).all():
        where = int(np.flatnonzero(~np.isfinite(vector))[0])
        raise InputError(f"{name} is not finite: entry {where} is {vector[where]}")
    return vector


def rows(problem: Any) -> int:
    """Return the number of rows."""
    return int(attribute_of(problem, "rows", 0))


def block_rows(problem: Any) -> int:
    """Return the rows of a block."""
    return int(attribute_of(problem, "block_rows", DEFAULT_BLOCK_ROWS))


def penalized(problem: Any, n: int) -> Vector:
    """Return 1.0 for the entries that regularizers act on, 0.0 for others, (n,).

    Raises:
        InputError: the problem's `penalized()` has the wrong shape.
    """
    if not has(problem, "penalized"):
        return np.ones(n)
    given = call("problem.penalized()", lambda: np.asarray(problem.penalized()))
    if given.dtype.kind not in "biuf":
        raise InputError("problem.penalized() must return True or False for each parameter")
    mask = given.astype(bool)
    if mask.shape != (n,):
        raise InputError(f"problem.penalized() has shape {mask.shape}, but must have ({n},)")
    return np.asarray(mask, dtype=np.float64)


def names(problem: Any, n: int) -> list[str] | None:
    """Return the names of theta's n entries; None if the problem has no names.

    Raises:
        UserCodeError: it raised.
        InputError: they are not n texts.
    """
    if not has(problem, "names"):
        return None
    given: list[str] = call("problem.names()", lambda: list(problem.names()))
    if len(given) != n or not all(isinstance(name, str) for name in given):
        raise InputError(f"problem.names() returned {len(given):,} names, but must return {n:,} texts, one a parameter")
    texts = [str.__str__(name) for name in given]
    for index, name in enumerate(texts):
        if not (name and name.isprintable()):
            raise InputError(f"problem.names(): entry {index} is {name!r}, but must be a text of printable characters")
    return texts


def files(problem: Any) -> Sequence[str]:
    """Return the paths or URLs of the files that the problem's rows are read from, if it names any.

    Raises:
        UserCodeError: it raised.
        InputError: they are not texts.
    """
    given: list[str] = call("problem.files()", lambda: list(problem.files())) if has(problem, "files") else []
    if not all(isinstance(file, str) for file in given):
        raise InputError("problem.files() returned something else than texts; it must return paths or s3:// URLs")
    return given
