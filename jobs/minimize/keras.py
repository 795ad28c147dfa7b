"""Any Keras model as a problem to minimize: full-batch loss, gradient and Hessian products of its trainable weights."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from jobs.datasets.rows import RowSource, files_of, identity_of, row_source
from jobs.errors import DataError, InputError
from jobs.keras import flat
from jobs.keras.build import build, isolated
from jobs.keras.runtime import import_tensorflow
from jobs.keras.serialization import CreateModel, packed, unpacked
from jobs.minimize.problems.base import DEFAULT_BLOCK_ROWS, check_theta
from jobs.minimize.problems.keras_replica import Replica, Spec, replica_of

Vector = NDArray[np.float64]
BlockData = tuple[Any, Any]
"""x (rows, *input shape) and y (rows, ...) as tensors."""
BLOCK_VALUES = 2**22
"""Maximum numbers in a block of x, unless one row has more: bounds the activations of large inputs."""


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
    if dtype not in ("float32", "float64"):
        raise InputError(f"dtype is {dtype!r}, but must be 'float32' or 'float64'")
    code = packed(create_model, loss)
    source = row_source(data, classes)
    x, y = (np.asarray(part) for part in source.read(0, 1))
    spec = Spec(
        code=code,
        dtype=dtype,
        rows=int(source.rows),
        x_row=x.shape[1:],
        y_row=y.shape[1:],
        y_dtype=y.dtype.name,
        classes=getattr(source, "classes", None),
    )
    if block_rows is None:
        fitting = BLOCK_VALUES // max(math.prod(spec.x_row), 1)
        block_rows = min(DEFAULT_BLOCK_ROWS, 1 << max(fitting.bit_length() - 1, 0))
    elif isinstance(block_rows, bool) or not isinstance(block_rows, int) or block_rows < 1:
        raise InputError(f"block_rows is {block_rows!r}, but must be a positive integer")
    return KerasProblem(spec, source, block_rows, replica_of(spec).frozen)


@dataclass(frozen=True)
class KerasProblem:
    """A Keras model's loss as a problem (see `jobs.minimize.Problem`); created by `problem`, small when pickled.

    Its methods may be called from several threads at once; they share the process's one replica.

    Attributes:
        spec: the specification of the replica.
        data: the source of the rows.
        block_rows: rows of one block.
        frozen: digest of the weights outside theta, the same in every process.
    """

    spec: Spec
    data: RowSource
    block_rows: int
    frozen: str

    @property
    def rows(self) -> int:
        """Number of rows of the data."""
        return self.spec.rows

    @property
    def shapes(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Keras's path and the shape of each trainable variable, in theta's order."""
        return self._replica().flat.shapes

    def x0(self) -> Vector:
        """Return the initial weights of `create_model` under seed 0, (n,) float64."""
        return self._replica().flat.vector()

    def penalized(self) -> NDArray[np.bool_]:
        """Return which entries L1 and L2 act on, (n,) bool: variables of two dimensions or more, such as kernels."""
        return np.concatenate([np.full(math.prod(shape), len(shape) >= 2) for _, shape in self.shapes])

    def files(self) -> list[str]:
        """Return the paths or URLs of the data's files, if the data name any."""
        return files_of(self.data)

    def fingerprint(self) -> str:
        """Return the identity of model, loss and data; another TensorFlow may give another, as it may other bits."""
        identity = (
            self.spec.dtype,
            self.spec.rows,
            self.block_rows,
            self._replica().fingerprint(),
            identity_of(self.data),
        )
        return hashlib.blake2b(repr(identity).encode(), digest_size=16).hexdigest()

    def load(self, start: int, stop: int) -> BlockData:
        """Return rows start .. stop - 1 as tensors.

        Raises:
            DataError: the data gave another number of rows.
        """
        tf, _ = import_tensorflow()
        x, y = self.data.read(start, stop)
        if not len(x) == len(y) == stop - start:
            raise DataError(f"data.read({start}, {stop}) returned {len(x)} rows of x and {len(y)} of y")
        scaled = np.multiply(x, getattr(self.data, "scale", 1), dtype=self.spec.dtype)
        x_row = self._replica().x_row
        return tf.convert_to_tensor(scaled.reshape(-1, *x_row)), tf.convert_to_tensor(np.asarray(y, self.spec.y_dtype))

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

    def to_model(self, theta: Vector) -> Any:
        """Return a new keras.Model with the weights set, compiled if `create_model` compiles.

        Raises:
            InputError: theta is not a finite vector (n,).
        """
        replica = self._replica()
        weights = check_theta("theta", theta, replica.flat.n)
        model = isolated(self.spec.dtype, lambda: build(unpacked(self.spec.code)[0], self.frozen))
        flat.trainable(model).assign(weights)
        return model

    def _replica(self) -> Replica:
        return replica_of(self.spec, self.frozen)
