"""How well a problem's parameters predict: the accuracy on the rows that were fitted, loss and accuracy on others."""

from __future__ import annotations

from typing import Any

from jobs.minimize.evaluate.evaluator import Evaluator
from jobs.minimize.evaluate.request import Request
from jobs.minimize.problems import base as problems
from jobs.minimize.problems.base import Vector
from jobs.minimize.problems.held_out import HeldOut

# None of these requests is recorded in the journal: a run resumed with more iterations replays the optimizer's
# evaluations in order, and these are made only where a run ends.


def accuracy(evaluate: Evaluator, problem: Any, theta: Vector) -> float | None:
    """Return the fraction of the fitted rows that the problem predicts right; None without `correct`."""
    if not problems.has(problem, "correct"):
        return None
    right = float(evaluate(Request("correct", theta[None]))[0])
    return right / max(fitted_rows(evaluate, problem, theta), 1)


def validation(evaluate: Evaluator, problem: Any, theta: Vector) -> dict[str, Any] | None:
    """Return `rows` held out, the mean `loss` on them, and the `accuracy` if rows can be right; None if there are none.

    The mean is by the rows' weights; of no rows it is None.
    """
    if not isinstance(problem, HeldOut):
        return None
    loss, weight, right, rows = evaluate(Request("held_out", theta[None])).tolist()
    found: dict[str, Any] = {"share": problem.share, "seed": problem.seed, "rows": int(rows)}
    found["loss"] = loss / weight if weight else None
    if problems.has(problem, "correct"):
        found["accuracy"] = right / rows if rows else None
    return found


def fitted_rows(evaluate: Evaluator, problem: Any, theta: Vector) -> int:
    """Return the number of rows that are fitted."""
    held = validation(evaluate, problem, theta)
    return problems.rows(problem) - (held["rows"] if held else 0)
