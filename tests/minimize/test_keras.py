"""Keras models as problems: values, gradients and Hessian products, and what becomes of theta."""

from __future__ import annotations

from dataclasses import replace

import keras_models as models
import numpy as np
import pytest
from keras_models import Points, Tokens
from scipy import optimize

from jobs.errors import DataError, InputError
from jobs.minimize.keras import KerasProblem, problem

IMAGES = Points(shape=(8, 8))
CASES = {
    "mlp": (models.mlp, Points()),
    "decayed": (models.decayed, Points()),
    "frozen": (models.frozen, Points()),
    "subclassed": (models.subclassed, Points()),
    "convolution": (models.convolution, IMAGES),
    "words": (models.words, Tokens()),
}


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[KerasProblem, Points, np.ndarray]:
    """Return each problem in float64, its data, and a point away from its start."""
    create_model, data = CASES[request.param]
    made = problem(create_model, models.crossentropy(), data, dtype="float64")
    return made, data, made.x0() + 0.1 * np.random.default_rng(5).standard_normal(made.x0().size)


def test_value_is_the_sum_that_keras_computes(case):
    """The value is the loss of the model in inference mode, summed over rows, plus the regularizers once."""
    made, data, theta = case
    model, loss = made.to_model(theta), models.crossentropy()
    x, y = data.all()
    block = made.load(0, data.rows)
    rows = loss.call(y, model(x.reshape(block[0].shape), training=False))
    value, _ = made.value_and_grad(theta, block)
    expected = np.sum(rows) + np.sum([float(penalty) for penalty in model.losses])
    np.testing.assert_allclose(value, expected, rtol=1e-12)


def test_gradient_and_hessp_are_derivatives(case):
    """The gradient is the value's derivative and hessp the gradient's, by central differences."""
    made, data, theta = case
    block = made.load(0, data.rows)
    v = np.random.default_rng(6).standard_normal(theta.size)
    v /= np.linalg.norm(v)
    step = 1e-4
    (ahead, g_ahead), (behind, g_behind) = (made.value_and_grad(theta + s * v, block) for s in (step, -step))
    np.testing.assert_allclose((ahead - behind) / (2 * step), made.value_and_grad(theta, block)[1] @ v, rtol=1e-5)
    product = made.hessp(theta, v, block)
    np.testing.assert_allclose(product, (g_ahead - g_behind) / (2 * step), atol=1e-5 * np.abs(product).max())
    assert product.dtype == g_ahead.dtype == np.float64


def test_blocks_add_up(case):
    """Value, gradient and hessp of two blocks add up to those of one, to rounding: regularizers are shared by rows."""
    made, data, theta = case
    whole, parts = made.load(0, data.rows), [made.load(0, 23), made.load(23, data.rows)]
    (value, gradient), answers = made.value_and_grad(theta, whole), [made.value_and_grad(theta, part) for part in parts]
    np.testing.assert_allclose(sum(answer[0] for answer in answers), value, rtol=1e-13)
    np.testing.assert_allclose(sum(answer[1] for answer in answers), gradient, atol=1e-12 * np.abs(gradient).max())
    product = made.hessp(theta, theta, whole)
    summed = sum(made.hessp(theta, theta, part) for part in parts)
    np.testing.assert_allclose(summed, product, atol=1e-12 * np.abs(product).max())


def test_frozen_variables_are_used_but_not_in_theta():
    """theta holds the trainable variables only, in their order; penalized() is true for those of rank 2."""
    made = problem(models.frozen, models.crossentropy(), Points())
    assert [shape for _, shape in made.shapes] == [(5, 4), (4,), (6, 3), (3,)]
    assert made.x0().shape == (20 + 4 + 18 + 3,)
    np.testing.assert_array_equal(made.penalized(), np.repeat([True, False, True, False], [20, 4, 18, 3]))


def losses():
    import keras

    mean = keras.losses.MeanSquaredError()
    return {
        "name": ("mean_squared_error", mean),
        "class name": ("MeanSquaredError", mean),
        "instance": (mean, mean),
        "summed instance": (keras.losses.MeanSquaredError(reduction="sum"), mean),
        "function": (models.squares, mean),
        "parameters": (keras.losses.Huber(delta=0.05), keras.losses.Huber(delta=0.05)),
    }


@pytest.mark.parametrize("kind", ["name", "class name", "instance", "summed instance", "function", "parameters"])
def test_any_form_of_loss_is_summed(kind):
    """Names, instances of any reduction with their parameters, and functions are summed; labels may lack an axis."""
    loss, reference = losses()[kind]
    data = Points(classes=0)
    made = problem(models.one_output, loss, data, dtype="float64")
    theta = made.x0()
    x, y = data.all()
    rows = reference.call(y[:, None], np.asarray(made.to_model(theta)(x)))
    value, _ = made.value_and_grad(theta, made.load(0, data.rows))
    np.testing.assert_allclose(value, np.sum(rows), rtol=1e-12)


def test_float32_computes_in_float32_and_answers_in_float64():
    """float32 gives the float64 value to some 1e-6, as float64 numbers."""
    single, double = (problem(models.mlp, models.crossentropy(), Points(), dtype=d) for d in ("float32", "float64"))
    theta = double.x0()
    (a, g), (b, h) = (made.value_and_grad(theta, made.load(0, 60)) for made in (single, double))
    np.testing.assert_allclose(a, b, rtol=1e-6)
    np.testing.assert_allclose(g, h, atol=1e-5)
    assert a != b
    assert g.dtype == np.float64
    assert single.load(0, 1)[0].dtype == "float32"


def test_to_model_sets_the_weights():
    """to_model gives a new model with theta in its variables, compiled if the factory compiles."""
    made = problem(f"{models.__name__}:compiled", "mse", Points(classes=0))
    theta = np.arange(29.0)
    model = made.to_model(theta)
    np.testing.assert_array_equal(np.concatenate([np.ravel(weight) for weight in model.get_weights()]), theta)
    assert model.compiled
    assert made.x0()[0] != theta[0]
    with pytest.raises(InputError, match="theta has 3 entries"):
        made.to_model(np.zeros(3))


def test_block_rows_follow_the_size_of_a_row():
    """A block is 1,024 rows, fewer where rows are large, or what is asked for."""
    assert problem(models.mlp, models.crossentropy(), Points()).block_rows == 1024
    assert problem(models.mlp, models.crossentropy(), Points(), block_rows=8).block_rows == 8
    assert problem(models.wide_line, models.crossentropy(), Points(rows=1, shape=(100, 100))).block_rows == 256


def test_short_data_are_refused():
    """Data that give fewer rows than asked for are an error, not a smaller sum."""
    made = problem(models.mlp, models.crossentropy(), Points())
    with pytest.raises(DataError, match="returned 10 rows of x"):
        replace(made, data=Points(rows=10)).load(0, 60)


def test_scipy_trains_the_digits():
    """L-BFGS-B on a small network of the shipped digits reaches 97 % of its training data in 60 iterations."""
    made = problem(models.digits_mlp, "sparse_categorical_crossentropy")
    data = made.load(0, made.rows)
    start = made.value_and_grad(made.x0(), data)[0]
    options = {"maxiter": 60}
    result = optimize.minimize(made.value_and_grad, made.x0(), (data,), method="L-BFGS-B", jac=True, options=options)
    assert result.fun < 0.1 * start
    x, y = data
    predictions = np.argmax(made.to_model(result.x)(x), axis=1)
    assert np.mean(predictions == np.asarray(y)) > 0.97
