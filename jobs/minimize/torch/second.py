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
BATCH_BYTES = 1 << 24
"""Maximum bytes that one batch of products keeps, estimated by what the graph of the gradient keeps: a cache's size."""
ASYMMETRY = 1e-3
"""Maximum difference of a Hessian from its transpose, relative to its largest entry, in float32 too."""
SMALLEST_BATCH, LARGEST_BATCH = 4, 16
"""Below the one, products one by one were faster on a CPU; more at once than the other were not."""


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
        self._kept += kept.nbytes if kept.layout == torch.strided else 0
        return kept

    def product(self, v: Vector) -> Vector:
        """Return the Hessian's product with `v`, (n,) float64.

        Raises:
            InputError: an operation has no second derivative.
        """
        pieces = self._flat.pieces(v)
        return self._flat.vector(self._back([pieces[i] for i, _ in self._outputs], batched=False))

    def matrix(self) -> Vector:
        """Return the Hessian, (n, n) float64, symmetric.

        Raises:
            InputError: an operation has no second derivative.
        """
        matrix = np.empty((self._flat.n, self._flat.n))
        for start, stop in self._batches():
            matrix[start:stop] = self._rows(start, stop)
        _check_symmetric(float(np.abs(matrix - matrix.T).max()), float(np.abs(matrix).max()))
        matrix += matrix.T.copy()  # rounding makes it asymmetric, which Cholesky's decomposition would not see
        matrix *= 0.5
        return matrix

    def check(self) -> None:
        """Check by two products that the derivatives are those of a function: u . H v = v . H u.

        Raises:
            InputError: they are not.
        """
        u, v = np.random.default_rng(0).standard_normal((2, self._flat.n))
        hu, hv = self.product(u), self.product(v)
        size = max(np.linalg.norm(u) * np.linalg.norm(hv), np.linalg.norm(v) * np.linalg.norm(hu))
        _check_symmetric(abs(float(u @ hv - v @ hu)), float(size))

    def _batches(self) -> Iterator[tuple[int, int]]:
        each = self._kept + 16 * self._flat.n
        size = min(LARGEST_BATCH, BATCH_BYTES // max(each, 1))
        size = size if size >= SMALLEST_BATCH else 1
        for start in range(0, self._flat.n, size):
            yield start, min(start + size, self._flat.n)

    def _rows(self, start: int, stop: int) -> Vector:
        """Return rows of the Hessian, computed together where each operation can, else one by one."""
        count = stop - start
        unit = np.zeros((count, self._flat.n))
        unit[np.arange(count), np.arange(start, stop)] = 1
        columns = [self._flat.pieces(row) for row in unit]
        try:
            if count == 1:
                return self._flat.vector(self._back([columns[0][i] for i, _ in self._outputs], batched=False))[None]
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


def _check_symmetric(difference: float, size: float) -> None:
    if not difference <= ASYMMETRY * size:
        raise InputError(
            "the loss's Hessian is not symmetric: it is computed with few digits, as under autocast, or an operation "
            "has a wrong second derivative in this PyTorch (weight_norm is known for it); choose a method that needs "
            "the gradient only, such as L-BFGS-B"
        )


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
