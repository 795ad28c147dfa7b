"""What cannot be a torch problem is refused before any work begins."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch_models as models
from torch import nn
from torch_models import Points

from jobs.errors import DataError, InputError, UserCodeError
from jobs.minimize.torch import problem


class Random(nn.Linear):
    """A model whose dropout is on in evaluation mode, too."""

    def __init__(self) -> None:
        super().__init__(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(super().forward(x))


class Counting(nn.Linear):
    """A model that counts its calls."""

    def __init__(self) -> None:
        super().__init__(4, 3)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return super().forward(x)


def scalar(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(output, y)


BAD = {
    "model": (nn.Linear(4, 3), nn.CrossEntropyLoss(), {}, "create_model is a module, but must be the function"),
    "name": ("torch_models:mpl", nn.CrossEntropyLoss(), {}, "create_model torch_models:mpl.*mlp"),
    "no function": (3, nn.CrossEntropyLoss(), {}, "create_model is 3, but must be a function"),
    "no module": (lambda: 3, nn.CrossEntropyLoss(), {}, "create_model returned int, but must return a torch.nn.Module"),
    "lazy": (lambda: nn.LazyLinear(3), nn.CrossEntropyLoss(), {}, "lazy parameters: call it once"),
    "no parameters": (nn.Flatten, nn.CrossEntropyLoss(), {}, "without trainable parameters"),
    "class": (models.mlp, nn.CrossEntropyLoss, {}, "loss is <class .*but must be a loss of torch"),
    "mean": (models.mlp, scalar, {}, r"loss gives shape \(\) for 3 rows, but must give one number a row"),
    "shape": (
        lambda: nn.Linear(5, 3),
        nn.CrossEntropyLoss(),
        {},
        "model, loss and data do not fit: .*one row of x has shape",
    ),
    "pairs": (lambda: nn.Linear(4, 1), lambda o, y: (o - y) ** 2, {}, r"gives shape \(3, 3\) for 3 rows.* each pair"),
    "sum over rows": (models.line, lambda o, y: (o**2).mean(0), {}, r"gives shape \(3,\) for 7 rows"),
    "entries": (models.line, nn.MSELoss(), {}, r"output has shape \(3,\) a row, but y has \(\): the loss compares"),
    "complex": (models.line, lambda o, y: o[:, 0] * 1j, {}, "loss gives complex64, but must give real numbers"),
    "random": (Random, nn.CrossEntropyLoss(), {}, "the model's loss is random: "),
    "changing": (Counting, nn.CrossEntropyLoss(), {}, "the model changes its buffers"),
    "a dataset": (
        models.mlp,
        nn.CrossEntropyLoss(),
        {"data": models.Pairs()},
        "a Dataset, but must be the function or class",
    ),
    "pairs of names": (models.mlp, nn.MSELoss(), {"data": lambda: [{"x": 1, "y": 2}]}, "no pair .*it is dict"),
    "texts": (models.mlp, nn.MSELoss(), {"data": lambda: [(1.0, "a")]}, "it has <U1, but must have real numbers"),
    "classes": (lambda: nn.Linear(4, 2), nn.CrossEntropyLoss(), {}, "output has 2 entries a row, but .* of 3 classes"),
    "dtype": (models.mlp, nn.CrossEntropyLoss(), {"dtype": "float16"}, "dtype is 'float16', but must be"),
    "block_rows": (models.mlp, nn.CrossEntropyLoss(), {"block_rows": 0}, "block_rows is 0, but must be a positive"),
    "data": (
        models.mlp,
        nn.CrossEntropyLoss(),
        {"data": lambda: 3},
        "data returned int, but must return a Dataset with",
    ),
    "second": (models.WithoutSecond, nn.CrossEntropyLoss(), {}, ""),
}


@pytest.mark.parametrize("name", [name for name in BAD if name != "second"])
def test_mistakes(name):
    """What cannot be a problem is refused before any work begins."""
    create_model, loss, options, text = BAD[name]
    with pytest.raises(InputError, match=text):
        problem(create_model, loss, **{"data": Points(), **options})


def test_factories_that_raise_or_are_not_repeatable():
    """An error of create_model is the user's, with its text; frozen weights must be the same in every process."""

    def broken():
        raise RuntimeError("no file")

    with pytest.raises(UserCodeError, match="create_model raised RuntimeError: no file"):
        problem(broken, nn.CrossEntropyLoss(), Points())
    made = problem(models.frozen, nn.CrossEntropyLoss(), Points())
    with pytest.raises(UserCodeError, match="weights outside theta"):
        replace(made, spec=replace(made.spec, rows=61), frozen="another").x0()


def test_short_data_and_rows_that_are_no_pairs():
    """Data that give fewer rows than asked for are an error, not a smaller sum."""
    made = problem(models.mlp, nn.CrossEntropyLoss(), Points())
    with pytest.raises(DataError, match="returned 10 rows of x"):
        replace(made, data=Points(rows=10)).load(0, 60)
    with pytest.raises(DataError, match="row 0 of data's Dataset is no pair"):
        problem(models.mlp, nn.CrossEntropyLoss(), lambda: torch.zeros(5))
