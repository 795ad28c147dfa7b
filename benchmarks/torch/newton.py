"""Newton-CG beside the way of pytorch-minimize: a copy of the model and its full Hessian at each point."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from scipy import optimize

from benchmarks.report import Table, Target, spread
from benchmarks.torch.data import L2, Closure, images, line
from benchmarks.torch.turns import ratios, rows, turns
from jobs.minimize.torch import MinimizeWrapper


@dataclass(frozen=True)
class Extent:
    """Images, iterations and rounds."""

    rows: int = 1_000
    iterations: int = 2
    rounds: int = 3


QUICK = Extent(rows=20, iterations=1, rounds=1)


def ours(extent: Extent) -> float:
    """Return the loss after some iterations of Newton-CG."""
    closure = Closure(line(), *images(extent.rows))
    options = {"maxiter": extent.iterations}
    optimizer = MinimizeWrapper(closure.model.parameters(), {"method": "Newton-CG", "options": options})
    optimizer.step(closure)
    return float(optimizer.res.fun)


def full_hessian(extent: Extent) -> float:
    """Return the same by a full Hessian, of a deep copy whose parameters are replaced by pieces of a vector."""
    closure = Closure(line(), *images(extent.rows))
    parameters = list(closure.model.parameters())
    sizes = [parameter.numel() for parameter in parameters]

    def place(theta: np.ndarray) -> None:
        pieces = torch.from_numpy(theta.astype(np.float32)).split(sizes)
        for parameter, piece in zip(parameters, pieces, strict=True):
            parameter.data = piece.view_as(parameter)

    def value_and_grad(theta: np.ndarray) -> tuple[float, np.ndarray]:
        place(theta)
        loss = closure()
        return loss.item(), np.concatenate([parameter.grad.numpy().ravel() for parameter in parameters])

    def hess(theta: np.ndarray) -> np.ndarray:
        model = copy.deepcopy(closure.model)

        def loss(vector: torch.Tensor) -> torch.Tensor:
            for (name, parameter), piece in zip(closure.model.named_parameters(), vector.split(sizes), strict=True):
                delattr(model, name)  # a parameter, or the piece of another point
                setattr(model, name, piece.view_as(parameter))
            x, y = closure.rows
            squares = sum((piece**2).sum() for piece in vector.split(sizes))
            return torch.nn.functional.cross_entropy(model(x), y) + L2 * squares

        return torch.autograd.functional.hessian(loss, torch.from_numpy(theta.astype(np.float32))).numpy()

    start = np.concatenate([parameter.detach().numpy().ravel() for parameter in parameters]).astype(np.float64)
    options = {"maxiter": extent.iterations}
    found = optimize.minimize(value_and_grad, start, jac=True, hess=hess, method="Newton-CG", options=options)
    return float(found.fun)


def run(extent: Extent) -> Table:
    """Measure.

    Raises:
        RuntimeError: the two end at other losses.
    """
    losses = [function(extent) for function in (ours, full_hessian)]
    if abs(losses[0] / losses[1] - 1) > 1e-3:
        raise RuntimeError(f"Newton-CG ends at a loss of {losses[0]}, with full Hessians at {losses[1]}")
    base = "Hessian products (ours)"
    seconds = turns({base: lambda: ours(extent), "full Hessian": lambda: full_hessian(extent)}, extent.rounds)
    found = ratios(seconds, "full Hessian", base)
    wanted = "Newton-CG, 784 -> 10: at least 10 x as fast as by full Hessians"
    target = Target(wanted, f"{spread(found, 0)} x", min(found) >= 10)
    what = f"softmax regression, 784 -> 10, {extent.rows:,} images, float32"
    text = f"{extent.iterations} iterations of Newton-CG on {what}; seconds."
    return Table("Newton-CG", text, ["", "seconds", "times ours"], rows(seconds, base), [target])
