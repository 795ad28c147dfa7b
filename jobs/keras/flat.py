"""A model's trainable variables as one flat vector and back; the other state of training is listed apart.

Sums over workers, checkpoints and SciPy's optimizers take one vector. Its order is Keras's own order of variables, each
raveled in C order, so it is the same in every process that builds the model by the same factory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jobs.keras.runtime import import_tensorflow

SEED = "seed_generator"
"""In the path of each variable that holds the state of a random number generator (keras.random.SeedGenerator)."""


class FlatVariables:
    """Variables as one vector of n numbers.

    Args:
        variables: Keras variables, in the vector's order.

    Attributes:
        variables: as given.
        shapes: (path, shape) of each variable.
        sizes: number of entries of each variable.
        n: entries of the vector.
    """

    def __init__(self, variables: Sequence[Any]) -> None:
        self.variables = list(variables)
        self.shapes = tuple((variable.path, tuple(variable.shape)) for variable in self.variables)
        self.sizes = [math.prod(shape) for _, shape in self.shapes]
        self.n = sum(self.sizes)

    def vector(self) -> NDArray[np.float64]:
        """Return the variables' values, (n,) float64."""
        return np.concatenate([variable.value.numpy().ravel() for variable in self.variables], dtype=np.float64)

    def pieces(self, vector: Any, dtype: str) -> list[Any]:
        """Return a vector (n,), an array or a tensor, as tensors of the variables' shapes and of `dtype`."""
        tf, _ = import_tensorflow()
        flat = tf.split(tf.cast(vector, dtype), self.sizes)
        return [tf.reshape(piece, shape) for piece, (_, shape) in zip(flat, self.shapes, strict=True)]

    def pairs(self, vector: Any, dtype: str) -> list[tuple[Any, Any]]:
        """Return (variable, tensor) pairs of a vector (n,), as `keras.StatelessScope` takes them."""
        return list(zip(self.variables, self.pieces(vector, dtype), strict=True))

    def assign(self, vector: ArrayLike) -> None:
        """Set the variables to a vector (n,), each in its own dtype."""
        ends = np.cumsum(self.sizes)[:-1]
        for variable, piece in zip(self.variables, np.split(np.asarray(vector), ends), strict=True):
            variable.assign(piece.reshape(variable.shape))


def trainable(model: Any) -> FlatVariables:
    """Return a model's trainable variables."""
    return FlatVariables(model.trainable_variables)


def non_trainable(model: Any) -> FlatVariables:
    """Return the variables that are not trained: BatchNormalization's moving statistics, weights of frozen layers.

    States of random number generators are left out: they cannot be averaged, see `seeds`.
    """
    return FlatVariables([variable for variable in model.non_trainable_variables if SEED not in variable.path])


def seeds(model: Any) -> list[Any]:
    """Return the variables that hold the states of a model's random number generators, such as Dropout's."""
    return [variable for variable in model.non_trainable_variables if SEED in variable.path]


def slots(optimizer: Any) -> list[Any]:
    """Return the variables of an optimizer that is built: iterations, learning rate, momenta, ..."""
    return list(optimizer.variables)
