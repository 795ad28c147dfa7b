"""What a torch problem is told apart by: its data, and what its model and loss compute."""

from __future__ import annotations

import pickle
from functools import partial

import torch
import torch_models as models
from torch import nn
from torch_models import Points

from jobs.minimize.torch import problem, replica


def test_a_dataset_by_its_factory():
    """A torch Dataset is read as arrays are: the value and the identity's data do not depend on the form."""
    by_factory = problem(models.mlp, nn.CrossEntropyLoss(), models.Pairs)
    by_source = problem(models.mlp, nn.CrossEntropyLoss(), Points())
    theta = by_source.x0()
    values = [made.value_and_grad(theta, made.load(0, 60))[0] for made in (by_factory, by_source)]
    assert values[0] == values[1]
    again = pickle.loads(pickle.dumps(by_factory))
    assert again.fingerprint() == by_factory.fingerprint()
    assert (
        problem(models.mlp, nn.CrossEntropyLoss(), lambda: models.Pairs(61)).fingerprint() != by_factory.fingerprint()
    )
    named = [
        problem(models.mlp, nn.CrossEntropyLoss(), partial(models.Named, name)).fingerprint() for name in ("a", "b")
    ]
    assert named[0] != named[1]


def test_fingerprint_tells_what_changes_the_loss():
    """Another activation, loss, dtype, block length, data or frozen weight has another; the same have the same."""
    data = Points(classes=0)

    def net(activation, seed=1):
        def create_model():
            torch.manual_seed(seed)
            model = nn.Sequential(nn.Linear(4, 3), activation, nn.Linear(3, 1))
            model[0].requires_grad_(requires_grad=False)
            return model

        return create_model

    made = problem(net(nn.Tanh()), nn.MSELoss(), data, block_rows=8)
    replica._replicas.clear()
    assert problem(net(nn.Tanh()), nn.MSELoss(), data, block_rows=8).fingerprint() == made.fingerprint()
    others = [
        problem(net(nn.ReLU()), nn.MSELoss(), data, block_rows=8),
        problem(net(nn.Tanh()), nn.L1Loss(), data, block_rows=8),
        problem(net(nn.Tanh()), nn.HuberLoss(delta=0.5), data, block_rows=8),
        problem(net(nn.Tanh()), nn.HuberLoss(delta=0.6), data, block_rows=8),
        problem(net(nn.Tanh()), nn.MSELoss(), data, block_rows=9),
        problem(net(nn.Tanh()), nn.MSELoss(), data, block_rows=8, dtype="float64"),
        problem(net(nn.Tanh()), nn.MSELoss(), Points(classes=0, rows=61), block_rows=8),
        problem(net(nn.Tanh(), seed=2), nn.MSELoss(), data, block_rows=8),
    ]
    assert len({made.fingerprint(), *(other.fingerprint() for other in others)}) == 9


def test_a_model_that_branches_has_the_identity_of_its_code():
    """What cannot be traced is told apart by name and source."""
    made = problem(models.Branching, nn.CrossEntropyLoss(), Points())
    assert made.fingerprint() == problem(models.Branching, nn.CrossEntropyLoss(), Points()).fingerprint()
    assert made.fingerprint() != problem(models.Branching, nn.MultiMarginLoss(), Points()).fingerprint()


class Scaled(nn.Linear):
    """A model whose gradient is scaled, and its output is not."""

    def __init__(self, scale: float) -> None:
        super().__init__(4, 3)
        self.scale = scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        part = super().forward(x)
        return part.detach() + self.scale * (part - part.detach())


def test_fingerprint_tells_what_changes_the_gradient_alone():
    """Two models of one loss and other gradients are other problems."""
    made = [problem(partial(Scaled, scale), nn.CrossEntropyLoss(), Points()) for scale in (1.0, 2.0)]
    values = [one.value_and_grad(one.x0(), one.load(0, 60))[0] for one in made]
    assert values[0] == values[1]
    assert made[0].fingerprint() != made[1].fingerprint()


def test_a_factory_whose_module_changed_is_called_again():
    """A problem that is made again has the model that its factory makes now; a module of the user's is left alone."""
    own = nn.Linear(4, 3).double().train()
    problem(lambda: own, nn.CrossEntropyLoss(), Points())
    assert (own.training, own.weight.dtype) == (True, torch.float64)
    sizes = []
    for models.hidden in (3, 5):
        sizes.append(len(problem("torch_models:resized", nn.CrossEntropyLoss(), Points()).x0()))
    assert sizes == [3 * 5 + 3 * 4, 5 * 5 + 3 * 6]
