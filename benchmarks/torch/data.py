"""Softmax regression of generated images, 784 -> 10, as a torch model."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from benchmarks.workload.data import Generated

L2 = 1e-4


def images(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return x (rows, 784) float32 and labels (rows,)."""
    x, y = Generated(rows, 784).read(0, rows)
    return torch.as_tensor(x, dtype=torch.float32), torch.as_tensor(y)


def line() -> nn.Module:
    """Return the model, its weights zero."""
    model = nn.Linear(784, 10)
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    return model


class Closure:
    """A closure with its model and loss: mean cross-entropy and L2 of the weights.

    Args:
        model: of `line`.
        x, y: of `images`.
        seen: called with each loss.
    """

    def __init__(
        self, model: nn.Module, x: torch.Tensor, y: torch.Tensor, seen: Callable[[float], object] = lambda _: None
    ) -> None:
        self.model, self.rows, self._seen = model, (x, y), seen

    def loss(self, model: nn.Module) -> torch.Tensor:
        """Return the loss."""
        squares = sum((parameter**2).sum() for parameter in model.parameters())
        x, y = self.rows
        return nn.functional.cross_entropy(model(x), y) + L2 * squares

    def __call__(self) -> torch.Tensor:
        """Return the loss, after its gradient was computed."""
        self.model.zero_grad()
        loss = self.loss(self.model)
        loss.backward()
        self._seen(loss.item())
        return loss
