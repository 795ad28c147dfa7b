"""L-BFGS-B beside torch's own L-BFGS with strong Wolfe conditions: seconds to the same loss of the same full batch."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

import torch

from benchmarks.report import Table, Target, spread
from benchmarks.torch.data import Closure, images, line
from benchmarks.torch.turns import ratios, rows, turns
from jobs.minimize.torch import MinimizeWrapper

OURS, TORCH = "MinimizeWrapper, L-BFGS-B", "torch.optim.LBFGS, strong Wolfe"


@dataclass(frozen=True)
class Extent:
    """Images, the iterations after which the loss to reach is read off, and rounds."""

    rows: int = 10_000
    iterations: int = 60
    rounds: int = 5


QUICK = Extent(rows=50, iterations=5, rounds=1)


class Reached(Exception):
    """The loss is low enough."""


def run(extent: Extent) -> Table:
    """Measure."""
    x, y = images(extent.rows)
    evaluations: dict[str, int] = {}

    def until(name: str, goal: float) -> None:
        count = 0

        def seen(loss: float) -> None:
            nonlocal count
            count += 1
            if loss <= goal:
                raise Reached

        closure = Closure(line(), x, y, seen)
        try:
            _minimize(name, closure, 100 * extent.iterations)
        except Reached:
            evaluations[name] = count
            return
        raise RuntimeError(f"{name} did not reach a loss of {goal}")

    lowest = []
    closure = Closure(line(), x, y, lowest.append)
    _minimize(OURS, closure, extent.iterations)
    goal = min(lowest)
    seconds = turns({OURS: lambda: until(OURS, goal), TORCH: lambda: until(TORCH, goal)}, extent.rounds)
    ratio = ratios(seconds, TORCH, OURS)
    counts = " and ".join(str(evaluations[name]) for name in (OURS, TORCH))
    text = (
        f"Softmax regression, 784 -> 10, {extent.rows:,} images, float32, one thread, memory of 10 steps: seconds to "
        f"the loss that L-BFGS-B has after {extent.iterations} iterations, {goal:.6f}, by {counts} evaluations."
    )
    target = Target("L-BFGS-B: not slower than torch.optim.LBFGS", f"{spread(ratio)} x", statistics.median(ratio) >= 1)
    return Table("Batch L-BFGS", text, ["", "seconds", "times ours"], rows(seconds, OURS), [target])


def _minimize(name: str, closure: Closure, iterations: int) -> None:
    parameters = closure.model.parameters()
    if name == OURS:
        options = {"maxiter": iterations, "maxfun": 10 * iterations, "maxcor": 10, "gtol": 0, "ftol": 0}
        MinimizeWrapper(parameters, {"method": "L-BFGS-B", "options": options}).step(closure)
    else:
        optimizer = torch.optim.LBFGS(
            parameters,
            max_iter=iterations,
            max_eval=10 * iterations,
            history_size=10,
            line_search_fn="strong_wolfe",
            tolerance_grad=0,
            tolerance_change=0,
        )
        optimizer.step(closure)
