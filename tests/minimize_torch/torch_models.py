"""Small torch models, data and closures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

CLASSES, FEATURES = 3, 4


def arrays(rows: int = 60, features: int = FEATURES, classes: int = CLASSES) -> tuple[np.ndarray, np.ndarray]:
    """Return x (rows, features) float64 and labels (rows,) int64 that depend on it."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((rows, features))
    y = (x @ rng.standard_normal((features, classes)) + 0.5 * rng.standard_normal((rows, classes))).argmax(axis=1)
    return x, y


def line(dtype: torch.dtype = torch.float64) -> nn.Linear:
    """Return softmax regression's scores: 15 parameters, zeros."""
    model = nn.Linear(FEATURES, CLASSES).to(dtype)
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    return model


def regularized(model: nn.Module, l2: float = 1.0) -> torch.Tensor:
    """Return the summed cross-entropy of `arrays`, and l2 / 2 * ||weights||^2 of what has two dimensions."""
    x, y = (torch.as_tensor(part) for part in arrays())
    dtype = next(model.parameters()).dtype
    loss = nn.functional.cross_entropy(model(x.to(dtype)), y, reduction="sum")
    return loss + l2 / 2 * sum((p**2).sum() for p in model.parameters() if p.dim() > 1)


class Closure:
    """A closure with a model and its loss, as Hessians are computed of."""

    def __init__(self, optimizer: torch.optim.Optimizer, model: nn.Module, loss: Callable[[Any], torch.Tensor]) -> None:
        self.optimizer, self.model, self.loss = optimizer, model, loss

    def __call__(self) -> torch.Tensor:
        """Return the loss, after its gradient was computed."""
        self.optimizer.zero_grad()
        loss = self.loss(self.model)
        loss.backward()
        return loss


def plain(optimizer: torch.optim.Optimizer, loss: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
    """Return a closure as torch's documentation writes them."""

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    return closure


@dataclass(frozen=True)
class Points:
    """A source of rows: `arrays` of any shape of a row."""

    rows: int = 60
    shape: tuple[int, ...] = (FEATURES,)
    classes: int = CLASSES

    def read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Return rows start .. stop - 1."""
        x, y = arrays(self.rows, int(np.prod(self.shape)), max(self.classes, 2))
        return x[start:stop].reshape(-1, *self.shape), y[start:stop] if self.classes else x[start:stop, 0] ** 2


def mlp() -> nn.Module:
    """Return a network whose dropout and BatchNorm count in training mode only."""
    return nn.Sequential(nn.Linear(FEATURES, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Dropout(0.5), nn.Linear(5, CLASSES))


def convolution() -> nn.Module:
    """Return a small network of images (8, 8)."""
    parts = (nn.Conv2d(1, 2, 3), nn.Softplus(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, CLASSES))
    return nn.Sequential(nn.Unflatten(1, (1, 8)), *parts)


def frozen() -> nn.Module:
    """Return a network whose first layer is not trained."""
    model = nn.Sequential(nn.Linear(FEATURES, 5), nn.Tanh(), nn.Linear(5, CLASSES))
    model[0].requires_grad_(requires_grad=False)
    return model


class Tied(nn.Module):
    """A network whose one matrix is used twice, and that has a parameter without use."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(FEATURES, FEATURES)
        self.second = nn.Linear(FEATURES, FEATURES)
        self.second.weight = self.first.weight
        self.unused = nn.Parameter(torch.ones(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores (rows, 3)."""
        return self.second(torch.tanh(self.first(x)))[:, :CLASSES]


class Branching(nn.Module):
    """A model that cannot be traced: what it does depends on values."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(FEATURES, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores (rows, 3)."""
        scores = self.line(x)
        return scores if scores.sum() > -1e9 else scores * 2


class Once(torch.autograd.Function):
    """An operation with a derivative, but no second one."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        """Return x."""
        return x.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        """Return the gradient."""
        return grad


class WithoutSecond(nn.Linear):
    """A model without second derivatives."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores."""
        return Once.apply(super().forward(x))


def digits() -> nn.Module:
    """Return softmax regression of the shipped digits."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


hidden = 3


def resized() -> nn.Module:
    """Return a network of `hidden` units."""
    return nn.Sequential(nn.Linear(FEATURES, hidden), nn.Tanh(), nn.Linear(hidden, CLASSES))


class Pairs(torch.utils.data.Dataset):
    """A Dataset of pairs."""

    def __init__(self, rows: int = 60) -> None:
        """`rows`: of them."""
        self._x, self._y = arrays(rows)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._x)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        """Return a row."""
        return torch.as_tensor(self._x[row]), int(self._y[row])


class Named(Pairs):
    """A Dataset that knows its identity."""

    def __init__(self, name: str) -> None:
        """`name`: its identity."""
        super().__init__()
        self._name = name

    def fingerprint(self) -> str:
        """Return it."""
        return self._name
