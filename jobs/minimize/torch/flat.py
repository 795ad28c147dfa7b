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
        sizes: entries of each tensor.
    """

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        self.sizes = [tensor.numel() for tensor in tensors]
        self.n = sum(self.sizes)
        self._shapes = [tensor.shape for tensor in tensors]
        ends = list(itertools.accumulate(self.sizes, initial=0))
        self._places = list(itertools.pairwise(ends))
        # Neighbours of one kind are converted and sent at once.
        kinds = itertools.groupby(range(len(self.sizes)), lambda i: (tensors[i].dtype, tensors[i].device))
        self._runs = [(kind, list(members)) for kind, members in kinds]
        self._buffers: list[torch.Tensor | None] = [None] * len(self._runs)

    def pieces(self, vector: Vector, *, reuse: bool = False) -> list[torch.Tensor]:
        """Return a vector (n,) as tensors of the layout's shapes, types and devices.

        They are views of `vector` where they are float64 on the CPU; else it is converted, by one copy.

        Args:
            vector: contiguous.
            reuse: they may share their memory with those of the last call that said so.
        """
        # torch.from_numpy warns of an array that must not be written to.
        whole = torch.from_numpy(vector if vector.flags.writeable else vector.copy())
        pieces = []
        for number, ((dtype, device), members) in enumerate(self._runs):
            start, stop = self._places[members[0]][0], self._places[members[-1]][1]
            flat = self._converted(number, whole[start:stop], dtype, device, reuse=reuse)
            parts = flat.split([self.sizes[i] for i in members])
            pieces += [part.view(self._shapes[i]) for i, part in zip(members, parts, strict=True)]
        return pieces

    def _converted(
        self, number: int, flat: torch.Tensor, dtype: torch.dtype, device: torch.device, *, reuse: bool
    ) -> torch.Tensor:
        if not reuse or (flat.dtype, flat.device) == (dtype, device):
            return flat.to(device, dtype)
        buffer = self._buffers[number]
        if buffer is None:
            self._buffers[number] = buffer = torch.empty(flat.shape, dtype=dtype, device=device)
        return buffer.copy_(flat)

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
