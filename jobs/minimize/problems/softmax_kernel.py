"""Softmax regression on one block of rows: loss, gradient, Hessian product and Hessian, fast on one core.

Weights are held class by class, (classes, features), and scores likewise, (classes, rows): so sums and maxima over the
few classes run along the rows, which vectorizes. What makes it fast, the largest gain first:

1. Products are batched over tiles of rows, small enough for OpenBLAS's kernels for small matrices: those do not copy
   (pack) the rows first, and with few classes that copy costs as much as the product.
2. A block is processed in parts that fit the second-level cache: rows come from memory once, not twice.
3. Scratch memory is reused, one set per thread; rows, weights and scratch start on a cache line.

No result depends on where arrays lie in memory or on the thread, not in one bit.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Vector = NDArray[np.float64]
Array = NDArray[Any]  # float64 or float32, that of the block

PART_BYTES = 1_638_400  # of rows: most of a second-level cache of 2 MiB, the rest for scores and products
SMALL_PRODUCT = 1_000_000  # multiplications up to which OpenBLAS (for AVX-512) calls its kernels for small matrices
MAX_TILE = 64
CACHE_LINE = 64


@dataclass(frozen=True)
class Block:
    """Rows as the kernel takes them.

    Attributes:
        x: (rows, features) float64 or float32 in C order; fastest from `aligned`.
        y: (rows,) unsigned integers, the class of each row.
        w: (rows,) in the dtype of `x`, what each row counts; None: 1.
    """

    x: Array
    y: NDArray[Any]
    w: Array | None = None


def aligned(shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """Return an uninitialized array in C order that starts on a cache line; NumPy promises 16 bytes only."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.empty(size + CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE
    return memory[start : start + size].view(dtype).reshape(shape)


class _Scratch(threading.local):
    """A thread's arrays by name, reused between calls: fresh ones cost page faults, a fifth of the time in float32."""

    def __init__(self) -> None:
        self._memory: dict[str, Array] = {}

    def __call__(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Return an uninitialized aligned array, valid until this thread's next call with the same name."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if name not in self._memory or self._memory[name].size < size:
            self._memory[name] = aligned((size,), np.uint8)
        return self._memory[name][:size].view(dtype).reshape(shape)


_scratch = _Scratch()

# BLAS may compute on unused lanes of uninitialized memory, and so set floating-point flags at random (seen: a product
# with one row in float32); NumPy would warn. A result that is not finite is found by `evaluate.request`.
_quiet = np.errstate(all="ignore")


def split(theta: Vector, features: int) -> tuple[Vector, Vector]:
    """Return views of a flat theta, (classes * (features + 1),): weights (classes, features) and biases (classes,)."""
    classes = theta.size // (features + 1)
    return theta[: classes * features].reshape(classes, features), theta[classes * features :]


@_quiet
def value_and_grad(theta: Vector, block: Block) -> tuple[float, Vector]:
    """Return the sum over the rows of -log softmax(W x + b)[y], and its gradient, (n,) float64."""
    x = block.x
    rows, features = x.shape
    weights, biases = _parameters("weights", theta, x)
    scores = _scratch("scores", (len(weights), rows), x.dtype)
    flat, at = scores.reshape(-1), block.y * np.intp(rows) + np.arange(rows)  # scores of the rows' own classes
    own, sums = np.empty((2, rows), x.dtype)
    gradient = np.zeros(theta.size)
    weight_gradient, bias_gradient = split(gradient, features)
    for part, tile in _parts(x, len(weights)):
        z = scores[:, part]
        _project(weights, x[part], tile, z)
        z += biases
        z -= z.max(axis=0)
        own[part] = flat[at[part]]
        np.exp(z, out=z)
        z /= np.add.reduce(z, axis=0, out=sums[part])
        flat[at[part]] -= 1
        if block.w is not None:
            z *= block.w[part]
        _add_product(z, x[part], tile, weight_gradient)
    np.add.reduce(scores, axis=1, dtype=np.float64, out=bias_gradient)
    if block.w is not None:
        return float(np.multiply(block.w, np.log(sums) - own, dtype=np.float64).sum()), gradient
    return float(np.log(sums).sum(dtype=np.float64) - own.sum(dtype=np.float64)), gradient


@_quiet
def hessp(theta: Vector, v: Vector, block: Block) -> Vector:
    """Return the Hessian's product with `v`, (n,) float64, in one pass over the rows.

    With v = (V, c), probabilities P and U = V x + c, the change of P along v is P * (U - sum(P * U)).
    Source: the R-operator of Pearlmutter, "Fast exact multiplication by the Hessian", Neural Computation 6 (1994).
    """
    x = block.x
    weights, biases = _parameters("weights", theta, x)
    directions, shifts = _parameters("directions", v, x)
    changes = _scratch("scores", (len(weights), len(x)), x.dtype)
    product = np.zeros(theta.size)
    weight_product, bias_product = split(product, x.shape[1])
    for part, tile in _parts(x, len(weights)):
        u = changes[:, part]
        p = _scratch("probabilities", u.shape, x.dtype)
        _probabilities(weights, biases, x[part], tile, p)
        _project(directions, x[part], tile, u)
        u += shifts
        u -= (p * u).sum(axis=0)
        u *= p
        if block.w is not None:
            u *= block.w[part]
        _add_product(u, x[part], tile, weight_product)
    np.add.reduce(changes, axis=1, dtype=np.float64, out=bias_product)
    return product


@_quiet
def hess(theta: Vector, block: Block) -> Vector:
    """Return the Hessian, (n, n) float64; it also allocates one more copy of the block.

    Classes a and b meet in X^T diag(d) X with d = P_a (1[a = b] - P_b), the same for (b, a).
    Source: Boehning, "Multinomial logistic regression algorithm", Ann. Inst. Statist. Math. 44 (1992).
    """
    x = block.x
    weights, biases = _parameters("weights", theta, x)
    classes, features = weights.shape
    p = np.empty((classes, len(x)), x.dtype)
    for part, tile in _parts(x, classes):
        _probabilities(weights, biases, x[part], tile, p[:, part])
    matrix, n = np.empty((theta.size, theta.size)), classes * features
    of = [slice(a * features, (a + 1) * features) for a in range(classes)]
    for a in range(classes):
        d = -p[a] * p
        d[a] += p[a]
        if block.w is not None:
            d *= block.w
        for b in range(a, classes):
            matrix[of[a], of[b]] = matrix[of[b], of[a]] = x.T @ (x * d[b][:, np.newaxis])
        matrix[n + a, :n] = (d @ x).ravel()
        matrix[n + a, n:] = d.sum(axis=1, dtype=np.float64)
    matrix[:n, n:] = matrix[n:, :n].T
    return matrix


@_quiet
def correct(theta: Vector, block: Block) -> int:
    """Return how many rows have the largest score W x + b in their own class."""
    x = block.x
    weights, biases = _parameters("weights", theta, x)
    found = 0
    for part, tile in _parts(x, len(weights)):
        rows = x[part]
        scores = _scratch("scores", (len(weights), len(rows)), x.dtype)
        _project(weights, rows, tile, scores)
        scores += biases
        found += int(np.count_nonzero(scores.argmax(axis=0) == block.y[part]))
    return found


@_quiet
def probabilities(theta: Vector, x: Array) -> Array:
    """Return softmax(W x + b) of rows x (rows, features), (rows, classes) in the dtype of `x`."""
    weights, biases = _parameters("weights", theta, x)
    found = np.empty((len(weights), len(x)), x.dtype)
    for part, tile in _parts(x, len(weights)):
        _probabilities(weights, biases, x[part], tile, found[:, part])
    return found.T


def _parts(x: Array, classes: int) -> Iterator[tuple[slice, int]]:
    """Yield (rows of a part, rows of a tile in it) for a block `x`; the last part may be shorter.

    A tile's product, (classes, features), is written and added, so tiles pay while they have clearly more rows than
    there are classes. Beyond that one large product is the fastest.
    """
    rows, features = x.shape
    tile = min(power_of_two(SMALL_PRODUCT // (classes * features)), MAX_TILE)
    part = max(power_of_two(PART_BYTES // (features * x.itemsize)), tile)
    if 2 * tile < 3 * classes:
        part = tile = rows
    return ((slice(start, min(start + part, rows)), tile) for start in range(0, rows, part))


def power_of_two(number: int) -> int:
    """Return the largest power of two up to `number`, 0 if there is none."""
    return (1 << number.bit_length()) >> 1


def _parameters(name: str, theta: Vector, x: Array) -> tuple[Array, Array]:
    """Return weights, (classes, features) in scratch memory `name`, and biases, (classes, 1), in the dtype of `x`."""
    weights, biases = split(theta, x.shape[1])
    converted = _scratch(name, weights.shape, x.dtype)
    converted[...] = weights
    return converted, biases.astype(x.dtype)[:, np.newaxis]


def _probabilities(weights: Array, biases: Array, x: Array, tile: int, out: Array) -> None:
    """Write softmax(W x + b), (classes, rows), into `out`."""
    _project(weights, x, tile, out)
    out += biases
    out -= out.max(axis=0)
    np.exp(out, out=out)
    out /= out.sum(axis=0)


def _project(weights: Array, x: Array, tile: int, out: Array) -> None:
    """Write W x^T, (classes, rows), into `out`, which may be columns of a wider array."""
    tiled = len(x) // tile * tile
    if tiled:
        np.matmul(weights, _tiles(x.T[:, :tiled], tile), out=_tiles(out[:, :tiled], tile))
    if tiled < len(x):
        np.matmul(weights, x[tiled:].T, out=out[:, tiled:])


def _add_product(scores: Array, x: Array, tile: int, total: Vector) -> None:
    """Add scores x, (classes, features), to `total`; within a part sums are in the dtype of `x`."""
    tiled = len(x) // tile * tile
    if tiled:
        products = _scratch("products", (tiled // tile, *total.shape), x.dtype)
        np.matmul(_tiles(scores[:, :tiled], tile), x[:tiled].reshape(-1, tile, x.shape[1]), out=products)
        total += products.sum(axis=0)
    if tiled < len(x):
        total += scores[:, tiled:] @ x[tiled:]


def _tiles(columns: Array, tile: int) -> Array:
    """Return a view of (m, tiles * tile) as (tiles, m, tile)."""
    return columns.reshape(len(columns), -1, tile).transpose(1, 0, 2)
