"""Whether a problem keeps its contract, tried on a few rows: sums, the same each time, with the right derivatives.

A problem that does not converges all the same: to another point, or to another one each time.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from jobs.errors import UserCodeError
from jobs.minimize.evaluate.request import Kind, Request, answer
from jobs.minimize.problems.base import has
from jobs.usercode import call

Vector = NDArray[np.float64]
Verdict = Literal["right", "doubtful", "wrong"]
STEPS = (1e-2, 1e-3, 1e-4, 1e-5)
"""Of differences, in units of theta's size: the best is small for float64, and large for float32."""
ALIKE = 1e-4
"""Largest deviation of two sums over the same rows, of the sum of both; float32 has some 1e-6."""
DERIVATIVE = 1e-3
"""Largest deviation of a derivative from a difference, of the derivative's size, beside the difference's own error."""
TIMES_ERROR = 20.0
"""By how many times a difference's own error, as estimated by another step, a derivative may deviate."""
MAX_HESSIAN = 200
"""Maximum size of theta for which a Hessian is tried where there are products, too."""
ROWS = 256
"""Maximum rows of the check at a run's start, which takes some milliseconds so."""
QUICK = 0.02
"""Seconds of an evaluation up to which derivatives are tried at a run's start, by some 20 evaluations."""
NOISE = 1e-12
"""Largest deviation that is taken for the rounding of float64 in another order, and not for something random."""


ADDED = "value(a + b) = value(a) + value(b)"
FindingFields: TypeAlias = tuple[str, str, Verdict]
"""Those of `Finding`, as messages have them."""


@dataclass(frozen=True)
class Finding:
    """What one check has found.

    Attributes:
        what: was checked.
        text: the numbers; if something is wrong, what, and what must be.
        verdict: right; doubtful, where something is probably wrong; or wrong: the problem breaks its contract.
    """

    what: str
    text: str
    verdict: Verdict = "right"

    def fields(self) -> FindingFields:
        """Return all, for a message."""
        return self.what, self.text, self.verdict


def findings(problem: Any, x0: Vector, rows: int, *, limit: float = np.inf) -> Iterator[Finding]:
    """Yield what was found on rows 0 .. rows - 1, at a point near the start; a wrong one is the last.

    Args:
        problem: the user's.
        x0: its start, (n,).
        rows: at least 1.
        limit: seconds of an evaluation beyond which derivatives are not tried.

    Raises:
        DataError: rows could not be loaded.
        UserCodeError: the problem's code raised, or returned what it must not.
    """
    checks = _Checks(problem, x0, rows)
    for check in (checks.evaluated_twice, checks.loaded_twice, checks.added, checks.gradient, checks.products):
        if check in (checks.gradient, checks.products) and checks.seconds > limit:
            return
        for finding in check():
            yield finding
            if finding.verdict == "wrong":
                return


class _Checks:
    """The checks of one problem on its first rows, which are loaded once for all."""

    def __init__(self, problem: Any, x0: Vector, rows: int) -> None:
        self._problem, self._rows = problem, rows
        self._kind: Kind = "value_and_grad" if has(problem, "value_and_grad") else "value"
        self._data = self._load(0, rows)
        self._random = np.random.default_rng(0)
        self._size = max(1.0, float(np.sqrt(np.mean(x0**2))))
        near = x0 + 0.01 * self._size * self._random.standard_normal(x0.size)
        began = time.perf_counter()
        self._theta, self._packed = near, self._beside(near)
        self.seconds = time.perf_counter() - began
        if not np.isfinite(self._packed).all():  # a start may be at the border of what the loss is defined for
            self._theta, self._packed = x0, self._at(x0)

    def _load(self, start: int, stop: int) -> Any:
        return call(f"load({start}, {stop})", self._problem.load, start, stop)

    def _at(self, theta: Vector, data: Any = None, rows: str = "") -> Vector:
        """Return loss and gradient of rows, all of them if none are given, as one vector."""
        where = rows or f"rows 0 to {self._rows - 1:,}"
        request = Request(self._kind, theta[None].copy())
        return answer(self._problem, request, self._data if data is None else data, where, "inf")

    def _beside(self, theta: Vector) -> Vector:
        """Return loss and gradient at a point that no run need come to: NaN where the problem raises."""
        try:
            return self._at(theta)
        except UserCodeError:
            return np.full(1 + theta.size if self._kind == "value_and_grad" else 1, np.nan)

    def evaluated_twice(self) -> Iterator[Finding]:
        """The same rows at the same point."""
        yield self._again("twice", self._data, "it must not be random (dropout, sampling), nor change its data")

    def loaded_twice(self) -> Iterator[Finding]:
        """The same rows, loaded again."""
        data = self._load(0, self._rows)
        yield self._again("of rows loaded twice", data, f"load(0, {self._rows}) must return the same rows each time")

    def _again(self, how: str, data: Any, rule: str) -> Finding:
        """Return whether loss and gradient have the same bits once more."""
        what, again = f"{self._kind}, {how}", self._at(self._theta, data)
        if self._packed.tobytes() == again.tobytes():
            return Finding(what, "the same bits")
        deviation = _deviation(self._packed, again, [again])
        verdict: Verdict = "doubtful" if deviation <= NOISE else "wrong"
        bits = "; else there are no equal bits" if verdict == "doubtful" else ""
        return Finding(what, f"{self._kind} {how}, at one point, {_unlike(self._packed, again)}: {rule}{bits}", verdict)

    def added(self) -> Iterator[Finding]:
        """The sum over both halves of the rows."""
        half, whole = self._rows // 2, self._packed
        if not half or not np.isfinite(whole).all():
            return
        ends = ((0, half), (half, self._rows))
        halves = [self._at(self._theta, self._load(*one), f"rows {one[0]:,} to {one[1] - 1:,}") for one in ends]
        both = halves[0] + halves[1]
        deviation = self._apart(both, halves)
        if deviation <= ALIKE:
            yield Finding(ADDED, f"to {deviation:.0e}")
            return
        numbers = (
            f"rows 0 to {half - 1:,} have the loss {halves[0][0]:.10g}, rows {half:,} to {self._rows - 1:,} "
            f"{halves[1][0]:.10g}, which makes {both[0]:.10g}, but all of them have {whole[0]:.10g}"
        )
        mean = (half * halves[0] + (self._rows - half) * halves[1]) / self._rows
        # Equal halves are a load that does not look at `stop`.
        if self._apart(mean, halves) <= ALIKE and halves[0].tobytes() != halves[1].tobytes():
            text = f"{self._kind} is a mean over rows, but must be a sum: {numbers}"
            yield Finding(ADDED, text, "wrong")
            return
        rule = "unless load takes whole blocks alone, loss and gradient are no sums over rows"
        yield Finding(ADDED, f"{rule}: {numbers}", "doubtful")

    def _apart(self, vector: Vector, halves: Sequence[Vector]) -> float:
        """Return by how much loss or gradient deviate from those of all rows."""
        parts = (slice(0, 1), slice(1, None))
        return max(_deviation(vector[part], self._packed[part], [half[part] for half in halves]) for part in parts)

    def gradient(self) -> Iterator[Finding]:
        """The gradient's slope in a random direction, and the loss's difference."""
        if self._kind != "value_and_grad" or not np.isfinite(self._packed).all():
            return
        deviation = 0.0
        for _ in range(2):  # a kink of the loss may lie in the way once
            direction = self._random.standard_normal(self._theta.size)
            deviation, is_right = self._slope(direction)
            if is_right:
                yield Finding("gradient", f"is that of the loss, to {deviation:.0e}")
                return
        entry, given, found = self._wrong_entry(direction)
        text = (
            f"the gradient is not that of the loss: its entry {entry} is {given:.6g}, but the loss changes by "
            f"{found:.6g} per unit there"
        )
        yield Finding("gradient", text, "wrong")

    def _slope(self, direction: Vector) -> tuple[float, bool]:
        """Return by how much the slope in a direction deviates, of its usual size, and whether that is little."""
        gradient = self._packed[1:]
        slope, size = float(gradient @ direction), float(np.linalg.norm(gradient * (direction != 0)))
        difference, error = self._difference(lambda theta: self._beside(theta)[:1], direction)
        deviation = abs(slope - float(difference[0]))
        return deviation / (size or 1.0), deviation <= TIMES_ERROR * error + DERIVATIVE * size

    def _wrong_entry(self, direction: Vector) -> tuple[int, float, float]:
        """Return an entry of the gradient that deviates, its value, and the difference, by halving the entries."""
        entries = np.arange(self._theta.size)
        while entries.size > 1:
            halves = np.array_split(entries, 2)
            deviations = [self._slope(_only(half, direction))[0] for half in halves]
            entries = halves[int(np.argmax(np.nan_to_num(deviations, nan=np.inf)))]
        only = _only(entries, np.ones(self._theta.size))
        difference, _ = self._difference(lambda theta: self._beside(theta)[:1], only)
        return int(entries[0]), float(self._packed[1 + entries[0]]), float(difference[0])

    def products(self) -> Iterator[Finding]:
        """The Hessian, or its product, in a random direction, and the gradient's difference."""
        if self._kind != "value_and_grad" or not np.isfinite(self._packed).all():
            return
        direction = self._random.standard_normal(self._theta.size)
        kinds: list[tuple[Kind, Callable[[Vector], Vector]]] = [("hessp", lambda product: product)]
        if self._theta.size <= MAX_HESSIAN or not has(self._problem, "hessp"):
            kinds.append(("hess", lambda matrix: matrix.reshape(direction.size, -1) @ direction))
        for kind, product_of in kinds:
            if has(self._problem, kind):
                request = Request(kind, self._theta[None].copy(), direction.copy() if kind == "hessp" else None)
                given = product_of(answer(self._problem, request, self._data, f"rows 0 to {self._rows - 1:,}", "inf"))
                yield self._product(kind, given, direction)

    def _product(self, kind: Kind, given: Vector, direction: Vector) -> Finding:
        difference, error = self._difference(lambda theta: self._beside(theta)[1:], direction)
        size, deviation = float(np.linalg.norm(difference)), float(np.linalg.norm(given - difference))
        if deviation <= TIMES_ERROR * error + DERIVATIVE * size:
            return Finding(kind, f"is the gradient's derivative, to {deviation / (size or 1.0):.0e}")
        entry = int(np.argmax(np.abs(given - difference)))
        return Finding(
            kind,
            f"{kind} is not the gradient's derivative: entry {entry} of its product with a random vector is "
            f"{given[entry]:.6g}, but the gradient changes by {difference[entry]:.6g} there",
            "wrong",
        )

    def _difference(self, function: Callable[[Vector], Vector], direction: Vector) -> tuple[Vector, float]:
        """Return a central difference by the step that agrees best with its neighbour, and how well that is."""
        found = []
        for step in STEPS:
            move = step * self._size * direction
            found.append((function(self._theta + move) - function(self._theta - move)) / (2 * step * self._size))
        errors = [float(np.linalg.norm(a - b)) for a, b in itertools.pairwise(found)]
        best = int(np.argmin(np.nan_to_num(errors, nan=np.inf)))
        return found[best + 1], errors[best] if np.isfinite(errors[best]) else np.inf


def _deviation(one: Vector, other: Vector, parts: Sequence[Vector]) -> float:
    """Return the distance of two vectors, of the size of one and of its parts."""
    size = float(sum(np.linalg.norm(part) for part in parts) + np.linalg.norm(other))
    return float(np.linalg.norm(one - other)) / size if size else 0.0


def _only(entries: NDArray[np.int64], direction: Vector) -> Vector:
    """Return a direction with zeros in all but some entries."""
    only = np.zeros(direction.size)
    only[entries] = direction[entries]
    return only


def _unlike(one: Vector, other: Vector) -> str:
    """Return how two answers differ: in the loss if they do, else in a gradient's entry."""
    if one[0] != other[0]:
        return f"gave the losses {one[0]:.10g} and {other[0]:.10g}"
    entry = int(np.flatnonzero(one[1:] != other[1:])[0])
    return f"gave {one[1 + entry]:.10g} and {other[1 + entry]:.10g} as entry {entry} of the gradient"
