"""User code that misbehaves: an optimum, or one line, and never an error of ours."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest
from seeds import seeded, times

from jobs.errors import JobError
from jobs.minimize import Objective, minimize


class _Sly:
    """Raises for whatever it is asked."""

    def __getattr__(self, name: str) -> Any:
        raise ValueError(name)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise MemoryError

    def __repr__(self) -> str:
        raise RuntimeError("no name")

    def __len__(self) -> int:
        return -1


def _raises(kind: type[BaseException]) -> Callable[..., Any]:
    def function(*_: Any, **__: Any) -> Any:
        raise kind("no\nnumber")

    return function


VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 2**70, math.nan, math.inf, 1.5, 1j, "text", b"\0", object, _Sly(), range(3), iter(())),
    *(
        [],
        [1, [2]],
        {},
        (1, 2, 3),
        (None, None),
        (1.0, np.zeros(2)),
        (1.0, [0, 0, 0]),
        (np.inf, np.zeros(3)),
        ("a", "b"),
    ),
    *(np.array([]), np.zeros((2, 2)), np.array("a"), np.array([None]), np.full(3, np.nan), np.ma.masked, np.float32(2)),
    np.zeros(3, dtype="M8[s]"),
)
ERRORS = (ValueError, SystemExit, KeyError, StopIteration, MemoryError, RecursionError, GeneratorExit, AssertionError)
NAMES = ("rows", "block_rows", "x0", "load", "value_and_grad", "hessp", "names", "penalized", "fingerprint", "correct")


class Fine:
    """Least squares of three parameters."""

    rows, block_rows = 20, 8

    def x0(self) -> Any:
        return np.ones(3)

    def load(self, start: int, stop: int) -> Any:
        return np.arange(start, stop, dtype=float)[:, None] * [1.0, 0.5, 0.1]

    def value_and_grad(self, theta: Any, data: Any) -> Any:
        rest = data @ theta - 1
        return float(rest @ rest) / 2, data.T @ rest

    def hessp(self, theta: Any, v: Any, data: Any) -> Any:
        return data.T @ (data @ v)


def _hostile(random: Random) -> tuple[Any, str]:
    """Return a problem with one or two parts that misbehave, at once or after some calls, and which these are."""
    problem, told = type("Problem", (Fine,), {})(), []
    for name in random.sample(NAMES, random.randint(1, 2)):
        value = random.choice(VALUES)
        bad = _raises(random.choice(ERRORS)) if random.random() < 0.3 else (lambda *_, value=value: value)
        good, after = getattr(problem, name, None), random.choice((0, 0, 3))

        def part(*arguments: Any, good: Any = good, bad: Any = bad, left: list[int] = [after]) -> Any:  # noqa: B006
            left[0] -= 1
            return good(*arguments) if left[0] >= 0 and callable(good) else bad(*arguments)

        data = name in ("rows", "block_rows")
        setattr(problem, name, value if data or random.random() < 0.1 else part)
        told.append(name)
    return problem, " and ".join(told)


@pytest.mark.parametrize("method", ["L-BFGS-B", "trust-ncg"])
def test_problems(method: str) -> None:
    """Parts of a problem that are of another type, raise, or return what nobody expects."""
    seen = {"fine": 0, "refused": 0}
    for number in range(times(300)):
        problem, what = _hostile(seeded(f"problem-{number}"))
        try:
            with np.errstate(all="ignore"), Objective(None, problem) as objective:
                objective.check()
                minimize(objective, method=method, options={"maxiter": 5})
            seen["fine"] += 1
        except JobError as error:
            assert "\n" not in str(error), f"{number}: {what}"  # noqa: PT017
            seen["refused"] += 1
        except BaseException as error:
            sys.stderr.write(f"number {number}: {what}\n")
            raise AssertionError(f"number {number}, {what}: {type(error).__name__}") from error
    assert all(seen.values())
