"""One torch model in one process, as functions of a flat vector of weights."""

from __future__ import annotations

import copy
import hashlib
import random
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
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
TRIED_ROWS = (3, 7)
"""Numbers of rows by which it is checked that model, loss and data fit."""
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


def rebuilt(spec: Spec) -> Replica:
    """Return the same, built anew in this process.

    Raises:
        InputError, UserCodeError: as `Replica`.
    """
    with _building:
        _replicas.pop(spec, None)
        return replica_of(spec)


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
        create_model, loss = unpacked(spec.code)
        self._dtype = getattr(torch, spec.dtype)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._loss = loss.to(self._device, self._dtype)
        # A copy: a factory may return a module that is the user's own.
        self._model = copy.deepcopy(built(create_model)).to(self._device, self._dtype).eval()
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
        self._checked = False
        self._check_losses()

    def vector(self) -> Vector:
        """Return the initial weights, (n,) float64."""
        return self._flat.vector(self._start)

    def tensors(self, x: NDArray[Any], y: NDArray[Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return rows as tensors: x of the model's type, y too where the loss takes numbers, integers else as int64."""
        kind = self._spec.dtype if self._loss.entrywise or y.dtype.kind == "f" else np.int64
        return torch.as_tensor(x, device=self._device), torch.as_tensor(y.astype(kind), device=self._device)

    def value_and_grad(self, theta: Vector, x: torch.Tensor, y: torch.Tensor) -> tuple[float, Vector]:
        """Return loss and gradient (n,) float64, summed over the rows."""
        value, grads = self._derived(self._pieces(theta), x, y)
        return float(value.detach()), self._flat.vector(grads)

    def graph(self, theta: Vector, x: torch.Tensor, y: torch.Tensor) -> GradientGraph:
        """Return the gradient with its graph.

        Raises:
            InputError: the loss has no second derivative.
        """
        pieces = self._pieces(theta)
        graph = GradientGraph(self._value(pieces, x, y), pieces, self._flat)
        if not self._checked:
            graph.check()
            self._checked = True
        return graph

    def check_repeatable(self, x: torch.Tensor, y: torch.Tensor) -> None:
        """Check with some rows that the loss is a function of the parameters alone.

        Raises:
            InputError: it is random, or the model changes its buffers.
        """
        theta = self.vector()
        (one, first), (two, second) = (self.value_and_grad(theta, x, y) for _ in range(2))
        if _frozen_digest(self._threads.model) != self.frozen:
            raise InputError(
                "the model changes its buffers when it is called in evaluation mode: its loss is another function at "
                "each call; keep what it counts out of the model"
            )
        if self._device.type == "cpu" and (one, first.tobytes()) != (two, second.tobytes()):
            raise InputError(
                f"the model's loss is random: {one:.8g}, then {two:.8g} at the same parameters in evaluation mode; "
                "nn.Dropout is off then, functional.dropout only with training=self.training"
            )

    def outputs(self, theta: Vector, x: NDArray[Any]) -> NDArray[Any]:
        """Return the model's output for rows x (rows, *shape of a row)."""
        with torch.no_grad():
            output = self._output(self._pieces(theta), torch.as_tensor(x.astype(self._spec.dtype), device=self._device))
        return output.cpu().numpy()  # type: ignore[no-any-return]

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
        pieces, tried = self._pieces(self.vector()), self._tried(TRIED_ROWS[0])
        operations = computation(self._derived, pieces, *tried, spec=self._spec)
        return hashlib.blake2b(f"{torch.__version__} {operations} {self.frozen}".encode(), digest_size=16).hexdigest()

    def _pieces(self, theta: Vector) -> list[torch.Tensor]:
        pieces = self._flat.pieces(np.ascontiguousarray(theta, dtype=np.float64))
        return [piece.detach().requires_grad_() for piece in pieces]

    def _derived(self, pieces: list[torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, Any]:
        """Return the loss summed over the rows and its gradients."""
        value = self._value(pieces, x, y)
        return value, torch.autograd.grad(value, pieces, allow_unused=True)

    def _value(self, pieces: list[torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the loss summed over the rows, () float64."""
        losses = self._loss(self._output(pieces, x), y)
        if losses.shape != (len(x),):
            raise InputError(_not_a_row_each(losses, len(x)))
        return losses.sum(dtype=torch.float64)

    def _output(self, pieces: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        # functional_call sets the module's parameters meanwhile, so two threads cannot share a module.
        if not hasattr(self._threads, "model"):
            self._threads.model = copy.deepcopy(self._model)
        weights = {name: piece for (name, _), piece in zip(self.shapes, pieces, strict=True)}
        output: torch.Tensor = functional_call(self._threads.model, weights, (x,))
        return output

    def _tried(self, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
        x, y = ((rows, *row) for row in (self._spec.x_row, self._spec.y_row))
        return self.tensors(np.zeros(x, self._spec.dtype), np.zeros(y, self._spec.y_dtype))

    def _check_losses(self) -> None:
        """Check with two numbers of rows of zeros that the loss gives one number a row, of the parameters."""
        pieces = self._pieces(self.vector())
        for rows in TRIED_ROWS:
            x, y = self._tried(rows)
            output: Any = None
            try:
                output = self._output(pieces, x)
                losses, raw = self._loss(output, y), self._loss.raw(output, y)
            except BaseException as error:
                if isinstance(error, InputError) or is_interrupt(error):
                    raise
                raise InputError(
                    f"model, loss and data do not fit: {error_first_line(error)} (tried with {rows} rows; one row of x "
                    f"has shape {self._spec.x_row}, one of y {self._spec.y_row}, of the output "
                    f"{tuple(output.shape[1:]) if isinstance(output, torch.Tensor) else type(output).__name__})",
                    traceback.format_exc(),
                ) from error
            self._check_shapes(output, losses, raw.shape, rows)

    def _check_shapes(self, output: torch.Tensor, losses: torch.Tensor, raw: Sequence[int], rows: int) -> None:
        if losses.shape != (rows,) or (not self._loss.entrywise and rows in raw[1:]):
            raise InputError(_not_a_row_each(losses if losses.dim() < 1 or len(losses) != rows else raw, rows))
        if not losses.is_floating_point():
            raise InputError(f"loss gives {str(losses.dtype).removeprefix('torch.')}, but must give real numbers")
        classes = self._spec.classes
        if self._loss.classes and classes is not None and output.shape[1] < classes:
            raise InputError(
                f"the model's output has {output.shape[1]} entries a row, but the labels are of {classes} classes: its "
                f"last layer needs {classes}"
            )
        if not losses.requires_grad:
            raise InputError("the loss does not depend on the model's parameters, or detaches them from its graph")


def _not_a_row_each(losses: Any, rows: int) -> str:
    shape = tuple(losses.shape) if isinstance(losses, torch.Tensor) else tuple(losses)
    return (
        f"loss gives shape {shape} for {rows} rows, but must give one number a row: not their mean or sum, and not one "
        "for each pair, as where y has shape (rows,) and the output (rows, 1)"
    )


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
