"""The problems of the test matrix, in one place; plain objects, as a user would write them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from jobs.minimize.softmax import Softmax


def _rows(start: int, stop: int, columns: int) -> np.ndarray:
    """Return rows start .. stop - 1 of one fixed random matrix, made row by row so that any range gives the same."""
    return np.array([np.random.default_rng([7, row]).standard_normal(columns) for row in range(start, stop)])


@dataclass(frozen=True)
class Rosenbrock:
    """Rosenbrock's valley in each pair of parameters, as a sum of rows that each have an equal part of it."""

    rows: int = 60
    block_rows: int = 7
    n: int = 4

    def x0(self) -> np.ndarray:
        return np.full(self.n, 0.7)

    def load(self, start: int, stop: int) -> float:
        return (stop - start) / self.rows

    def value_and_grad(self, theta, weight):
        a, b = theta[:-1], theta[1:]
        value = np.sum(100 * (b - a**2) ** 2 + (1 - a) ** 2)
        grad = np.zeros_like(theta)
        grad[:-1] += -400 * a * (b - a**2) - 2 * (1 - a)
        grad[1:] += 200 * (b - a**2)
        return weight * value, weight * grad

    def hess(self, theta, weight):
        n = theta.size
        matrix = np.zeros((n, n))
        for i in range(n - 1):
            matrix[i, i] += 1200 * theta[i] ** 2 - 400 * theta[i + 1] + 2
            matrix[i, i + 1] = matrix[i + 1, i] = -400 * theta[i]
            matrix[i + 1, i + 1] += 200
        return weight * matrix

    def hessp(self, theta, v, weight):
        return self.hess(theta, weight) @ v


@dataclass(frozen=True)
class LeastSquares:
    """A linear fit, 1/2 ||X theta - y||^2."""

    rows: int = 97
    block_rows: int = 8
    n: int = 3

    def x0(self) -> np.ndarray:
        return np.zeros(self.n)

    def load(self, start: int, stop: int):
        data = _rows(start, stop, self.n + 1)
        return data[:, :-1], data[:, :-1] @ np.arange(1.0, self.n + 1) + 0.1 * data[:, -1]

    def value_and_grad(self, theta, data):
        x, y = data
        residual = x @ theta - y
        return 0.5 * residual @ residual, x.T @ residual

    def hessp(self, theta, v, data):
        return data[0].T @ (data[0] @ v)

    def hess(self, theta, data):
        return data[0].T @ data[0]


@dataclass(frozen=True)
class Logistic(LeastSquares):
    """Logistic regression with labels that no plane separates."""

    def load(self, start: int, stop: int):
        data = _rows(start, stop, self.n + 1)
        return data[:, :-1], np.sign(data[:, :-1].sum(axis=1) + 1.5 * data[:, -1])

    def value_and_grad(self, theta, data):
        x, y = data
        margin = y * (x @ theta)
        return np.logaddexp(0, -margin).sum(), -(x * y[:, None]).T @ (1 / (1 + np.exp(margin)))

    def hess(self, theta, data):
        x, y = data
        p = 1 / (1 + np.exp(y * (x @ theta)))
        return (x * (p * (1 - p))[:, None]).T @ x

    def hessp(self, theta, v, data):
        return self.hess(theta, data) @ v


@dataclass(frozen=True)
class ValueOnly:
    """Least squares without a gradient: finite differences take its place."""

    rows: int = 97
    block_rows: int = 8

    def x0(self) -> np.ndarray:
        return LeastSquares().x0()

    def load(self, start: int, stop: int):
        return LeastSquares().load(start, stop)

    def value(self, theta, data):
        return LeastSquares().value_and_grad(theta, data)[0]


@dataclass(frozen=True)
class Blobs:
    """A dataset of overlapping point clouds, one a class, for softmax regression."""

    rows: int = 90
    shape: tuple[int, ...] = (2,)
    classes: int = 2
    scale: float = 1.0

    def read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        y = np.arange(start, stop) % self.classes
        x = _rows(start, stop, self.shape[0])
        x[np.arange(stop - start), y % self.shape[0]] += 1.0 + y
        return x, y

    def fingerprint(self) -> str:
        return repr(self)


@dataclass(frozen=True)
class SmallSoftmax:
    """The shipped softmax regression on clouds, in blocks of a few rows so that there are many of them."""

    softmax: Softmax = field(default_factory=lambda: Softmax(Blobs()))
    block_rows: int = 8
    rows: int = 90

    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.softmax, name)


@dataclass(frozen=True)
class Case:
    """A problem of the matrix, with the regularization that makes its optimum one point."""

    problem: object
    l2: float = 0.0


MATRIX = {
    "rosenbrock": Case(Rosenbrock(n=2)),
    "least-squares": Case(LeastSquares()),
    "logistic": Case(Logistic()),
    "softmax": Case(SmallSoftmax(), l2=1.0),
}
