"""Parameters into SciPy's vector and back, beside a copy of as many bytes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from benchmarks.report import Table, Target, spread
from benchmarks.torch.turns import ratios, turns
from jobs.minimize.torch.optimizer.packing import Packing

TIMES = {"float64": 2.0, "float32": 3.0}


@dataclass(frozen=True)
class Extent:
    """Numbers of a model, and rounds."""

    size: int = 10_000_000
    rounds: int = 9


QUICK = Extent(size=10_000, rounds=1)
COPY = "copy of the vector"
PLACE, TAKE = "vector to parameters", "gradients to vector"


def run(extent: Extent) -> Table:
    """Measure."""
    cells, targets = [], []
    for name, limit in TIMES.items():
        seconds = turns(_functions(extent, getattr(torch, name)), extent.rounds, patience=0.5)
        for what in (COPY, PLACE, TAKE):
            ratio = ratios(seconds, what, COPY)
            cells.append([f"{name}: {what}", spread([1e3 * value for value in seconds[what]]), spread(ratio)])
            if what != COPY:
                wanted = f"{name}, {what}: at most {limit:.0f} x a copy of as many bytes"
                targets.append(Target(wanted, f"{spread(ratio)} x", float(np.median(ratio)) <= limit))
    text = (
        f"{extent.size:,} numbers in four parameters, milliseconds. The copy is NumPy's, of SciPy's vector (float64) "
        "into new memory, as SciPy makes one for each evaluation. Gradients go into new memory too: SciPy keeps them."
    )
    return Table("Packing", text, ["", "ms", "times a copy"], cells, targets)


def _functions(extent: Extent, dtype: torch.dtype) -> dict[str, object]:
    parameters = [nn.Parameter(torch.zeros(extent.size // 4, dtype=dtype)) for _ in range(4)]
    packing, vector = Packing(parameters), np.ones(extent.size // 4 * 4)
    packing.place(vector)
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    return {COPY: vector.copy, PLACE: lambda: packing.place(vector), TAKE: packing.take_gradient}
