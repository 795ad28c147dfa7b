"""A request to every block in one evaluation, and its answer as one flat float64 vector. Independent of Dask."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from jobs.errors import UserCodeError, argument
from jobs.minimize.problems.base import converted
from jobs.usercode import call

Vector = NDArray[np.float64]
Kind = Literal["value", "value_and_grad", "hessp", "hess", "correct", "held_out"]
OnNan = Literal["fail", "inf"]
Sketch = tuple[float, float, float]
HELD_OUT = 4
"""Numbers of the answer for rows that are held out."""


@dataclass(frozen=True)
class Request:
    """One evaluation.

    Attributes:
        kind: what is summed over the blocks.
        thetas: (k, n) float64; k > 1 for the points of a finite difference, evaluated in one round trip.
        direction: (n,) float64, for `hessp` only.
    """

    kind: Kind
    thetas: Vector
    direction: Vector | None = None

    @property
    def size(self) -> int:
        """Length of the answer: k, k (1 + n), n, n * n numbers, 1 or 4."""
        count, n = self.thetas.shape
        sizes = {
            "value": count,
            "value_and_grad": count * (1 + n),
            "hessp": n,
            "hess": n * n,
            "correct": 1,
            "held_out": HELD_OUT,
        }
        return int(sizes[self.kind])

    @property
    def nbytes(self) -> int:
        """Bytes that are sent to each worker."""
        return self.thetas.nbytes + (0 if self.direction is None else self.direction.nbytes)

    def key(self) -> bytes:
        """Return 16 bytes that identify the request in the journal."""
        digest = hashlib.blake2b(self.kind.encode(), digest_size=16)
        digest.update(self.thetas.tobytes())
        if self.direction is not None:
            digest.update(self.direction.tobytes())
        return digest.digest()

    def sketch(self) -> Sketch:
        """Return the sum of all numbers, that of every second one, and that of their absolute values.

        By these, two requests that differ in last bits alone are known as the same; see `Journal`.
        """
        numbers = self.thetas.ravel() if self.direction is None else np.concatenate([self.thetas[0], self.direction])
        return float(numbers.sum()), float(numbers[::2].sum()), float(np.abs(numbers).sum())


def answer(problem: Any, request: Request, data: Any, where: str, on_nan: OnNan) -> Vector:
    """Return one block's answer to a request, (request.size,) float64: for each theta the loss, then the gradient.

    Raises:
        UserCodeError: the problem raised, or returned a wrong shape or (with `on_nan` 'fail') NaN; names the block.
    """
    theta = request.thetas[0]
    if request.kind == "hessp":
        product = call(f"hessp on {where}", problem.hessp, theta, request.direction, data)
        return _checked("hessp", product, theta.shape, where)
    if request.kind == "hess":
        matrix = call(f"hess on {where}", problem.hess, theta, data)
        return _checked("hess", matrix, (theta.size, theta.size), where)
    if request.kind == "held_out":
        return _checked("held_out_score", problem.held_out_score(theta, data), (HELD_OUT,), where)
    if request.kind == "correct":
        return np.array([_number(call(f"correct on {where}", problem.correct, theta, data), where, "the count")])
    pieces = [_value(problem, request.kind, theta, data, where=where, on_nan=on_nan) for theta in request.thetas]
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def _value(problem: Any, kind: Kind, theta: Vector, data: Any, *, where: str, on_nan: OnNan) -> Vector:
    """Return the loss, or loss and gradient as one vector (1 + n,)."""
    packed = np.empty(1 + theta.size if kind == "value_and_grad" else 1)
    if kind == "value_and_grad":
        result = call(f"value_and_grad on {where}", lambda: _pair(problem.value_and_grad(theta, data)))
        if not (isinstance(result, tuple) and len(result) == 2):
            raise UserCodeError(
                f"value_and_grad on {where} returned {type(result).__name__}, but must return (loss, gradient)"
            )
        value, gradient = result
        packed[1:] = _checked("the gradient of value_and_grad", gradient, theta.shape, where, finite=False)
    else:
        value = call(f"value on {where}", problem.value, theta, data)
    packed[0] = _number(value, where)
    if not np.isfinite(packed).all():
        _not_finite(packed, where, on_nan)
    return packed


def _pair(result: Any) -> Any:
    """Return a list or tuple as a plain tuple: unpacking one of the user's own kind may run code of theirs."""
    return tuple(result) if isinstance(result, tuple | list) else result


def _not_finite(packed: Vector, where: str, on_nan: OnNan) -> None:
    """Fail on NaN in loss or gradient, or make the loss infinite and the gradient zero.

    A loss of plus infinity may be meant, and always counts as such.
    """
    if on_nan == "fail" and not np.isposinf(packed[0]):
        what = "the loss" if not np.isfinite(packed[0]) else "the gradient"
        bad = packed[0] if what == "the loss" else packed[1:][~np.isfinite(packed[1:])][0]
        raise UserCodeError(
            f"{what} on {where} is {bad}; {argument('on_nan')} inf lets a line search back off from such points"
        )
    packed[0], packed[1:] = np.inf, 0.0  # zeros: one NaN would spread over the sum's gradient


def _number(value: Any, where: str, what: str = "the loss") -> float:
    number = converted(
        value, f"{what} on {where}", f"{what} on {where} is {type(value).__name__}, but must be one number"
    )
    if number.size != 1:
        raise UserCodeError(f"{what} on {where} has shape {number.shape}, but must be one number")
    return float(number.reshape(()))


def _checked(what: str, array: Any, shape: tuple[int, ...], where: str, *, finite: bool = True) -> Vector:
    """Return the array flat, as float64 of our own, after checking its shape."""
    rule = f"{what} on {where} is {type(array).__name__}, but must be an array of numbers"
    result = converted(array, f"{what} on {where}", rule)
    if result.shape != shape:
        raise UserCodeError(f"{what} on {where} has shape {result.shape}, but must have {shape}")
    if finite and not np.isfinite(result).all():
        raise UserCodeError(f"{what} on {where} is not finite")
    return result.ravel()
