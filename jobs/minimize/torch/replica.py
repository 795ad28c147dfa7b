"""One torch model in one process, as functions of a flat vector of weights."""

from __future__ import annotations

import copy
import hashlib
import random
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.func import functional_call

from jobs.errors import InputError, UserCodeError
from jobs.formatting import error_first_line
from jobs.minimize.problems.model import Replicas, Spec
from jobs.minimize.torch.flat import FlatTensors
from jobs.minimize.torch.identity import computation
from jobs.minimize.torch.losses import unpacked
from jobs.minimize.torch.second import GradientGraph
from jobs.usercode import is_interrupt

Vector = NDArray[np.float64]
TRIED_ROWS = 3
"""Rows by which it is checked that model, loss and data fit."""
_building = threading.RLock()


def replica_of(spec: Spec, frozen: str | None = None) -> Replica:
    """Return this process's replica, built by the first caller while others wait.

    Args:
        spec: what it is built from.
        frozen: the digest that the weights outside theta must have, if known.

    Raises:
        InputError, UserCodeError: as `Replica`.
    """
    return _replicas.built(spec, lambda: Replica(spec, frozen))


class Replica:
    """A model, and its loss as a function of theta. Threads share it; each has a copy of the module.

    Weights come in as a flat vector theta, (n,) float64: the parameters with requires_grad in the order of
    `named_parameters()`, each raveled; tied ones count once. The others and the buffers keep their initial values, and
    the model is in evaluation mode (no dropout, BatchNorm by its running statistics), since the loss must be a function
    of theta alone. It is on a GPU where the process has one.

    Attributes:
        frozen: digest of parameters and buffers outside theta.
        shapes: name and shape of each parameter in theta, in its order.

    Raises:
        UserCodeError: create_model raised, or makes other frozen weights than `frozen`.
        InputError: model, loss and data do not fit.
    """

    def __init__(self, spec: Spec, frozen: str | None) -> None:
        self._spec = spec
        create_model, self._loss = unpacked(spec.code)
        self._dtype = getattr(torch, spec.dtype)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model = built(create_model).to(self._device, self._dtype).eval()
        parameters = {name: value for name, value in self._model.named_parameters() if value.requires_grad}
        if not parameters:
            raise InputError(
                "create_model returned a module without trainable parameters: there is nothing to minimize"
            )
        self.shapes = tuple((name, tuple(value.shape)) for name, value in parameters.items())
        self._flat, self._start = FlatTensors(list(parameters.values())), list(parameters.values())
        self.frozen = _frozen_digest(self._model)
        if frozen not in (None, self.frozen):
            raise UserCodeError(
                "create_model makes weights outside theta (buffers, or with requires_grad=False) that differ from the "
                "driver's: give every source of randomness a seed, and every process the same files"
            )
        self._threads = threading.local()
        self._check_losses()

    def vector(self) -> Vector:
        """Return the initial weights, (n,) float64."""
        return self._flat.vector(self._start)

    def tensors(self, x: NDArray[Any], y: NDArray[Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return rows as tensors: x of the model's type, y too where the loss takes numbers, integers else as int64."""
        kind = self._spec.dtype if self._loss.floats or y.dtype.kind == "f" else np.int64
        return torch.as_tensor(x, device=self._device), torch.as_tensor(y.astype(kind), device=self._device)

    def value_and_grad(self, theta: Vector, x: torch.Tensor, y: torch.Tensor) -> tuple[float, Vector]:
        """Return loss and gradient (n,) float64, summed over the rows."""
        pieces = self._pieces(theta)
        value = self._value(pieces, x, y)
        grads = torch.autograd.grad(value, pieces, allow_unused=True)
        return float(value.detach()), self._flat.vector(grads)

    def graph(self, theta: Vector, x: torch.Tensor, y: torch.Tensor) -> GradientGraph:
        """Return the gradient with its graph.

        Raises:
            InputError: the loss has no second derivative.
        """
        pieces = self._pieces(theta)
        return GradientGraph(self._value(pieces, x, y), pieces, self._flat)

    def to_model(self, theta: Vector) -> torch.nn.Module:
        """Return a copy of the module, on the CPU, with the weights set."""
        model = copy.deepcopy(self._model)
        parameters = [value for value in model.parameters() if value.requires_grad]
        with torch.no_grad():
            for parameter, piece in zip(parameters, self._flat.pieces(np.array(theta)), strict=True):
                parameter.copy_(piece)
        return model.cpu()

    def fingerprint(self) -> str:
        """Return a digest of what the loss depends on beside theta and data: operations, constants, frozen weights."""
        pieces = [piece.detach() for piece in self._pieces(self.vector())]
        operations = computation(self._losses, pieces, *self._tried(), name=self._loss.name, spec=self._spec)
        return hashlib.blake2b(f"{operations} {self.frozen}".encode(), digest_size=16).hexdigest()

    def _pieces(self, theta: Vector) -> list[torch.Tensor]:
        pieces = self._flat.pieces(np.ascontiguousarray(theta, dtype=np.float64))
        return [piece.detach().requires_grad_() for piece in pieces]

    def _value(self, pieces: list[torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the loss summed over the rows, () float64."""
        return self._losses(pieces, x, y).sum(dtype=torch.float64)

    def _losses(self, pieces: list[torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self._loss(self._output(pieces, x), y)

    def _output(self, pieces: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        # functional_call sets the module's parameters meanwhile, so two threads cannot share a module.
        if not hasattr(self._threads, "model"):
            self._threads.model = copy.deepcopy(self._model)
        weights = {name: piece for (name, _), piece in zip(self.shapes, pieces, strict=True)}
        output: torch.Tensor = functional_call(self._threads.model, weights, (x,))
        return output

    def _tried(self) -> tuple[torch.Tensor, torch.Tensor]:
        shapes = ((TRIED_ROWS, *row) for row in (self._spec.x_row, self._spec.y_row))
        x, y = next(shapes), next(shapes)
        return self.tensors(np.zeros(x, self._spec.dtype), np.zeros(y, self._spec.y_dtype))

    def _check_losses(self) -> None:
        """Check with some rows of zeros that the loss gives one number a row, of the parameters."""
        pieces, (x, y) = self._pieces(self.vector()), self._tried()
        try:
            output = self._output(pieces, x)
            losses = self._loss(output, y)
        except BaseException as error:
            if isinstance(error, InputError) or is_interrupt(error):
                raise
            raise InputError(
                f"model, loss and data do not fit: {error_first_line(error)} (tried with {TRIED_ROWS} rows; one row of "
                f"x has shape {self._spec.x_row}, one of y {self._spec.y_row})",
                traceback.format_exc(),
            ) from error
        if tuple(losses.shape) != (TRIED_ROWS,):
            raise InputError(
                f"loss gives shape {tuple(losses.shape)} for {TRIED_ROWS} rows, but must give one number a row, not "
                "their mean or sum"
            )
        classes = self._spec.classes
        if self._loss.classes and classes is not None and output.shape[1] < classes:
            raise InputError(
                f"the model's output has {output.shape[1]} entries a row, but the labels are of {classes} classes: its "
                f"last layer needs {classes}"
            )
        if not losses.requires_grad:
            raise InputError("the loss does not depend on the model's parameters, or detaches them from its graph")


_replicas: Replicas[Replica] = Replicas(_building)


def built(create_model: Callable[[], Any]) -> torch.nn.Module:
    """Return a new module with the initial weights of seed 0, without changing any generator of the caller's.

    Raises:
        UserCodeError: create_model raised.
        InputError: it returned something else than a module.
    """
    with _seeded():
        try:
            model = create_model()
        except BaseException as error:
            if is_interrupt(error):
                raise
            text = f"create_model raised {error_first_line(error)}"
            raise UserCodeError(text, traceback.format_exc()) from error
    if not isinstance(model, torch.nn.Module):
        raise InputError(f"create_model returned {type(model).__name__}, but must return a torch.nn.Module")
    if any(isinstance(value, torch.nn.parameter.UninitializedParameter) for value in model.parameters()):
        raise InputError("create_model returned a module with lazy parameters: call it once with some rows first")
    return model


@contextmanager
def _seeded() -> Iterator[None]:
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  a user's factory may draw from it
    with torch.random.fork_rng():
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002


def _frozen_digest(model: torch.nn.Module) -> str:
    digest = hashlib.blake2b(digest_size=16)
    frozen = [value for value in model.parameters() if not value.requires_grad]
    for value in [*frozen, *model.buffers()]:
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
