"""`Regression`: squared, logistic and Poisson regression as a problem; each has a module that people name.

theta is flat, float64: the weights, one for each feature, then the bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from jobs.datasets.rows import files_of
from jobs.errors import DataError
from jobs.minimize.problems import sample as samples
from jobs.minimize.problems.families import FAMILIES, Family
from jobs.minimize.problems.sample import DataLike, Sample

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Regression:
    """Sum over the rows of weight * loss(w x + b, y), of one of `FAMILIES`.

    Attributes:
        model: which: 'squared', 'logistic' or 'poisson'.
        data: the source of the rows; only this is sent to the workers, which read the rows.
        dtype: 'float64' or 'float32' of stored rows and of their products; sums are float64.

    Raises:
        InputError: `dtype` is another one.
    """

    model: Literal["squared", "logistic", "poisson"]
    data: DataLike
    dtype: str = "float64"

    def __post_init__(self) -> None:
        samples.check_dtype(self.dtype)

    @property
    def family(self) -> Family:
        """The formulas."""
        return FAMILIES[self.model]

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
        """Rows of a block, see `sample.block_rows`."""
        return samples.block_rows(self.data, 1)

    def x0(self) -> Vector:
        """Return zeros, (features + 1,) float64."""
        return np.zeros(self.features + 1)

    def penalized(self) -> NDArray[np.bool_]:
        """Return which entries of theta L1 and L2 act on, (n,): weights, not the bias."""
        return np.arange(self.features + 1) < self.features

    def names(self) -> list[str]:
        """Return the names of theta's entries: `weight[feature]`, then `bias`."""
        return [f"weight[{name}]" for name in samples.feature_names(self.data, self.features)] + ["bias"]

    def files(self) -> list[str]:
        """Return the paths or URLs of the data's files, if the data name any."""
        return files_of(self.data)

    def fingerprint(self) -> str:
        """Return the identity of data and model."""
        return f"{self.model}/{self.dtype}/{self.data.scale!r}/{self.data.fingerprint()}"

    def load(self, start: int, stop: int) -> Sample:
        """Return rows start .. stop - 1, scaled.

        Raises:
            DataError: a target or weight is none that the loss takes, or the data cannot be read.
            ClusterError: the storage cannot be reached.
        """
        rows = samples.sample(self.data, self.dtype, start, stop)
        y = rows.y.reshape(len(rows.y), -1)
        if y.shape[1] != 1:
            raise DataError(f"y has {y.shape[1]} numbers a row, but {self.model} regression takes one")
        if y.dtype.kind not in "biuf" or (wrong := self.family.wrong(y[:, 0])).any():
            row = 0 if y.dtype.kind not in "biuf" else int(np.argmax(wrong))
            raise DataError(f"target of row {start + row:,} is {y[row, 0]}, but must be {self.family.rule}")
        return Sample(rows.x, y[:, 0].astype(np.float64), rows.w)

    def value_and_grad(self, theta: Vector, data: Sample) -> tuple[float, Vector]:
        """Return loss and gradient, (n,) float64, summed over the rows of a block."""
        losses, predicted = self.family.losses(scores(theta, data.x), data.y)
        return float(_weighted(losses, data).sum()), _product(data.x, _weighted(predicted - data.y, data))

    def hessp(self, theta: Vector, v: Vector, data: Sample) -> Vector:
        """Return the Hessian's product with `v`, (n,) float64, summed over the rows of a block."""
        return _product(data.x, self._curvature(theta, data) * scores(v, data.x))

    def hess(self, theta: Vector, data: Sample) -> Vector:
        """Return the Hessian X^T diag(curvature) X, (n, n) float64 and dense, summed over the rows of a block."""
        x, curvature = data.x, self._curvature(theta, data)
        matrix = np.empty((theta.size, theta.size))
        if sparse.issparse(x):
            matrix[:-1, :-1] = (x.T @ x.multiply(curvature[:, np.newaxis]).tocsr()).toarray()
        else:
            matrix[:-1, :-1] = x.T @ (x * curvature[:, np.newaxis].astype(x.dtype))
        matrix[-1] = matrix[:, -1] = _product(x, curvature)
        return matrix

    def _curvature(self, theta: Vector, data: Sample) -> Vector:
        predicted = self.family.predict(scores(theta, data.x))
        return _weighted(self.family.curvature(predicted), data)

    def predict(self, theta: Vector, x: Any) -> Vector:
        """Return what is expected of rows x (rows, ...), scaled: (rows,); of logistic both classes' probabilities.

        Raises:
            DataError: a row has another number of features.
        """
        return predicted(self.model, theta, x)

    def dispersion(self, loss: float, count: float) -> float:
        """Return what the inverse Hessian is multiplied by for the covariance of theta.

        1 for a likelihood; for squared regression the variance of the residuals, 2 loss / (rows - parameters): Seber
        and Lee, "Linear Regression Analysis" (2003), section 3.3.

        Args:
            loss: at the optimum.
            count: of rows, or the sum of their weights.
        """
        free = count - self.features - 1
        return 1.0 if self.model != "squared" else 2 * loss / free if free > 0 else np.nan

    def save(self, theta: Vector, folder: str) -> None:
        """Write MODEL.npz: w (features,), b (), scale () and x_shape.

        Scores of rows x are scale * x.reshape(len(x), -1) @ w + b.
        """
        np.savez(
            Path(folder, f"{self.model}.npz"),
            w=theta[:-1],
            b=theta[-1],
            scale=np.float64(self.data.scale),
            x_shape=np.array(self.data.shape),
        )


@dataclass(frozen=True)
class Logistic(Regression):
    """Logistic regression of two classes, which can count the rows that it predicts right."""

    def correct(self, theta: Vector, data: Sample) -> int:
        """Return the number of rows of a block whose own class is at least as likely as the other."""
        return int(np.count_nonzero((scores(theta, data.x) > 0) == (data.y > 0.5)))


def scores(theta: Vector, x: Any) -> Vector:
    """Return w x + b of rows x, (rows,) float64."""
    found: Vector = np.asarray(x @ theta[:-1].astype(x.dtype), np.float64) + theta[-1]
    return found


def predicted(model: str, theta: Vector, x: Any) -> Vector:
    """Return what a model expects of rows x, scaled: (rows,), of logistic (rows, 2); see `Regression.predict`."""
    found = FAMILIES[model].predict(scores(theta, samples.rows_of(x, theta.size - 1)))
    return np.column_stack([1 - found, found]) if model == "logistic" else found


def _product(x: Any, d: Vector) -> Vector:
    """Return the derivative by theta, (n,) float64, of that by the scores, (rows,)."""
    return np.append(np.asarray(x.T @ d.astype(x.dtype), np.float64), d.sum())


def _weighted(values: Vector, data: Sample) -> Vector:
    return values if data.w is None else values * data.w
