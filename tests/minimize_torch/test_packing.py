"""Parameters as one vector: of which kinds they may be, and whose memory they are in."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_models import CLASSES, Tied, arrays, line, plain, regularized

from jobs.minimize.torch import MinimizeWrapper


def squares(parameters):
    """Return a loss whose optimum is 1, 2, 3, ... in the parameters' order."""
    start, total = 1, 0.0
    for parameter in parameters:
        wanted = torch.arange(start, start + parameter.numel()).reshape(parameter.shape).to(parameter)
        total = total + ((parameter - wanted) ** 2).sum().to("cpu", torch.float64)
        start += parameter.numel()
    return total


def kinds():
    base = torch.zeros(3, 4, dtype=torch.float64)
    shared = torch.zeros(10)
    return {
        "types": [torch.zeros(2), torch.zeros(3, dtype=torch.float64), torch.zeros(2, 2)],
        "scalar": [torch.zeros((), dtype=torch.float64), torch.zeros(2)],
        "transposed": [base.t()],
        "sliced": [torch.zeros(6)[::2], torch.zeros(4, 4)[1:3, 1:]],
        "apart in one memory": [shared[:4], shared[4:]],
        "channels last": [torch.zeros(2, 3, 4, 4).to(memory_format=torch.channels_last)],
        "empty": [torch.zeros(0), torch.zeros(3)],
        "devices": [torch.zeros(2, device="cpu"), torch.zeros(2, device="cpu:0", dtype=torch.float64)],
    }


@pytest.mark.parametrize("kind", kinds())
def test_parameters_of_every_kind_are_optimized(kind):
    """Each ends at its optimum in its own memory, with its type, shape and strides."""
    parameters = [torch.nn.Parameter(value) for value in kinds()[kind]]
    before = [(p.data_ptr(), p.dtype, p.shape, p.stride()) for p in parameters]
    optimizer = MinimizeWrapper(parameters, {"method": "BFGS"})
    optimizer.step(plain(optimizer, lambda: squares(parameters)))
    assert [(p.data_ptr(), p.dtype, p.shape, p.stride()) for p in parameters] == before
    found = np.concatenate([p.detach().double().reshape(-1).numpy() for p in parameters])
    np.testing.assert_allclose(found, np.arange(1, found.size + 1), rtol=1e-5)


def test_memory_that_others_refer_to_sees_the_result():
    """An array of a parameter's memory, as one takes it for a plot, has the new values."""
    model = line()
    array = model.weight.detach().numpy()
    optimizer = MinimizeWrapper(model.parameters(), {"method": "BFGS"})
    optimizer.step(plain(optimizer, lambda: regularized(model)))
    np.testing.assert_array_equal(array, model.weight.detach().numpy())
    assert np.abs(array).max() > 0


def test_aliases_follow_while_scipy_works():
    """What shares a parameter's memory, a frozen tied decoder say, has its values in each evaluation."""
    torch.manual_seed(0)
    encode, decode = (torch.nn.Linear(2, 2, bias=False).double() for _ in range(2))
    decode.weight = torch.nn.Parameter(encode.weight.data.t(), requires_grad=False)
    x = torch.eye(2, dtype=torch.float64)
    optimizer = MinimizeWrapper(encode.parameters(), {"method": "Nelder-Mead", "options": {"maxiter": 2000}})

    def loss() -> torch.Tensor:
        return ((decode(encode(x)) - x) ** 2).sum()

    optimizer.step(lambda: loss().detach())
    assert loss().item() == optimizer.res.fun < 1e-6


def test_tied_unused_and_frozen_parameters():
    """A tied one counts once, one without use keeps its value, one without requires_grad is left out."""
    torch.manual_seed(0)
    model = Tied().double()
    model.first.bias.requires_grad_(requires_grad=False)
    before = model.first.bias.clone()
    x, y = (torch.as_tensor(part) for part in arrays())
    optimizer = MinimizeWrapper(model.parameters(), {"method": "BFGS", "options": {"maxiter": 5}})

    def loss() -> torch.Tensor:
        return torch.nn.functional.cross_entropy(model(x), y)

    start = loss().item()
    optimizer.step(plain(optimizer, loss))
    assert optimizer.res.fun < start
    assert optimizer.res.x.size == 4 * 4 + 4 + 2
    assert model.second.weight is model.first.weight
    assert torch.equal(model.unused, torch.ones(2, dtype=torch.float64))
    assert torch.equal(model.first.bias, before)
    assert CLASSES == 3


def test_sparse_gradients():
    """Gradients of a sparse Embedding are made dense."""
    table = torch.nn.Embedding(4, 2, sparse=True)
    optimizer = MinimizeWrapper(table.parameters(), {"method": "BFGS"})
    optimizer.step(plain(optimizer, lambda: torch.sum((table(torch.tensor([0, 2])) - 3.0) ** 2)))
    np.testing.assert_allclose(table.weight.detach()[[0, 2]], 3, rtol=1e-5)
