"""Any Keras model as a problem to minimize: full-batch loss, gradient and Hessian products of its trainable weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from jobs.datasets.rows import row_source
from jobs.keras import flat
from jobs.keras.build import build, isolated
from jobs.keras.model_file import MODEL, row_shape
from jobs.keras.runtime import import_tensorflow
from jobs.keras.serialization import CreateModel, packed, unpacked
from jobs.minimize.problems.keras_replica import Replica, replica_of
from jobs.minimize.problems.model import ModelProblem, check_dtype, rows_of_block, spec_of

Vector = NDArray[np.float64]
BlockData = tuple[Any, Any]
"""x (rows, *input shape) and y (rows, ...) as tensors."""


def problem(
    create_model: CreateModel,
    loss: Any,
    data: Any = "digits",
    *,
    dtype: Literal["float32", "float64"] = "float32",
    classes: int | None = None,
    block_rows: int | None = None,
) -> KerasProblem:
    """Return the problem of minimizing a loss over a model's trainable weights.

    The objective is the loss summed over all rows, plus the model's weight regularizers once (so Keras's own balance,
    mean loss + regularizer, needs a regularizer `rows` times as strong). Layers run with training=False: dropout is
    off and BatchNorm uses its moving statistics, for the loss must be a function of the weights alone. Variables with
    trainable=False keep their initial values. There are no sample weights.

    This builds the model once in this process, and limits TensorFlow to one thread per evaluation.

    Args:
        create_model: a function without arguments that returns a built keras.Model of one input and one output,
            compiled or not; or its `module:function`. Called once per process, after set_random_seed(0).
        loss: name or instance of a Keras loss (its `reduction` does not matter), or a function (y_true, y_pred) -> one
            loss per row.
        data: as of `open_dataset`, or an object as `jobs.datasets.RowSource` describes: `rows`,
            `read(start, stop) -> (x, y)`, and optionally `scale`, `classes`, `fingerprint()`. Rows of x are multiplied
            by `scale` and reshaped to the model's input.
        dtype: of weights, data and losses.
        classes: labels are 0 .. classes - 1; only with `data` that are opened here.
        block_rows: rows of one block; by default 1,024, or a lower power of two for rows of over 4,096 values.

    Raises:
        InputError: TensorFlow is missing; an argument is of the wrong type; model, loss and data do not fit.
        DataError: the first row cannot be read.
        UserCodeError: create_model raised.
    """
    check_dtype(dtype)
    code = packed(create_model, loss)
    source = row_source(data, classes)
    spec = spec_of(code, dtype, source)
    size = rows_of_block(block_rows, spec.x_row)
    return KerasProblem(spec, source, size, replica_of(spec).frozen)


@dataclass(frozen=True)
class KerasProblem(ModelProblem[Replica]):
    """A Keras model's loss as a problem (see `jobs.minimize.Problem`); created by `problem`, small when pickled."""

    def load(self, start: int, stop: int) -> BlockData:
        """Return rows start .. stop - 1 as tensors.

        Raises:
            DataError: the data gave another number of rows.
        """
        tf, _ = import_tensorflow()
        x, y = self.arrays(start, stop)
        return tf.convert_to_tensor(x.reshape(-1, *self._replica().x_row)), tf.convert_to_tensor(y)

    def value_and_grad(self, theta: Vector, data: BlockData) -> tuple[float, Vector]:
        """Return loss and gradient (n,) float64, summed over the block's rows; the gradient is read-only."""
        tf, _ = import_tensorflow()
        value, gradient = self._replica().value_and_grad(tf.convert_to_tensor(theta, tf.float64), *data)
        return float(value), np.asarray(memoryview(gradient))

    def hessp(self, theta: Vector, v: Vector, data: BlockData) -> Vector:
        """Return the Hessian's product with `v`, (n,) float64 read-only, summed over the block's rows.

        Raises:
            InputError: the model holds an operation without a second derivative.
        """
        tf, _ = import_tensorflow()
        vectors = [tf.convert_to_tensor(vector, tf.float64) for vector in (theta, v)]
        return np.asarray(memoryview(self._replica().hessp(*vectors, *data)))

    def predict(self, theta: Vector, x: NDArray[Any]) -> NDArray[Any]:
        """Return the model's outputs for rows x (rows, ...), which are scaled.

        Raises:
            DataError: a row has another number of values than the model takes.
        """
        tf, _ = import_tensorflow()
        replica = self._replica()
        rows = x.astype(self.spec.dtype, copy=False).reshape(len(x), *row_shape(x.shape[1:], replica.x_row))
        found = replica.outputs(tf.convert_to_tensor(theta, tf.float64), tf.convert_to_tensor(rows))
        return np.asarray(memoryview(found))

    def save(self, theta: Vector, folder: str) -> None:
        """Write the model as model.keras."""
        self.to_model(theta).save(Path(folder, MODEL))

    def to_model(self, theta: Vector) -> Any:
        """Return a new keras.Model with the weights set, compiled if `create_model` compiles.

        Raises:
            InputError: theta is not a finite vector (n,).
        """
        weights = self.weights(theta)
        model = isolated(self.spec.dtype, lambda: build(unpacked(self.spec.code)[0], self.frozen))
        flat.trainable(model).assign(weights)
        return model

    def _replica(self) -> Replica:
        return replica_of(self.spec, self.frozen)
