"""The vector of one part of a step, which replicas add up: what lies where in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.train.replica.model import ReplicaModel

Vector = NDArray[Any]
LOSS, ROWS, METRICS = 0, 1, 2
"""Places in the tail: the sum of losses over rows, the number of rows, the metrics' variables from here on."""


@dataclass(frozen=True)
class Layout:
    """A vector of `size` numbers: tensors first, each a sum weighted by rows, then the tail of scalars.

    Attributes:
        shapes: of the tensors: gradients or weights, statistics, optimizer slots.
        rounded: how many of the first numbers may travel in half precision.
        metrics: numbers of the metrics' variables.
        dtype: NumPy's name of the vector's type.
    """

    shapes: tuple[tuple[int, ...], ...]
    rounded: int
    metrics: int
    dtype: str

    @classmethod
    def of(cls, tensors: Sequence[Any], rounded: Sequence[Any], replica: ReplicaModel) -> Layout:
        """Return the layout of variables.

        Args:
            tensors: those of the tensors, in order.
            rounded: the first of them, that may travel in half precision.
            replica: whose metrics are in the tail.
        """
        shapes = tuple(tuple(one.shape) for one in tensors)
        metrics = sum(math.prod(one.shape) for one in replica.metrics)
        return cls(shapes, sum(math.prod(one.shape) for one in rounded), metrics, replica.dtype)

    @property
    def sizes(self) -> list[int]:
        """Number of entries of each tensor, and of the tail."""
        return [*(math.prod(shape) for shape in self.shapes), METRICS + self.metrics]

    @property
    def size(self) -> int:
        """Number of entries of the vector."""
        return sum(self.sizes)

    @property
    def tail_at(self) -> int:
        """Where in the vector the tail begins."""
        return self.size - METRICS - self.metrics

    def tail(self, vector: Vector) -> NDArray[np.float64]:
        """Return the scalars of a vector: (2 + metrics,) float64."""
        return vector[self.tail_at :].astype(np.float64)

    def empty(self) -> Vector:
        """Return the vector of a part without rows."""
        return np.zeros(self.size, self.dtype)

    def pack(self, tensors: Sequence[Any], tail: Sequence[Any]) -> Any:
        """Return tensors and scalars as one tensor (size,); within a compiled function."""
        import tensorflow as tf

        scalars = [tf.reshape(tf.cast(one, self.dtype), [-1]) for one in tail]
        return tf.concat([*(tf.reshape(tf.cast(one, self.dtype), [-1]) for one in tensors), *scalars], 0)

    def means(self, vector: Any) -> list[Any]:
        """Return the tensors of a sum, each divided by the rows; within a compiled function."""
        import tensorflow as tf

        *parts, tail = tf.split(vector, self.sizes)
        # Not one division of the whole vector: XLA and TensorFlow alike read each part once anyway, and the tail stays.
        return [tf.reshape(part / tail[ROWS], shape) for part, shape in zip(parts, self.shapes, strict=True)]
