"""The reference's examples, written anew: logistic regression of digits, by gradients and by Hessians."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch_models import Closure, digits

from jobs.datasets import open_dataset
from jobs.minimize.torch import MinimizeWrapper


@pytest.fixture(scope="module")
def rows() -> tuple[torch.Tensor, torch.Tensor]:
    """Return the shipped digits, x (1797, 8, 8) in 0..1 and labels."""
    data = open_dataset("digits")
    x, y = data.read(0, data.rows)
    return torch.as_tensor(x * data.scale, dtype=torch.float32), torch.as_tensor(y.astype(np.int64))


@pytest.mark.parametrize(("method", "accuracy"), [("CG", 0.97), ("L-BFGS-B", 0.97), ("TNC", 0.97)])
def test_logistic_regression(method, accuracy, rows):
    """A model in single precision reaches 97 % of its training data in 100 iterations, also by L-BFGS-B and TNC."""
    x, y = rows
    torch.manual_seed(0)
    model = digits()
    options = {"maxfun": 400} if method == "TNC" else {"disp": False, "maxiter": 100}
    optimizer = MinimizeWrapper(model.parameters(), {"method": method, "options": options})

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        return loss

    optimizer.step(closure)
    assert float((model(x).argmax(1) == y).float().mean()) > accuracy


@pytest.mark.parametrize("method", ["Newton-CG", "trust-ncg", "trust-krylov"])
def test_logistic_regression_by_hessians(method, rows):
    """Second derivatives come from the closure's model and loss; ten iterations are enough, none copies the model."""
    x, y = rows
    torch.manual_seed(0)
    model = digits()
    optimizer = MinimizeWrapper(model.parameters(), {"method": method, "options": {"maxiter": 10}})

    def loss(model: nn.Module) -> torch.Tensor:
        weights = sum((p**2).sum() for p in model.parameters())
        return nn.functional.cross_entropy(model(x), y) + 1e-4 * weights

    optimizer.step(Closure(optimizer, model, loss))
    assert float((model(x).argmax(1) == y).float().mean()) > 0.97
