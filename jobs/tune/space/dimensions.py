"""Dimensions of a search space, which check themselves: the values of one hyperparameter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from jobs.errors import InputError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Value: TypeAlias = bool | int | float | str | None
EXACT = 2**53
"""Optuna stores integers as 64-bit floats, which represent all integers up to this one."""


@dataclass(frozen=True)
class Float:
    """A number in [low, high], uniform in itself or in its logarithm.

    Raises:
        InputError: low, high or high - low is not a finite number, low >= high, or low <= 0 with a logarithm.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        """Check the range."""
        kind = "log" if self.log else "uniform"
        _check_range(kind, self.low, self.high, (int, float))
        if not math.isfinite(float(self.high) - float(self.low)):
            raise InputError(f"{kind}({self.low!r}, {self.high!r}): high - low is not finite; narrow it")
        if self.log and self.low <= 0:
            raise InputError(f"log({self.low!r}, {self.high!r}): low must be > 0, since zero has no logarithm")

    def draw(self, random: np.random.Generator) -> float:
        """Return one value."""
        if not self.log:
            return float(random.uniform(self.low, self.high))
        value = math.exp(random.uniform(math.log(self.low), math.log(self.high)))
        return min(max(value, float(self.low)), float(self.high))

    def grid(self, points: int) -> list[Value]:
        """Return `points` values from low to high, evenly spaced in the dimension's scale."""
        space = np.geomspace if self.log else np.linspace
        inner = space(self.low, self.high, points)
        return [min(max(float(value), float(self.low)), float(self.high)) for value in inner]

    def distribution(self) -> BaseDistribution:
        """Return the dimension as a distribution of Optuna."""
        from optuna.distributions import FloatDistribution

        return FloatDistribution(float(self.low), float(self.high), log=self.log)

    def plain(self) -> dict[str, Any]:
        """Return the dimension in YAML's types."""
        return {"log" if self.log else "uniform": [float(self.low), float(self.high)]}


@dataclass(frozen=True)
class Integer:
    """An integer in low .. high, both included, uniform in itself or in its logarithm.

    Raises:
        InputError: low or high is not an integer or beyond 2**53, low >= high, or low < 1 with a logarithm.
    """

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        """Check the range."""
        _check_range("integer", self.low, self.high, (int,))
        if max(abs(self.low), abs(self.high)) > EXACT:
            raise InputError(f"integer({self.low!r}, {self.high!r}): both must be in -2**53 .. 2**53, as 64-bit floats")
        if self.log and self.low < 1:
            raise InputError(f"integer({self.low!r}, {self.high!r}, log): low must be >= 1 with a logarithm")

    def draw(self, random: np.random.Generator) -> int:
        """Return one value; with a logarithm, the real line is cut halfway between integers."""
        if not self.log:
            return int(random.integers(self.low, self.high, endpoint=True))
        value = math.exp(random.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5)))
        return min(max(round(value), self.low), self.high)

    def grid(self, points: int) -> list[Value]:
        """Return at most `points` values from low to high, evenly spaced in the dimension's scale."""
        if self.high - self.low < points:
            return list(range(self.low, self.high + 1))
        space = np.geomspace if self.log else np.linspace
        return [int(value) for value in dict.fromkeys(np.rint(space(self.low, self.high, points)).astype(int))]

    def distribution(self) -> BaseDistribution:
        """Return the dimension as a distribution of Optuna."""
        from optuna.distributions import IntDistribution

        return IntDistribution(self.low, self.high, log=self.log)

    def plain(self) -> dict[str, Any]:
        """Return the dimension in YAML's types."""
        return {"integer": [self.low, self.high], **({"log": True} if self.log else {})}


@dataclass(frozen=True)
class Choice:
    """One of some values: numbers, texts, booleans or None.

    Raises:
        InputError: there is no value, two are equal, or one is of another type, NaN or infinite.
    """

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        """Check the values."""
        if not self.values:
            raise InputError("choice([]): the range is empty; give at least one value")
        for value in self.values:
            if not (value is None or isinstance(value, bool | int | float | str)):
                raise InputError(f"choice: {value!r} must be a number, a text, a boolean or None")
            if isinstance(value, float) and not math.isfinite(value):
                raise InputError(f"choice: {value!r} must be finite, since the journal is JSON; write a text")
        for number, value in enumerate(self.values):
            _check_new(value, self.values[:number])

    def draw(self, random: np.random.Generator) -> Value:
        """Return one value."""
        return self.values[int(random.integers(len(self.values)))]

    def grid(self, points: int) -> list[Value]:  # noqa: ARG002  a choice has all its values, however many
        """Return all values."""
        return list(self.values)

    def distribution(self) -> BaseDistribution:
        """Return the dimension as a distribution of Optuna."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.values)

    def plain(self) -> dict[str, Any]:
        """Return the dimension in YAML's types."""
        return {"choice": list(self.values)}


Dimension: TypeAlias = Float | Integer | Choice


def _check_new(value: Value, others: tuple[Value, ...]) -> None:
    """Refuse a value that equals one of the others: Optuna finds values by ==."""
    for other in others:
        if value == other and type(value) is type(other):
            raise InputError(f"choice: {value!r} is given twice; remove one")
        if value == other:
            raise InputError(f"choice: {other!r} and {value!r} are equal, so nothing tells them apart; write texts")


def _check_range(kind: str, low: Any, high: Any, types: tuple[type[int | float], ...]) -> None:
    name = f"{kind}({low!r}, {high!r})"
    for bound in (low, high):
        if isinstance(bound, bool) or not isinstance(bound, types) or not _is_finite(bound):
            raise InputError(f"{name}: {bound!r} must be {'an integer' if types == (int,) else 'a finite number'}")
    if low > high:
        raise InputError(f"{name}: low is greater than high; swap them")
    if low == high:
        raise InputError(f"{name}: the range is empty; give low < high, or choice([{low!r}])")


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # an integer that is not a float
        return False
