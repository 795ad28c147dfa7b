"""A model's variables as one vector and back, and what training changes beside them, listed apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jobs.keras import flat
from jobs.keras.runtime import import_tensorflow


@pytest.fixture(scope="module")
def model() -> Any:
    """A compiled model with BatchNormalization, Dropout and a layer that is not trained."""
    _, keras = import_tensorflow()
    keras.utils.set_random_seed(3)
    layers = keras.layers
    built = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(3, name="first"),
            layers.BatchNormalization(name="norm"),
            layers.Dropout(0.5, name="drop"),
            layers.Dense(2, name="frozen", trainable=False),
            layers.Dense(1, name="last"),
        ]
    )
    built.compile(keras.optimizers.Adam(), "mse")
    return built


def test_the_vector_is_the_variables_in_their_order(model):
    """Each raveled in C order, kernel before bias, layer by layer; values come back bit for bit."""
    variables = flat.trainable(model)
    assert [path.split("/")[-2:] for path, _ in variables.shapes] == [
        ["first", "kernel"],
        ["first", "bias"],
        ["norm", "gamma"],
        ["norm", "beta"],
        ["last", "kernel"],
        ["last", "bias"],
    ]
    assert variables.sizes == [12, 3, 3, 3, 2, 1]
    before = variables.vector()
    assert before.shape == (variables.n,) == (24,)
    assert before.dtype == np.float64
    assert before[:12].tobytes() == model.layers[0].kernel.numpy().astype(float).ravel().tobytes()
    random = np.random.default_rng(0).standard_normal(24).astype(np.float32).astype(np.float64)
    variables.assign(random)
    assert variables.vector().tobytes() == random.tobytes()
    assert np.array_equal(model.layers[-1].kernel.numpy().ravel(), random[21:23])
    variables.assign(before)


def test_pieces_are_what_assign_sets(model):
    """The same numbers as tensors of the variables' shapes, so that a stateless call computes with them."""
    variables = flat.trainable(model)
    vector = np.arange(24.0)
    pieces = variables.pieces(vector, "float32")
    assert [tuple(piece.shape) for piece in pieces] == [shape for _, shape in variables.shapes]
    assert np.array_equal(np.concatenate([piece.numpy().ravel() for piece in pieces]), vector)
    assert [variable.path for variable, _ in variables.pairs(vector, "float32")] == [p for p, _ in variables.shapes]


def test_what_training_changes_beside_them_is_listed_apart(model):
    """Statistics and frozen weights are numbers; states of random generators are not, and are listed by themselves."""
    assert [path.rpartition("/")[2] for path, _ in flat.non_trainable(model).shapes] == [
        "moving_mean",
        "moving_variance",
        "kernel",
        "bias",
    ]
    (seed,) = flat.seeds(model)
    assert tuple(seed.shape) == (2,)
    model.optimizer.build(model.trainable_variables)
    names = [variable.path.rpartition("/")[2] for variable in flat.slots(model.optimizer)]
    assert names[:2] == ["iteration", "learning_rate"]
    assert len(names) == 2 + 2 * 6  # Adam's two moments of each variable
