"""Any torch model as a problem to minimize: full-batch loss, gradient and second derivatives of its parameters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from jobs.datasets.rows import RowSource, row_source
from jobs.errors import DataError
from jobs.minimize.problems.model import ModelProblem, check_dtype, rows_of_block, spec_of
from jobs.minimize.torch.runtime import import_torch

if TYPE_CHECKING:
    import torch

    from jobs.minimize.torch.losses import CreateModel
    from jobs.minimize.torch.replica import Replica
else:
    Replica = Any

Vector = NDArray[np.float64]
STATE = "model.pt"
REPEATED_ROWS = 32
"""Rows of the data on which it is checked that a model's loss is not random."""
BlockData = tuple["torch.Tensor", "torch.Tensor"]
"""x (rows, *shape of a row) and y (rows, ...)."""


def problem(
    create_model: CreateModel,
    loss: Any,
    data: Any = "digits",
    *,
    dtype: Literal["float32", "float64"] = "float32",
    classes: int | None = None,
    block_rows: int | None = None,
) -> TorchProblem:
    """Return the problem of minimizing a loss over a model's parameters.

    The objective is the loss summed over all rows. The model is in evaluation mode: dropout is off and BatchNorm uses
    its running statistics, for the loss must be a function of the parameters alone. Parameters without requires_grad
    keep their initial values.

    This builds the model once in this process, and limits PyTorch to one thread per operation.

    Args:
        create_model: a function without arguments that returns a torch.nn.Module of one input and one output, or its
            `module:function`. Called once per process, after torch.manual_seed(0).
        loss: a loss of torch, as an instance such as `torch.nn.CrossEntropyLoss()` or a function such as
            `torch.nn.functional.mse_loss` (its `reduction` does not matter), or a function (output, y) -> one loss per
            row.
        data: as of `open_dataset`; or an object as `jobs.datasets.RowSource` describes: `rows`,
            `read(start, stop) -> (x, y)`, and optionally `scale`, `classes`, `fingerprint()`; or a function without
            arguments that returns a map-style torch Dataset of pairs (x, y). Rows of x are multiplied by `scale`.
        dtype: of parameters, data and losses.
        classes: labels are 0 .. classes - 1; only with `data` that are opened here.
        block_rows: rows of one block; by default 1,024, or a lower power of two for rows of over 4,096 values.

    Raises:
        InputError: PyTorch is missing; an argument is of the wrong type; model, loss and data do not fit.
        DataError: the first row cannot be read.
        UserCodeError: create_model raised.
    """
    check_dtype(dtype)
    import_torch()
    from jobs.minimize.torch.dataset import DatasetRows, check_no_dataset
    from jobs.minimize.torch.losses import packed, row_loss

    code = packed(create_model, loss)
    if callable(data) and not hasattr(data, "read"):
        source: RowSource = DatasetRows(data)
    else:
        check_no_dataset(data)
        # Files may hold any numbers as labels, unless these are class numbers.
        targets = isinstance(data, str) and classes is None and not row_loss(loss).classes
        source = row_source(data, classes, targets=targets)
    spec = spec_of(code, dtype, source)
    size = rows_of_block(block_rows, spec.x_row)
    from jobs.minimize.torch.replica import rebuilt

    # Anew: the module of a factory may be another one than when a problem was made of it before.
    replica = rebuilt(spec)
    made = TorchProblem(spec, source, size, replica.frozen)
    replica.check_repeatable(*made.load(0, min(spec.rows, REPEATED_ROWS)))
    return made


@dataclass(frozen=True)
class TorchProblem(ModelProblem[Replica]):
    """A torch model's loss as a problem (see `jobs.minimize.Problem`); created by `problem`, small when pickled."""

    def load(self, start: int, stop: int) -> BlockData:
        """Return rows start .. stop - 1 as tensors.

        Raises:
            DataError: the data gave another number of rows.
        """
        return self._replica().tensors(*self.arrays(start, stop))

    def value_and_grad(self, theta: Vector, data: BlockData) -> tuple[float, Vector]:
        """Return loss and gradient (n,) float64, summed over the block's rows."""
        return self._replica().value_and_grad(theta, *data)

    def hessp(self, theta: Vector, v: Vector, data: BlockData) -> Vector:
        """Return the Hessian's product with `v`, (n,) float64, summed over the block's rows.

        Raises:
            InputError: the model holds an operation without a second derivative.
        """
        return self._replica().graph(theta, *data).product(v)

    def hess(self, theta: Vector, data: BlockData) -> Vector:
        """Return the Hessian, (n, n) float64, summed over the block's rows.

        Raises:
            InputError: the model holds an operation without a second derivative.
        """
        return self._replica().graph(theta, *data).matrix()

    def predict(self, theta: Vector, x: NDArray[Any]) -> NDArray[Any]:
        """Return the model's outputs for rows x (rows, *shape), which are scaled.

        Raises:
            DataError: rows have another shape than those of the problem.
        """
        if x.shape[1:] != self.spec.x_row:
            raise DataError(
                f"the model takes rows of shape {self.spec.x_row}, but those of the data have {x.shape[1:]}"
            )
        return self._replica().outputs(theta, x)

    def save(self, theta: Vector, folder: str) -> None:
        """Write the parameters and buffers of the module as model.pt, for `load_state_dict`."""
        torch = import_torch()
        torch.save(self.to_model(theta).state_dict(), Path(folder, STATE))

    def to_model(self, theta: Vector) -> torch.nn.Module:
        """Return a new module with the parameters set, on the CPU and in evaluation mode.

        Raises:
            InputError: theta is not a finite vector (n,).
        """
        return self._replica().to_model(self.weights(theta))

    def _replica(self) -> Replica:
        import_torch()
        from jobs.minimize.torch.replica import replica_of

        return replica_of(self.spec, self.frozen)
