"""The shipped regressions: derivatives, sparse rows, weights, and scikit-learn's solutions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn import linear_model

from jobs import from_arrays
from jobs.errors import DataError, InputError
from jobs.minimize import Objective, logistic, minimize, poisson, softmax, squared

MODELS = {"softmax": softmax, "squared": squared, "logistic": logistic, "poisson": poisson}
ROWS = 400


def rows(seed=0):
    """Return features (rows, 5), of which half are zeros, and weights."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(ROWS, 5)) * (rng.random((ROWS, 5)) < 0.5), rng.random(ROWS) + 0.1


def target(model):
    """Return labels that fit the model."""
    rng, (x, _) = np.random.default_rng(9), rows()
    noisy = x[:, 0] - x[:, 1] + rng.normal(size=ROWS)
    return {
        "softmax": np.digitize(noisy, [-0.7, 0.7]),
        "squared": noisy,
        "logistic": noisy > 0,
        "poisson": rng.poisson(np.exp(0.5 * x[:, 0])),
    }[model]


def objective_of(model, x, w=None, dtype="float64", **options):
    """Return the objective of a model on x, in this process."""
    return Objective(None, MODELS[model].problem(from_arrays(x, target(model), w), dtype=dtype), **options)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array, sparse.coo_matrix])
@pytest.mark.parametrize("weighted", [False, True])
def test_derivatives_are_those_of_the_loss(model, form, weighted):
    """The package's own check finds every model right, and hess, hessp and sparse rows agree with dense ones."""
    x, w = rows()
    w = w if weighted else None
    objective, dense = objective_of(model, form(x), w), objective_of(model, x, w)
    assert not [finding.text for finding in objective.check() if finding.verdict != "right"]
    theta, v = np.random.default_rng(1).normal(size=(2, objective.n)) * 0.5
    np.testing.assert_allclose(objective.hess(theta) @ v, objective.hessp(theta, v), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(objective.hess(theta), dense.hess(theta), rtol=1e-9, atol=1e-9)
    assert objective(theta)[0] == pytest.approx(dense(theta)[0], rel=1e-12)
    np.testing.assert_allclose(objective.grad(theta), dense.grad(theta), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("model", MODELS)
def test_a_weight_counts_like_as_many_rows(model):
    """Rows of weight 2 are rows that are there twice, and rows of weight 0 are not there."""
    x, y = rows()[0], target(model)
    weights = np.arange(ROWS) % 3
    twice = np.repeat(np.arange(ROWS), weights)
    problem = MODELS[model].problem
    one, other = (Objective(None, problem(from_arrays(*data))) for data in ((x, y, weights), (x[twice], y[twice])))
    theta = np.random.default_rng(2).normal(size=one.n)
    assert one(theta)[0] == pytest.approx(other(theta)[0], rel=1e-12)
    np.testing.assert_allclose(one.grad(theta), other.grad(theta), rtol=1e-9, atol=1e-9)


def peer(model, l2, x, w):
    """Return scikit-learn's weights and bias; of softmax class by class."""
    y = target(model)
    tight = {"tol": 1e-12, "max_iter": 10_000}
    made = {
        "softmax": lambda: linear_model.LogisticRegression(C=1 / l2, **tight),
        "logistic": lambda: linear_model.LogisticRegression(C=1 / l2, **tight),
        "squared": lambda: linear_model.Ridge(alpha=l2),
        "poisson": lambda: linear_model.PoissonRegressor(alpha=l2 / w.sum(), **tight),
    }[model]().fit(x, y, sample_weight=w)
    return np.concatenate([np.ravel(made.coef_), np.ravel(made.intercept_)])


@pytest.mark.parametrize("model", MODELS)
def test_the_optimum_is_scikit_learns(model):
    """With weights and L2, each model's optimum has scikit-learn's parameters to five digits."""
    x, w = rows()
    found = minimize(objective_of(model, x, w, l2=0.7), method="trust-exact", options={"gtol": 1e-8}).x
    wanted = peer(model, 0.7, x, w)
    if model == "softmax":  # the biases are free up to a constant
        found[-3:] -= found[-3:].mean()
        wanted[-3:] -= wanted[-3:].mean()
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("model", ["logistic", "poisson"])
def test_large_scores_overflow_nothing(model):
    """A loss at scores of 700 is finite where the value is, and right to all digits."""
    objective = Objective(None, MODELS[model].problem(from_arrays(np.array([[700.0], [-700.0]]), [1, 0])))
    value, gradient = objective(np.array([1.0, 0.0]))
    assert value == pytest.approx({"logistic": 2 * np.exp(-700.0), "poisson": np.exp(700.0) - 700}[model], rel=1e-12)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("model", MODELS)
def test_single_precision_is_near(model):
    """With dtype float32 loss and gradient are those of float64, to single precision."""
    x, w = rows()
    one, other = objective_of(model, x, w), objective_of(model, x, w, dtype="float32")
    theta = np.random.default_rng(3).normal(size=one.n) * 0.3
    assert other(theta)[0] == pytest.approx(one(theta)[0], rel=1e-5)
    np.testing.assert_allclose(other.grad(theta), one.grad(theta), rtol=1e-4, atol=1e-2)


def test_what_a_model_does_not_take_is_named():
    """Wrong targets name their row, and wrong classes what there is."""
    x, _ = rows()
    with pytest.raises(InputError, match="logistic regression needs labels of two classes, but the data have 3"):
        logistic.problem(from_arrays(x, target("softmax")))
    with pytest.raises(InputError, match="logistic regression needs labels of two classes, but the data have 10"):
        logistic.problem("digits")
    y = target("poisson").astype(float)
    y[17] = -2
    with pytest.raises(DataError, match="target of row 17 is -2.0, but must be counts, finite and >= 0"):
        poisson.problem(from_arrays(x, y)).load(0, ROWS)
    with pytest.raises(DataError, match="y has 2 numbers a row, but squared regression takes one"):
        squared.problem(from_arrays(x, np.zeros((ROWS, 2)))).load(0, 4)
    with pytest.raises(InputError, match="dtype is 'int8', but must be 'float64' or 'float32'"):
        squared.problem("digits", "int8")


def test_wide_sparse_rows_have_long_blocks():
    """A block of sparse rows is as long as its numbers are few, but not shorter than its gradient is long."""
    x = sparse.random(20_000, 500, 0.004, "csr", random_state=np.random.default_rng(0))
    assert squared.problem(from_arrays(x, np.zeros(20_000))).block_rows == 2048
    assert squared.problem(from_arrays(x.toarray(), np.zeros(20_000))).block_rows == 2048
    wide = sparse.random(70_000, 50_000, 2e-5, "csr", random_state=np.random.default_rng(0))
    assert squared.problem(from_arrays(wide, np.zeros(70_000))).block_rows == 8192
