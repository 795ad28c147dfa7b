"""Hessian products by each form of differentiation: a kept graph, a new one, forward over reverse mode."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, grad, jvp

from benchmarks.report import Table, spread
from benchmarks.torch.turns import ratios, turns
from jobs.minimize.torch.flat import FlatTensors
from jobs.minimize.torch.second import GradientGraph

KEPT, NEW, FORWARD = "kept graph (MinimizeWrapper)", "new graph (problem)", "forward over reverse (torch.func)"


@dataclass(frozen=True)
class Extent:
    """Rows of the data, and rounds."""

    rows: int = 1_000
    rounds: int = 9


QUICK = Extent(rows=8, rounds=1)


def run(extent: Extent) -> Table:
    """Measure.

    Raises:
        RuntimeError: the forms have other products.
    """
    cells = []
    for name, (model, x) in _models(extent.rows).items():
        functions = _functions(model, x)
        reference, *others = [np.asarray(function()) for function in functions.values()]
        if any(np.abs(other - reference).max() > 1e-4 * np.abs(reference).max() for other in others):
            raise RuntimeError(f"{name}: the forms have other products")
        seconds = turns(functions, extent.rounds, patience=0.5)
        for form, values in seconds.items():
            ratio = ratios(seconds, form, KEPT)
            cells.append([f"{name}: {form}", spread([1e3 * value for value in values]), spread(ratio)])
    text = f"One product with the Hessian, {extent.rows:,} rows, float32, one thread; milliseconds."
    return Table("Hessian products", text, ["", "ms", "times a kept graph"], cells)


def _models(rows: int) -> dict[str, tuple[nn.Module, torch.Tensor]]:
    torch.manual_seed(0)
    convolution = nn.Sequential(
        *(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(32 * 11 * 11, 10)),
    )
    return {
        "softmax regression, 784 -> 10": (nn.Linear(784, 10), torch.randn(rows, 784)),
        "784 -> 128 -> 10": (nn.Sequential(nn.Linear(784, 128), nn.Tanh(), nn.Linear(128, 10)), torch.randn(rows, 784)),
        "two convolutions": (convolution, torch.randn(max(rows // 8, 1), 1, 28, 28)),
    }


def _functions(model: nn.Module, x: torch.Tensor) -> dict[str, Callable[[], np.ndarray]]:
    y = torch.randint(10, (len(x),))
    names, parameters = zip(*model.named_parameters(), strict=True)
    flat = FlatTensors(parameters)
    v = np.random.default_rng(0).standard_normal(flat.n)
    start = tuple(parameter.detach() for parameter in parameters)

    def loss(*pieces: torch.Tensor) -> torch.Tensor:
        output = functional_call(model, dict(zip(names, pieces, strict=True)), (x,))
        return nn.functional.cross_entropy(output, y)

    def graph() -> GradientGraph:
        pieces = [piece.clone().requires_grad_() for piece in start]
        return GradientGraph(loss(*pieces), pieces, flat)

    def forward() -> np.ndarray:
        derivative = grad(loss, argnums=tuple(range(len(start))))
        return flat.vector(jvp(derivative, start, tuple(flat.pieces(v)))[1])

    kept = graph()
    return {KEPT: lambda: kept.product(v), NEW: lambda: graph().product(v), FORWARD: forward}
