"""The parameters of an optimizer as one vector."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from jobs.errors import InputError
from jobs.minimize.torch.flat import FlatTensors

Vector = NDArray[np.float64]


class Packing:
    """Parameters as one vector of n numbers.

    They are changed in place, by one copy, as torch's own optimizers do: whatever else is in a parameter's memory, a
    tied view or an array of `parameter.detach().numpy()`, changes with it. Parameters that were views of SciPy's vector
    would save the copy, and leave those behind.

    Args:
        parameters: in the vector's order; those without requires_grad are left out, and each counts once.

    Attributes:
        n: entries of the vector.
        flat: its layout.
        parameters: those that are optimized.

    Raises:
        InputError: there are none, or one of them cannot be optimized.
    """

    def __init__(self, parameters: Iterable[torch.Tensor]) -> None:
        every = list({id(parameter): parameter for parameter in parameters}.values())
        self.parameters = [parameter for parameter in every if parameter.requires_grad]
        for number, parameter in enumerate(self.parameters or every):
            _check(number, parameter)
        if not sum(parameter.numel() for parameter in self.parameters):
            raise InputError("there is nothing to optimize: no parameter has requires_grad, or all of them are empty")
        _check_separate(self.parameters)
        self.flat = FlatTensors(self.parameters)
        self.n = self.flat.n

    def vector(self) -> Vector:
        """Return the parameters' values, (n,) float64.

        Raises:
            InputError: one is not finite.
        """
        for number, parameter in enumerate(self.parameters):
            if not torch.isfinite(parameter.detach()).all():
                raise InputError(f"parameter {number}, of shape {tuple(parameter.shape)}, is not finite")
        return self.flat.vector(self.parameters)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def place(self, vector: Vector) -> None:
        """Set the parameters to a vector (n,).

        Raises:
            InputError: it has another length: SciPy's global searches take it from the bounds.
        """
        if vector.shape != (self.n,):
            raise InputError(
                f"bounds are of {vector.size:,} numbers, but the parameters have {self.n:,}: give a pair for each"
            )
        for parameter, view in zip(self.parameters, self.flat.views(vector), strict=True):
            parameter.copy_(view)

    def is_at(self, vector: Vector) -> bool:
        """Return whether the parameters are still what `place` made them."""
        pieces = self.flat.pieces(vector)
        return all(torch.equal(one.detach(), piece) for one, piece in zip(self.parameters, pieces, strict=True))

    def take_gradient(self) -> Vector | None:
        """Return the parameters' gradients, (n,) float64, zeros for those that have none; None if none has."""
        if all(parameter.grad is None for parameter in self.parameters):
            return None
        return self.flat.vector([parameter.grad for parameter in self.parameters])

    def drop_gradient(self) -> None:
        """Let no parameter have a gradient: a closure that does not call zero_grad() would add to the last one."""
        for parameter in self.parameters:
            parameter.grad = None


def _check(number: int, parameter: torch.Tensor) -> None:
    """Check that a parameter can be optimized.

    Raises:
        InputError: it is not of float32 or float64, or has no values.
    """
    what = f"parameter {number}, of shape {tuple(parameter.shape)},"
    if parameter.dtype not in (torch.float32, torch.float64):
        name = str(parameter.dtype).removeprefix("torch.")
        raise InputError(f"{what} is {name}, but must be float32 or float64: model.float() and model.double() do that")
    if parameter.is_meta or parameter.layout != torch.strided:
        raise InputError(f"{what} has no dense values: give it some memory, as model.to_empty() does")


def _check_separate(parameters: list[torch.Tensor]) -> None:
    """Check that no two parameters have a number in common.

    Raises:
        InputError: two of them have, or one has one number as several of its entries.
    """
    spans = []
    for number, parameter in enumerate(parameters):
        last = sum(step * (size - 1) for step, size in zip(parameter.stride(), parameter.shape, strict=True))
        if parameter.numel() > last + 1:
            raise InputError(f"parameter {number} has one number as several of its entries: make it a clone()")
        if parameter.numel():
            start = parameter.data_ptr()
            spans.append((start, start + last * parameter.element_size(), number))
    for (_, end, one), (start, _, other) in zip(sorted(spans), sorted(spans)[1:], strict=False):
        if start <= end:
            first, second = sorted((one, other))
            raise InputError(f"parameters {first} and {second} share memory: tie them as one Parameter, used twice")
