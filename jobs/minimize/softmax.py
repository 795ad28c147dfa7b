"""Softmax (multinomial logistic) regression as a problem: `--problem jobs.minimize.softmax:problem`.

theta is flat, float64, class by class: the weights of class 0 (one for each feature), of class 1, and so on, then the
biases of all classes; `Softmax.weights` takes it apart, and `Softmax.save` writes W and b.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import psutil
from numpy.typing import NDArray
from scipy import sparse

from jobs.datasets import open_dataset
from jobs.datasets.rows import files_of
from jobs.errors import DataError, InputError
from jobs.formatting import plural
from jobs.minimize.problems import sample as samples
from jobs.minimize.problems import softmax_kernel, softmax_sparse
from jobs.minimize.problems.sample import DataLike, classified
from jobs.minimize.problems.softmax_kernel import Block, Vector

DType = Literal["float64", "float32"]


def problem(data: str | DataLike = "digits", classes: int | None = None, dtype: DType = "float64") -> Softmax:
    """Return softmax regression on a data set.

    Args:
        data: as of `open_dataset`, or a dataset.
        classes: labels are 0 .. classes - 1, the largest label + 1 if None; for a `data` that is opened here.
        dtype: of stored blocks and products, see `Softmax`.

    Raises:
        InputError: `dtype` or `data` cannot be used, or `classes` goes with a dataset, which has its own.
        DataError: the data are missing, damaged or of a wrong format.
        ClusterError: the storage cannot be reached.
    """
    if isinstance(data, str):
        return Softmax(open_dataset(data, classes), dtype)
    if classes is not None:
        raise InputError(f"classes is {classes!r}, but the dataset has {data.classes} of its own; leave classes out")
    source = classified(data)
    if not source.classes:
        raise InputError("softmax regression needs labels that are classes, but the data have numbers; see squared")
    return Softmax(source, dtype)


@dataclass(frozen=True)
class Softmax:
    """Sum over the rows of -log softmax(W x + b)[y], times the row's weight where the data have weights.

    With dtype 'float64' all is computed in float64. With 'float32' rows are stored and multiplied in float32, in half
    the memory and half the time, and blocks are summed in float64. Loss and gradient are then right to about 1e-7, the
    gradient relative to the sum of its rows' absolute values. An optimizer ends where the loss falls by less than that:
    on the digits with l2 = 1, L-BFGS ends at a loss 7e-8 too high, and at 4e-5 of the first gradient (6e-9 in float64).

    Attributes:
        data: the source of the rows; only this is sent to the workers, which read the rows.
        dtype: 'float64' or 'float32'.

    Raises:
        InputError: `dtype` is another one.
    """

    data: DataLike
    dtype: DType = "float64"

    model: ClassVar[str] = "softmax"

    def __post_init__(self) -> None:
        samples.check_dtype(self.dtype)

    @property
    def rows(self) -> int:
        """Number of samples."""
        return self.data.rows

    @property
    def features(self) -> int:
        """Numbers in a sample."""
        return samples.features_of(self.data)

    @property
    def block_rows(self) -> int:
        """Rows of a block, see `sample.block_rows`; 1,024 for 784 features and 10 classes."""
        return samples.block_rows(self.data, self.data.classes)

    def x0(self) -> Vector:
        """Return zeros, (n,) float64 with n = classes * (features + 1).

        Raises:
            DataError: this machine has no memory for them.
        """
        n = self.data.classes * (self.features + 1)
        # Also asked, since Linux promises more memory than there is.
        if 8 * n <= psutil.virtual_memory().total:
            with contextlib.suppress(MemoryError):
                return np.zeros(n)
        raise DataError(
            f"{self.data.classes:,} classes of {plural(self.features, 'feature')} are {n:,} parameters, more than this "
            "machine has memory for; are the labels 0, 1, ..., and no numbers of another kind?"
        )

    def weights(self, theta: Vector) -> tuple[Vector, Vector]:
        """Return views of theta, (n,): weights (features, classes) and biases (classes,)."""
        weights, biases = softmax_kernel.split(theta, self.features)
        return weights.T, biases

    def penalized(self) -> NDArray[np.bool_]:
        """Return which entries of theta L1 and L2 act on, (n,): weights, not biases."""
        return np.arange(self.x0().size) < self.data.classes * self.features

    def names(self) -> list[str]:
        """Return the names of theta's entries: `weight[class, feature]`, then `bias[class]`."""
        classes, features = samples.class_names(self.data), samples.feature_names(self.data, self.features)
        return [f"weight[{c}, {f}]" for c in classes for f in features] + [f"bias[{c}]" for c in classes]

    def files(self) -> list[str]:
        """Return the paths or URLs of the data's files, if the data name any."""
        return files_of(self.data)

    def fingerprint(self) -> str:
        """Return the identity of data and model."""
        return f"softmax/{self.dtype}/{self.data.classes}/{self.data.scale!r}/{self.data.fingerprint()}"

    def load(self, start: int, stop: int) -> Block:
        """Return rows start .. stop - 1, scaled, as a block.

        Raises:
            DataError: a label is out of range, or the files changed since they were opened.
            ClusterError: the storage cannot be reached.
        """
        rows = samples.sample(self.data, self.dtype, start, stop)
        y, classes = rows.y, self.data.classes
        if y.ndim != 1 or y.dtype.kind not in "iu":
            raise DataError(f"labels are {y.dtype} of shape {y.shape}, but must be integers, one a row")
        if wrong := np.flatnonzero((y < 0) | (y >= classes)).tolist():
            raise DataError(
                f"label of row {start + wrong[0]:,} is {y[wrong[0]]}, but must be 0 to {classes - 1}; "
                "give the right number of classes"
            )
        w = None if rows.w is None else rows.w.astype(self.dtype)
        return Block(rows.x, y.astype(np.min_scalar_type(classes - 1)), w)

    def value_and_grad(self, theta: Vector, data: Block) -> tuple[float, Vector]:
        """Return loss and gradient, (n,) float64, summed over the rows of a block."""
        return _kernel(data.x).value_and_grad(theta, data)  # type: ignore[no-any-return]

    def hessp(self, theta: Vector, v: Vector, data: Block) -> Vector:
        """Return the Hessian's product with `v`, (n,) float64, summed over the rows of a block."""
        return _kernel(data.x).hessp(theta, v, data)  # type: ignore[no-any-return]

    def hess(self, theta: Vector, data: Block) -> Vector:
        """Return the Hessian, (n, n) float64, summed over the rows of a block."""
        return _kernel(data.x).hess(theta, data)  # type: ignore[no-any-return]

    def dispersion(self, loss: float, count: float) -> float:  # noqa: ARG002  of a likelihood it is one number
        """Return what the inverse Hessian is multiplied by for the covariance of theta: 1, as of any likelihood."""
        return 1.0

    def correct(self, theta: Vector, data: Block) -> int:
        """Return the number of rows of a block whose own class's score is the largest."""
        return _kernel(data.x).correct(theta, data)  # type: ignore[no-any-return]

    def predict(self, theta: Vector, x: NDArray[Any]) -> Vector:
        """Return the probability of each class, (rows, classes) float64, for rows x (rows, ...), scaled.

        Raises:
            DataError: a row has another number of features.
        """
        return probabilities(theta, x, self.data.classes)

    def save(self, theta: Vector, folder: str) -> None:
        """Write softmax.npz: W (features, classes), b (classes,), scale (), x_shape, names (features,) and class_names.

        The probabilities of rows x are softmax(scale * x.reshape(len(x), -1) @ W + b).
        """
        weights, biases = self.weights(theta)
        np.savez(
            Path(folder, "softmax.npz"),
            W=weights,
            b=biases,
            scale=np.float64(self.data.scale),
            x_shape=np.array(self.data.shape),
            names=np.array(samples.feature_names(self.data, self.features)),
            class_names=np.array(samples.class_names(self.data)),
        )


def probabilities(theta: Vector, x: NDArray[Any], classes: int) -> Vector:
    """Return the probability of each class, (rows, classes) float64.

    Args:
        theta: (n,), of which the number of features follows.
        x: rows (rows, ...), scaled.
        classes: their number.

    Raises:
        DataError: a row has another number of features.
    """
    rows = samples.rows_of(x, theta.size // classes - 1)
    return _kernel(rows).probabilities(theta, rows)  # type: ignore[no-any-return]


def _kernel(x: Any) -> Any:
    """Return the module of formulas for rows of a form."""
    return softmax_sparse if sparse.issparse(x) else softmax_kernel
