"""Second derivatives of a loss: products with its Hessian, and the Hessian, by reverse mode twice.

The gradient is computed with its graph, once for a point; each product is a pass back through that (a vector-Jacobian
product of the gradient, whose Jacobian is symmetric). Forward over reverse mode (Pearlmutter, Neural Computation 6,
1994; `torch.func.jvp` of `torch.func.grad`) computes the loss anew for each product, and was measured 1.0 to 1.9
times as slow as a new graph, and 1.7 to 3 times as slow as a kept one (benchmarks/TORCH.md). Its state is that of the
process, so that threads would have to take turns, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from jobs.errors import InputError
from jobs.formatting import error_first_line
from jobs.minimize.torch.flat import FlatTensors

Vector = NDArray[np.float64]
BATCH_BYTES = 1 << 28
"""Maximum bytes of what one batch of products keeps, estimated by what the graph of the gradient keeps."""
LARGEST_BATCH = 64
"""More products at once were not faster on a CPU."""


class GradientGraph:
    """The gradient of a loss at one point, with its graph.

    Args:
        loss: a scalar with its graph.
        inputs: what it is differentiated by.
        flat: their layout.

    Attributes:
        gradient: (n,) float64.

    Raises:
        InputError: the loss has no second derivative.
    """

    def __init__(self, loss: torch.Tensor, inputs: Sequence[torch.Tensor], flat: FlatTensors) -> None:
        self._inputs, self._flat = list(inputs), flat
        self._kept = 0
        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(self._count, lambda kept: kept):
            grads = _differentiated(
                lambda: torch.autograd.grad(loss, self._inputs, create_graph=True, allow_unused=True)
            )
        self.gradient = flat.vector(grads)
        # A linear loss has a gradient without a graph, whose derivative is zero.
        self._outputs = [(i, grad) for i, grad in enumerate(grads) if grad is not None and grad.requires_grad]
        _check_graph([grad for _, grad in self._outputs])

    def _count(self, kept: torch.Tensor) -> torch.Tensor:
        self._kept += kept.nbytes
        return kept

    def product(self, v: Vector) -> Vector:
        """Return the Hessian's product with `v`, (n,) float64.

        Raises:
            InputError: an operation has no second derivative.
        """
        pieces = self._flat.pieces(np.ascontiguousarray(v, dtype=np.float64))
        return self._flat.vector(self._back([pieces[i] for i, _ in self._outputs], batched=False))

    def matrix(self) -> Vector:
        """Return the Hessian, (n, n) float64, symmetric.

        Raises:
            InputError: an operation has no second derivative.
        """
        matrix = np.empty((self._flat.n, self._flat.n))
        for start, stop in self._batches():
            matrix[start:stop] = self._rows(start, stop)
        matrix += matrix.T.copy()  # rounding makes it asymmetric, which Cholesky's decomposition would not see
        matrix *= 0.5
        return matrix

    def _batches(self) -> Iterator[tuple[int, int]]:
        each = self._kept + 16 * self._flat.n
        size = max(1, min(LARGEST_BATCH, BATCH_BYTES // max(each, 1)))
        for start in range(0, self._flat.n, size):
            yield start, min(start + size, self._flat.n)

    def _rows(self, start: int, stop: int) -> Vector:
        """Return rows of the Hessian, computed together where each operation can, else one by one."""
        count = stop - start
        unit = np.zeros((count, self._flat.n))
        unit[np.arange(count), np.arange(start, stop)] = 1
        columns = [self._flat.pieces(row) for row in unit]
        try:
            stacked = [torch.stack([column[i] for column in columns]) for i, _ in self._outputs]
            return self._flat.rows(self._back(stacked, batched=True), count)
        except RuntimeError:  # torch has no rule by which some operation is computed for many vectors at once
            products = [self._back([column[i] for i, _ in self._outputs], batched=False) for column in columns]
            return np.stack([self._flat.vector(product) for product in products])

    def _back(self, vectors: list[torch.Tensor], *, batched: bool) -> Sequence[torch.Tensor | None]:
        if not self._outputs:
            return [None] * len(self._inputs)
        outputs = [grad for _, grad in self._outputs]

        def back() -> Sequence[torch.Tensor | None]:
            grads: Sequence[torch.Tensor | None] = torch.autograd.grad(
                outputs, self._inputs, vectors, retain_graph=True, allow_unused=True, is_grads_batched=batched
            )
            return grads

        return back() if batched else _differentiated(back)


def _check_graph(outputs: Sequence[torch.Tensor]) -> None:
    """Check that each operation of a graph has a derivative.

    Torch has a node without inputs for one that has none, which is to raise when it is reached. It is not where inputs
    may be without use: the derivative would be zero, without a word.

    Raises:
        InputError: an operation has none.
    """
    pending, seen = [output.grad_fn for output in outputs], set()
    while pending:
        node = pending.pop()
        if node is not None and node not in seen:
            seen.add(node)
            pending += [following for following, _ in node.next_functions]
            if node.name().endswith(("Error", "NotImplemented")):
                raise InputError(_without("an operation of the model has a first one only"))


def _without(why: str) -> str:
    return f"the loss has no second derivative ({why}): choose a method that needs the gradient only, such as L-BFGS-B"


def _differentiated(derivatives: Callable[[], Sequence[torch.Tensor | None]]) -> Sequence[torch.Tensor | None]:
    try:
        return derivatives()
    except RuntimeError as error:  # also NotImplementedError
        raise InputError(_without(error_first_line(error))) from error
