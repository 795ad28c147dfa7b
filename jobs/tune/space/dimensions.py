"""Dimensions of a search space, which check themselves: the values of one hyperparameter."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from jobs.errors import InputError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Value: TypeAlias = bool | int | float | str | list[Any] | None
EXACT = 2**53
"""Optuna stores integers as 64-bit floats, which represent all integers up to this one."""


@dataclass(frozen=True)
class Float:
    """A number in [low, high], uniform in itself or in its logarithm; with `step` one of low, low + step, ..., high.

    Raises:
        InputError: low, high or high - low is not a finite number, low >= high, low <= 0 with a logarithm, or high is
            not low and a multiple of the step.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        """Check the range."""
        kind = "log" if self.log else "uniform"
        _check_range(kind, self.low, self.high, (int, float))
        if not math.isfinite(float(self.high) - float(self.low)):
            raise InputError(f"{kind}({self.low!r}, {self.high!r}): high - low is not finite; narrow it")
        if self.log and self.low <= 0:
            raise InputError(f"log({self.low!r}, {self.high!r}): low must be > 0, since zero has no logarithm")
        if self.step is not None:
            _check_step("uniform", self.low, self.high, self.step, (int, float))

    def _at(self, number: int) -> float:
        """Return low and so many steps; in decimals, since 3 * 0.1 is not 0.3."""
        return float(Decimal(str(self.low)) + number * Decimal(str(self.step)))

    def draw(self, random: np.random.Generator) -> float:
        """Return one value."""
        if self.step is not None:
            return self._at(int(random.integers(_steps(self.low, self.high, self.step), endpoint=True)))
        if not self.log:
            return float(random.uniform(self.low, self.high))
        value = math.exp(random.uniform(math.log(self.low), math.log(self.high)))
        return min(max(value, float(self.low)), float(self.high))

    def grid(self, points: int) -> list[Value]:
        """Return `points` values from low to high, evenly spaced in the dimension's scale; fewer of a few steps."""
        if self.step is not None:
            return [self._at(number) for number in _spread(_steps(self.low, self.high, self.step), points)]
        space = np.geomspace if self.log else np.linspace
        inner = space(self.low, self.high, points)
        return [min(max(float(value), float(self.low)), float(self.high)) for value in inner]

    def distribution(self) -> BaseDistribution:
        """Return the dimension as a distribution of Optuna."""
        from optuna.distributions import FloatDistribution

        return FloatDistribution(float(self.low), float(self.high), log=self.log, step=self.step)

    def plain(self) -> dict[str, Any]:
        """Return the dimension in YAML's types."""
        step = {} if self.step is None else {"step": float(self.step)}
        return {"log" if self.log else "uniform": [float(self.low), float(self.high)], **step}


@dataclass(frozen=True)
class Integer:
    """An integer in low .. high, both included, uniform in itself or in its logarithm; with `step` every step-th one.

    Raises:
        InputError: low or high is not an integer or beyond 2**53, low >= high, low < 1 with a logarithm, or high is not
            low and a multiple of the step.
    """

    low: int
    high: int
    log: bool = False
    step: int = 1

    def __post_init__(self) -> None:
        """Check the range."""
        _check_range("integer", self.low, self.high, (int,))
        if max(abs(self.low), abs(self.high)) > EXACT:
            raise InputError(f"integer({self.low!r}, {self.high!r}): both must be in -2**53 .. 2**53, as 64-bit floats")
        if self.log and self.low < 1:
            raise InputError(f"integer({self.low!r}, {self.high!r}, log): low must be >= 1 with a logarithm")
        _check_step("integer", self.low, self.high, self.step, (int,))
        if self.log and self.step != 1:
            raise InputError(f"integer({self.low!r}, {self.high!r}, log): a step does not go with a logarithm")

    def draw(self, random: np.random.Generator) -> int:
        """Return one value; with a logarithm, the real line is cut halfway between integers."""
        if self.step != 1:
            return self.low + self.step * int(random.integers((self.high - self.low) // self.step, endpoint=True))
        if not self.log:
            return int(random.integers(self.low, self.high, endpoint=True))
        value = math.exp(random.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5)))
        return min(max(round(value), self.low), self.high)

    def grid(self, points: int) -> list[Value]:
        """Return at most `points` values from low to high, evenly spaced in the dimension's scale."""
        if self.step != 1:
            return [self.low + self.step * at for at in _spread((self.high - self.low) // self.step, points)]
        if self.high - self.low < points:
            return list(range(self.low, self.high + 1))
        space = np.geomspace if self.log else np.linspace
        return [int(value) for value in dict.fromkeys(np.rint(space(self.low, self.high, points)).astype(int))]

    def distribution(self) -> BaseDistribution:
        """Return the dimension as a distribution of Optuna."""
        from optuna.distributions import IntDistribution

        return IntDistribution(self.low, self.high, log=self.log, step=self.step)

    def plain(self) -> dict[str, Any]:
        """Return the dimension in YAML's types."""
        step = {} if self.step == 1 else {"step": self.step}
        return {"integer": [self.low, self.high], **({"log": True} if self.log else {}), **step}


@dataclass(frozen=True)
class Choice:
    """One of some values: numbers, texts, booleans, None, or lists of these.

    Raises:
        InputError: there is no value, two are equal, or one is of another type, NaN or infinite.
    """

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        """Check the values."""
        if not self.values:
            raise InputError("choice([]): the range is empty; give at least one value")
        for value in self.values:
            _check_plain(value)
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

        with listed_choices():
            return CategoricalDistribution(self.values)  # type: ignore[arg-type]

    def plain(self) -> dict[str, Any]:
        """Return the dimension in YAML's types."""
        return {"choice": list(self.values)}


def dimension_of(distribution: BaseDistribution) -> Dimension:
    """Return Optuna's distribution as a dimension.

    Raises:
        InputError: there is none with its range.
    """
    options = distribution._asdict()
    if "choices" in options:
        return Choice(tuple(options["choices"]))
    return (Integer if isinstance(options["low"], int) else Float)(**options)


Dimension: TypeAlias = Float | Integer | Choice


@contextlib.contextmanager
def listed_choices() -> Iterator[None]:
    """Ignore Optuna's warning of choices that are lists, wherever it makes distributions: JSON can hold them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Choices for a categorical|.* contains a value with the type", UserWarning)
        yield


def _check_plain(value: Any) -> None:
    """Refuse a value that a journal of JSON cannot hold."""
    if isinstance(value, list):
        for part in value:
            _check_plain(part)
        return
    if not (value is None or isinstance(value, bool | int | float | str)):
        raise InputError(f"choice: {value!r} must be a number, a text, a boolean, None or a list of these")
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"choice: {value!r} must be finite, since the journal is JSON; write a text")


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


def _steps(low: float, high: float, step: float) -> int:
    """Return how many whole steps there are from low to high."""
    return int((Decimal(str(high)) - Decimal(str(low))) // Decimal(str(step)))


def _spread(steps: int, points: int) -> list[int]:
    """Return at most `points` of the numbers 0 .. steps, evenly spread."""
    return [int(number) for number in dict.fromkeys(np.rint(np.linspace(0, steps, points)).astype(int))]


def _check_step(kind: str, low: Any, high: Any, step: Any, types: tuple[type[int | float], ...]) -> None:
    name = f"{kind}({low!r}, {high!r}, step={step!r})"
    if isinstance(step, bool) or not isinstance(step, types) or not _is_finite(step) or step <= 0:
        raise InputError(f"{name}: the step must be {'an integer' if types == (int,) else 'a finite number'} > 0")
    if not (steps := _steps(low, high, step)):
        raise InputError(f"{name}: the step is larger than high - low; make it smaller")
    last = Decimal(str(low)) + steps * Decimal(str(step))
    if last != Decimal(str(high)):
        raise InputError(f"{name}: high must be low and a multiple of the step; write {last}")


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # an integer that is not a float
        return False
