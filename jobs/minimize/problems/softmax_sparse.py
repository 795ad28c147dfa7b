"""Softmax regression on one block of sparse rows: the formulas of `softmax_kernel`, with products by SciPy's CSR form.

Rows are never made dense; weights, gradients and, of `hess`, the n x n matrix are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jobs.minimize.problems.softmax_kernel import Array, Block, Vector, split

_quiet = np.errstate(all="ignore")


@_quiet
def value_and_grad(theta: Vector, block: Block) -> tuple[float, Vector]:
    """Return the sum over the rows of -log softmax(W x + b)[y], and its gradient, (n,) float64."""
    z = _scores(theta, block.x)
    z -= z.max(axis=1, keepdims=True)
    at = np.arange(len(z)), block.y.astype(np.intp)
    own = z[at]
    np.exp(z, out=z)
    sums = z.sum(axis=1)
    z /= sums[:, np.newaxis]
    z[at] -= 1
    losses = np.log(sums) - own
    return float(_weighted(losses, block).sum(dtype=np.float64)), _product(block.x, _weighted(z, block))


@_quiet
def hessp(theta: Vector, v: Vector, block: Block) -> Vector:
    """Return the Hessian's product with `v`, (n,) float64; the source is that of `softmax_kernel.hessp`."""
    p, u = probabilities(theta, block.x), _scores(v, block.x)
    u -= (p * u).sum(axis=1, keepdims=True)
    return _product(block.x, _weighted(p * u, block))


@_quiet
def hess(theta: Vector, block: Block) -> Vector:
    """Return the Hessian, (n, n) float64 and dense; the source is that of `softmax_kernel.hess`."""
    x: Any = block.x
    p = probabilities(theta, x)
    classes, features = p.shape[1], x.shape[1]
    matrix, n = np.empty((theta.size, theta.size)), classes * features
    of = [slice(a * features, (a + 1) * features) for a in range(classes)]
    for a in range(classes):
        d = -p[:, [a]] * p
        d[:, a] += p[:, a]
        d = _weighted(d, block)
        for b in range(a, classes):
            matrix[of[a], of[b]] = matrix[of[b], of[a]] = (x.T @ x.multiply(d[:, [b]]).tocsr()).toarray()
        matrix[n + a, :n] = (x.T @ d).T.ravel()
        matrix[n + a, n:] = d.sum(axis=0, dtype=np.float64)
    matrix[:n, n:] = matrix[n:, :n].T
    return matrix


def correct(theta: Vector, block: Block) -> int:
    """Return how many rows have the largest score in their own class."""
    return int(np.count_nonzero(_scores(theta, block.x).argmax(axis=1) == block.y))


@_quiet
def probabilities(theta: Vector, x: Array) -> Array:
    """Return softmax(W x + b), (rows, classes) in the dtype of `x`."""
    z = _scores(theta, x)
    z -= z.max(axis=1, keepdims=True)
    np.exp(z, out=z)
    z /= z.sum(axis=1, keepdims=True)
    return z


def _scores(theta: Vector, x: Array) -> Array:
    weights, biases = split(theta, x.shape[1])
    scores: Array = x @ np.ascontiguousarray(weights.T, dtype=x.dtype)
    scores += biases.astype(x.dtype)
    return scores


def _product(x: Array, d: Array) -> Vector:
    """Return the derivative by theta, (n,) float64, of that by the scores, (rows, classes)."""
    return np.concatenate([(x.T @ d).T.ravel(), d.sum(axis=0, dtype=np.float64)], dtype=np.float64)


def _weighted(values: Array, block: Block) -> Array:
    if block.w is None:
        return values
    return values * (block.w if values.ndim == 1 else block.w[:, np.newaxis])
