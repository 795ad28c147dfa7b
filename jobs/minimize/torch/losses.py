"""A user's create_model and loss: packed for workers, and the loss as one number a row."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import cloudpickle
import torch

from jobs import usercode
from jobs.errors import InputError

CreateModel = Callable[[], torch.nn.Module] | str
"""A function without arguments that returns a torch.nn.Module, or where to import it from, as `module:function`."""
OF_CLASSES = ("CrossEntropyLoss", "NLLLoss", "MultiMarginLoss", "cross_entropy", "nll_loss", "multi_margin_loss")
"""Losses of torch that take class numbers as labels."""


@dataclass(frozen=True)
class RowLoss:
    """A loss without reduction over rows.

    Attributes:
        function: (output, y) -> losses, (rows,) or (rows, ...).
        name: what it is called, with its parameters.
        floats: whether labels are converted to the model's type: for losses of torch that are not of classes.
        classes: whether labels are class numbers.
    """

    function: Callable[[Any, Any], Any]
    name: str
    floats: bool
    classes: bool

    def __call__(self, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return one loss a row, (rows,): the mean over what else a row has, as torch's own mean over all has it.

        Labels (rows,) become (rows, 1) for an output of that shape: torch would compare each row with all labels.
        """
        if not self.classes and y.dim() == 1 and output.dim() == 2 and output.shape[1] == 1:
            y = y[:, None]
        losses = self.function(output, y)
        return losses.flatten(1).mean(1) if losses.dim() > 1 else losses


def packed(create_model: CreateModel, loss: Any) -> bytes:
    """Return both as bytes: unpickling may import PyTorch, which must not happen on an event loop.

    Raises:
        InputError: one of them has the wrong type, or cannot be pickled.
    """
    if isinstance(create_model, torch.nn.Module):
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
    own = "reduction" in vars(loss) if isinstance(loss, torch.nn.Module) else _reduces(loss)
    kind = type(loss).__name__ if isinstance(loss, torch.nn.Module) else getattr(loss, "__name__", "")
    function = loss
    if own and isinstance(loss, torch.nn.Module):
        function = copy.deepcopy(loss)
        function.reduction = "none"
    elif own:
        function = partial(loss, reduction="none")
    state = sorted(vars(function).items()) if isinstance(function, torch.nn.Module) and own else []
    name = (
        f"{getattr(loss, '__module__', '')} {getattr(loss, '__qualname__', kind)} {[s for s in state if _plain(s[1])]}"
    )
    return RowLoss(function, name, floats=own and kind not in OF_CLASSES, classes=own and kind in OF_CLASSES)


def _reduces(loss: Any) -> bool:
    try:
        return "reduction" in inspect.signature(loss).parameters
    except (TypeError, ValueError):
        return False


def _plain(value: Any) -> bool:
    return isinstance(value, int | float | str)
