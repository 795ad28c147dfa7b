"""Training and evaluation mode of a model, by which its loss may be random or another function at each call."""

from __future__ import annotations

import torch
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from jobs.errors import InputError


def check_modes(model: torch.nn.Module) -> None:
    """Check that a model's loss is a function of its parameters.

    BatchNorm in training mode is one, as all the data are one batch: it normalizes by that batch's statistics.

    Raises:
        InputError: dropout is on, or BatchNorm layers are partly in training mode, partly not.
    """
    for name, module in model.named_modules():
        if module.training and isinstance(module, _DropoutNd) and module.p > 0:
            raise InputError(
                f"dropout is on in {name or 'the model'!r}: the loss is random, and SciPy's methods need a function of "
                "the parameters alone; call model.eval() first"
            )
    norms = {name: module.training for name, module in model.named_modules() if isinstance(module, _BatchNorm)}
    if len(set(norms.values())) > 1:
        trains, evaluates = (next(name for name, mode in norms.items() if mode is wanted) for wanted in (True, False))
        raise InputError(
            f"{trains!r} is in training mode and {evaluates!r} in evaluation mode: call model.train() or model.eval()"
        )
