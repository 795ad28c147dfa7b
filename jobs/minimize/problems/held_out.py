"""A model without some of its rows, which are held out: the loss and the accuracy on them judge what was found."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from jobs.errors import InputError, argument
from jobs.minimize.problems.names import MAX_SEED
from jobs.minimize.problems.softmax_kernel import aligned

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Parts:
    """A block's rows: those that are fitted, and those that are held out; as the model takes them."""

    fitted: Any
    held: Any


@dataclass(frozen=True)
class HeldOut:
    """A shipped model, fitted to all rows but a share that is held out.

    Which rows these are depends on their numbers and the seed alone, see `is_held`.

    Attributes:
        model: a problem of this package's, such as softmax.
        share: of the rows, more than 0 and less than 1.
        seed: chooses others.

    Raises:
        InputError: the share or the seed is out of range.
    """

    model: Any
    share: float
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise InputError(f"{argument('validation')} is {self.share!r}, but must be more than 0 and less than 1")
        if not 0 <= self.seed < MAX_SEED:
            raise InputError(f"{argument('validation_seed')} is {self.seed!r}, but must be 0 to {MAX_SEED - 1}")

    def __getattr__(self, name: str) -> Any:
        """Return what the model has; what takes a block gets the fitted rows of it."""
        if name.startswith("__") or name == "model":  # before it is unpickled
            raise AttributeError(name)
        found = getattr(self.model, name)
        return functools.partial(self._fitted, name) if name in _OF_NO_ROWS else found

    def load(self, start: int, stop: int) -> Parts:
        """Return rows start .. stop - 1 in two parts."""
        block = self.model.load(start, stop)
        held = is_held(start, stop, self.share, self.seed)
        return Parts(_where(block, ~held), _where(block, held))

    def _fitted(self, name: str, theta: Vector, *arguments: Any) -> Any:
        *others, block = arguments
        if not len(block.fitted.y):
            return _OF_NO_ROWS[name](theta.size)
        return getattr(self.model, name)(theta, *others, block.fitted)

    def held_out_score(self, theta: Vector, data: Parts) -> Vector:
        """Return of a block's rows that are held out: loss, sum of weights, how many are predicted right, how many."""
        held = data.held
        if not len(held.y):
            return np.zeros(4)
        loss, _ = self.model.value_and_grad(theta, held)
        right = self.model.correct(theta, held) if hasattr(self.model, "correct") else 0
        weight = len(held.y) if held.w is None else held.w.sum(dtype=np.float64)
        return np.array([loss, weight, right, len(held.y)], np.float64)

    def fingerprint(self) -> str:
        """Return the identity of data, model and the rows that are held out."""
        return f"{self.model.fingerprint()}/{self.share!r} held out by {self.seed}"


def held_out(problem: Any, share: float, seed: int = 0) -> HeldOut:
    """Return a shipped model, such as `softmax.problem(data)`, without a share of its rows, for validation.

    `objective.validation(theta)` has the loss and accuracy on them.

    Raises:
        InputError: the share or the seed is out of range.
    """
    return HeldOut(problem, share, seed)


def model_of(problem: Any) -> Any:
    """Return the model of a problem, without what holds rows out."""
    return problem.model if isinstance(problem, HeldOut) else problem


def is_held(start: int, stop: int, share: float, seed: int) -> NDArray[np.bool_]:
    """Return which of rows start .. stop - 1 are held out: a hash of number and seed is below the share.

    The hash is SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
    """
    with np.errstate(over="ignore"):
        z = np.arange(start, stop, dtype=np.uint64) + np.uint64(seed) * np.uint64(2**32)
        z = (z + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return np.asarray((z >> np.uint64(11)).astype(np.float64) * 2.0**-53 < share)


def _where(block: Any, mask: NDArray[np.bool_]) -> Any:
    """Return the rows of a mask."""
    x = block.x[mask]
    if not sparse.issparse(x):
        x = aligned(x.shape, x.dtype)
        np.compress(mask, block.x, axis=0, out=x)
    return replace(block, x=x, y=block.y[mask], w=None if block.w is None else block.w[mask])


_OF_NO_ROWS: dict[str, Callable[[int], Any]] = {
    "value_and_grad": lambda n: (0.0, np.zeros(n)),
    "hessp": np.zeros,
    "hess": lambda n: np.zeros((n, n)),
    "correct": lambda _: 0,
}
"""What the model's methods return where a block has no fitted row."""
