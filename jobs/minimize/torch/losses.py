"""A user's create_model and loss: packed for workers, and the loss as one number a row."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import cloudpickle
import torch
import torch.nn.functional as F  # noqa: N812  torch's own documentation calls it so
from torch import nn

from jobs import usercode
from jobs.errors import InputError

CreateModel = Callable[[], torch.nn.Module] | str
"""A function without arguments that returns a torch.nn.Module, or where to import it from, as `module:function`."""
OF_CLASSES = (nn.CrossEntropyLoss, nn.NLLLoss, nn.MultiMarginLoss, nn.MultiLabelMarginLoss)
FUNCTIONS_OF_CLASSES = (F.cross_entropy, F.nll_loss, F.multi_margin_loss, F.multilabel_margin_loss)
"""Losses of torch that take class numbers as labels; those are not compared with the output entry by entry."""


@dataclass(frozen=True)
class RowLoss:
    """A loss without reduction over rows.

    Attributes:
        function: (output, y) -> losses, (rows,) or (rows, ...).
        entrywise: whether it is one of torch's that compare output and labels entry by entry: labels are then of the
            model's type, and of the output's shape where they have as many entries.
        classes: whether it is one of torch's whose labels are class numbers.
    """

    function: Callable[[Any, Any], Any]
    entrywise: bool
    classes: bool

    def __call__(self, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return one loss a row, (rows,): the mean over what else a row has, as torch's own mean over all has it."""
        losses = self.raw(output, y)
        return losses.flatten(1).mean(1) if losses.dim() > 1 else losses

    def raw(self, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the losses as the function gives them.

        Raises:
            InputError: it is one of torch's that compare entry by entry, and there are not as many labels as outputs.
        """
        if self.entrywise:
            if y.numel() != output.numel():
                raise InputError(
                    f"the model's output has shape {tuple(output.shape[1:])} a row, but y has {tuple(y.shape[1:])}: "
                    "the loss compares them entry by entry"
                )
            y = y.view_as(output)  # torch would compare each row of (rows, 1) with all labels of (rows,)
        losses: torch.Tensor = self.function(output, y)
        return losses

    def to(self, device: torch.device, dtype: torch.dtype) -> RowLoss:
        """Return the loss with its weights of classes, if it has any, on a device and of a type."""
        module = self.function
        return replace(self, function=module.to(device, dtype)) if isinstance(module, nn.Module) else self


def packed(create_model: CreateModel, loss: Any) -> bytes:
    """Return both as bytes: unpickling may import PyTorch, which must not happen on an event loop.

    Raises:
        InputError: one of them has the wrong type, or cannot be pickled.
    """
    if isinstance(create_model, nn.Module):
        raise InputError(
            "create_model is a module, but must be the function that makes it (def create_model(): ... return model), "
            "since each worker builds its own"
        )
    if isinstance(create_model, str):
        usercode.load("create_model", create_model, "my_network:create_model")
    elif not callable(create_model):
        raise InputError(f"create_model is {create_model!r}, but must be a function or 'module:function'")
    row_loss(loss)
    rest = ": define them at the top of a module, and open files inside the function"
    with usercode.refused("create_model or loss cannot be sent to workers", rest):
        return cloudpickle.dumps((create_model, loss))  # type: ignore[no-any-return]  # cloudpickle is untyped


def unpacked(code: bytes) -> tuple[Callable[[], Any], RowLoss]:
    """Return create_model, and the loss as one number a row.

    Raises:
        InputError: what the code refers to cannot be imported in this process.
    """
    rest = "; their module must be on the Python path of the driver and of every worker"
    with usercode.refused("create_model or loss cannot be imported here", rest):
        create_model, loss = cloudpickle.loads(code)
    if isinstance(create_model, str):
        create_model = usercode.load("create_model", create_model, "my_network:create_model")
    return create_model, row_loss(loss)


def row_loss(loss: Any) -> RowLoss:
    """Return a loss as one number a row, with any `reduction` of the user's.

    Raises:
        InputError: it is not a loss.
    """
    if isinstance(loss, type) or not callable(loss):
        raise InputError(
            f"loss is {loss!r}, but must be a loss of torch, such as torch.nn.CrossEntropyLoss() or "
            "torch.nn.functional.mse_loss, or a function (output, y) -> one loss a row"
        )
    if isinstance(loss, nn.Module):
        module = copy.deepcopy(loss)
        if hasattr(module, "reduction"):
            module.reduction = "none"
        classes = isinstance(loss, OF_CLASSES)
        return RowLoss(module, entrywise=_is_torchs(type(loss)) and not classes, classes=classes)
    plain = loss
    while isinstance(plain, partial):
        plain = plain.func
    classes = plain in FUNCTIONS_OF_CLASSES
    function = partial(loss, reduction="none") if _reduces(plain) else loss
    return RowLoss(function, entrywise=_is_torchs(plain) and not classes, classes=classes)


def _is_torchs(kind: Any) -> bool:
    return str(getattr(kind, "__module__", "")).partition(".")[0] == "torch"


def _reduces(loss: Any) -> bool:
    try:
        return "reduction" in inspect.signature(loss).parameters
    except (TypeError, ValueError):
        return False
