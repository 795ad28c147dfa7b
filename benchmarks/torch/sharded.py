"""The sharded problem on two workers beside MinimizeWrapper in one process with two threads."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from benchmarks.report import Table
from benchmarks.torch.data import line
from benchmarks.torch.turns import rows, turns
from benchmarks.workload.data import Generated
from jobs import connect
from jobs.minimize import Objective, minimize
from jobs.minimize.torch import MinimizeWrapper, problem


@dataclass(frozen=True)
class Extent:
    """Images, iterations and rounds."""

    rows: int = 55_000
    iterations: int = 15
    rounds: int = 5


QUICK = Extent(rows=100, iterations=2, rounds=1)
OURS, THREADS, ONE = "sharded, 2 workers", "MinimizeWrapper, 2 threads", "MinimizeWrapper, 1 thread"


def run(extent: Extent) -> Table:
    """Measure."""
    x, y = Generated(extent.rows, 784).read(0, extent.rows)
    rows_x, labels = torch.as_tensor(x, dtype=torch.float32), torch.as_tensor(y)
    options = {"maxiter": extent.iterations}

    def wrapped(threads: int) -> float:
        torch.set_num_threads(threads)
        model = line()
        optimizer = MinimizeWrapper(model.parameters(), {"method": "L-BFGS-B", "options": options})

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(rows_x), labels, reduction="sum")
            loss.backward()
            return loss

        optimizer.step(closure)
        return float(optimizer.res.fun)

    made = problem(line, nn.CrossEntropyLoss(), Generated(extent.rows, 784))
    with connect(workers=2) as client, Objective(client, made) as objective:
        sharded = lambda: float(minimize(objective, method="L-BFGS-B", options=options).fun)  # noqa: E731
        losses = [sharded(), wrapped(2)]
        seconds = turns({OURS: sharded, THREADS: lambda: wrapped(2), ONE: lambda: wrapped(1)}, extent.rounds)
    if abs(losses[0] / losses[1] - 1) > 0.01:
        raise RuntimeError(f"sharded ends at a loss of {losses[0]}, MinimizeWrapper at {losses[1]}")
    what = f"softmax regression, 784 -> 10, {extent.rows:,} images, float32"
    text = f"{extent.iterations} iterations of L-BFGS-B on {what}; seconds, the data loaded before."
    return Table("Sharded", text, ["", "seconds", "times ours"], rows(seconds, OURS))
