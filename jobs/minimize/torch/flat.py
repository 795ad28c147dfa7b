"""Tensors as one flat float64 vector, as SciPy has it, and back."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Vector = NDArray[np.float64]


class FlatTensors:
    """Layout of tensors in one vector of n numbers: in their order, each raveled in C order.

    Args:
        tensors: of float32 or float64, on any devices; only their shapes, types and devices are kept.

    Attributes:
        n: entries of the vector.
    """

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        self._sizes = [tensor.numel() for tensor in tensors]
        self.n = sum(self._sizes)
        self._like = [(tensor.shape, tensor.dtype, tensor.device) for tensor in tensors]
        self._places = list(itertools.pairwise(itertools.accumulate(self._sizes, initial=0)))

    def views(self, vector: Vector) -> list[torch.Tensor]:
        """Return a vector (n,) as float64 tensors on the CPU of the layout's shapes, which are views of it."""
        # torch.from_numpy warns of an array that must not be written to.
        array = np.ascontiguousarray(vector, dtype=np.float64)
        flat = torch.from_numpy(array if array.flags.writeable else array.copy())
        return [part.view(shape) for part, (shape, _, _) in zip(flat.split(self._sizes), self._like, strict=True)]

    def pieces(self, vector: Vector) -> list[torch.Tensor]:
        """Return a vector (n,) as tensors of the layout's shapes, types and devices; views where they are alike."""
        views = zip(self.views(vector), self._like, strict=True)
        return [view.to(device, dtype) for view, (_, dtype, device) in views]

    def vector(self, tensors: Sequence[torch.Tensor | None]) -> Vector:
        """Return tensors of these shapes as a new vector, (n,) float64; None counts as zeros."""
        return self._gathered(tensors, ())

    def rows(self, tensors: Sequence[torch.Tensor | None], count: int) -> Vector:
        """Return tensors of shapes (count, *shape) as new rows, (count, n) float64; None counts as zeros."""
        return self._gathered(tensors, (count,))

    def _gathered(self, tensors: Sequence[Any], leading: tuple[int, ...]) -> Vector:
        gathered = np.empty((*leading, self.n))
        # To the end of the gathered array's last axis, by torch: it converts and fetches in one pass.
        out = torch.from_numpy(gathered)
        for (start, stop), tensor in zip(self._places, tensors, strict=True):
            place = out[..., start:stop]
            if tensor is None:
                place.zero_()
            else:
                dense = tensor.detach().to_dense() if tensor.layout != torch.strided else tensor.detach()
                place.copy_(dense.reshape(place.shape))
        return gathered
