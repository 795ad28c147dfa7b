"""A problem whose answers raise when they are looked at, as those of a foreign library may."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from problems import LeastSquares


class Odd:
    """Raises when it is made a number or an array."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __float__(self):
        raise self._error

    def __array__(self, dtype=None, copy=None):
        raise self._error

    def __str__(self):
        raise self._error

    def __len__(self):
        raise self._error


@dataclass(frozen=True)
class Answers(LeastSquares):
    """Least squares of which one answer, `where`, is odd; or a number that no float64 holds if `error` is None."""

    where: str = ""
    error: BaseException | None = None

    def _or(self, where: str, value):
        if where != self.where:
            return value
        return 10**400 if self.error is None else Odd(self.error)

    def x0(self):
        return self._or("x0", super().x0())

    @property
    def bounds(self):
        return self._or("bounds", None)

    def penalized(self):
        return self._or("penalized", np.ones(3, bool))

    def value_and_grad(self, theta, data):
        loss, grad = super().value_and_grad(theta, data)
        pair = self._or("loss", loss), self._or("gradient", grad)
        return self._or("pair", pair)

    def hessp(self, theta, v, data):
        return self._or("hessp", v)

    def correct(self, theta, data):
        return self._or("correct", 0)
