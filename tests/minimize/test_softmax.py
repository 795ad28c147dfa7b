"""Softmax regression: its derivatives, its accuracy, and that its bits depend on the data and theta alone."""

from __future__ import annotations

import pickle
import types
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import psutil
import pytest
from scipy.optimize import minimize

from jobs.cli import main
from jobs.errors import DataError, InputError
from jobs.minimize import softmax
from jobs.minimize.problems import softmax_kernel as _kernel
from jobs.minimize.softmax import Softmax

DTYPES = ("float64", "float32")
SHAPES = {  # rows, features, classes
    "one row": (1, 5, 3),
    "less than a tile": (40, 6, 4),
    "tiles and a rest": (150, 6, 4),
    "several parts and a rest": (1000, 784, 10),
    "one part that is no tile": (513, 784, 10),
    "many classes, no tiles": (90, 7, 300),
}


@dataclass(frozen=True)
class Arrays:
    """A data set in memory."""

    x: np.ndarray
    y: np.ndarray
    classes: int
    scale: float = 1.0

    @property
    def rows(self) -> int:
        return len(self.x)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.x.shape[1:]

    def read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        return self.x[start:stop], self.y[start:stop]

    def fingerprint(self) -> str:
        return "arrays"


def made(rows=150, features=6, classes=4, dtype="float64"):
    """Return (problem, theta, v, block): random data and points, the same for each dtype; the block holds all rows."""
    rng = np.random.default_rng([rows, features, classes])
    data = Arrays(rng.random((rows, features), dtype=np.float32), rng.integers(0, classes, rows), classes)
    data.y[-1] = classes - 1
    problem = Softmax(data, dtype)
    theta, v = rng.normal(0, 0.3, (2, problem.x0().size))
    return problem, theta, v, problem.load(0, rows)


def textbook(problem, theta, v):
    """Return (loss, gradient, Hessian times v) by the formulas, whole matrix, float64."""
    w, b = problem.weights(theta)
    x, y = problem.data.x.reshape(problem.rows, -1).astype(float) * problem.data.scale, problem.data.y
    z = x @ w + b
    z -= z.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    p = np.exp(log_p)
    change = x @ problem.weights(v)[0] + problem.weights(v)[1]
    change = p * (change - (p * change).sum(axis=1, keepdims=True))
    residual = p - np.eye(problem.data.classes)[y]
    gradient, product = (np.concatenate([(x.T @ r).T.ravel(), r.sum(axis=0)]) for r in (residual, change))
    return -log_p[np.arange(len(y)), y].sum(), gradient, product


def evaluated(problem, theta, v, block):
    """Return loss, gradient and Hessian product as one vector."""
    loss, gradient = problem.value_and_grad(theta, block)
    return np.concatenate([[loss], gradient, problem.hessp(theta, v, block)])


def test_gradient_is_the_slope_of_the_loss():
    """Each entry of the gradient agrees with the central difference of the loss."""
    problem, theta, _, block = made()
    steps = 1e-5 * np.eye(theta.size)
    up, down = ([problem.value_and_grad(theta + sign * step, block)[0] for step in steps] for sign in (1, -1))
    slopes = (np.array(up) - down) / 2e-5
    np.testing.assert_allclose(problem.value_and_grad(theta, block)[1], slopes, atol=1e-6)


def test_hessp_is_the_change_of_the_gradient():
    """The Hessian product agrees with the central difference of the gradient along v."""
    problem, theta, v, block = made()
    up, down = (problem.value_and_grad(theta + sign * 1e-5 * v, block)[1] for sign in (1, -1))
    np.testing.assert_allclose(problem.hessp(theta, v, block), (up - down) / 2e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(150, 6, 4), (1, 5, 3), (30, 3, 2)], ids=str)
def test_hess_has_hessp_as_columns(shape, dtype):
    """Each column of the Hessian is its product with a unit vector, and the matrix is symmetric."""
    problem, theta, _, block = made(*shape, dtype)
    hess = problem.hess(theta, block)
    columns = np.array([problem.hessp(theta, unit, block) for unit in np.eye(theta.size)]).T
    tolerance = np.abs(hess).max() * (1e-13 if dtype == "float64" else 1e-6)
    assert hess.dtype == np.float64
    np.testing.assert_allclose(hess, columns, atol=tolerance)
    np.testing.assert_allclose(hess, hess.T, atol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_agrees_with_the_textbook(shape, dtype):
    """Loss, gradient and Hessian product are the textbook's, to what the docstring promises for each dtype."""
    problem, theta, v, block = made(*shape, dtype)
    loss, gradient, product = textbook(problem, theta, v)
    got_loss, got_gradient = problem.value_and_grad(theta, block)
    rounding = 1e-14 if dtype == "float64" else 1e-6
    assert isinstance(got_loss, float)
    assert got_gradient.dtype == np.float64
    assert got_loss == pytest.approx(loss, rel=rounding)
    np.testing.assert_allclose(got_gradient, gradient, atol=rounding * np.abs(gradient).max())
    np.testing.assert_allclose(problem.hessp(theta, v, block), product, atol=rounding * np.abs(product).max())


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_theta_does_not_overflow(dtype):
    """With scores of a million loss and derivatives are finite, and the loss is that of the textbook."""
    problem, theta, v, block = made(dtype=dtype)
    result = evaluated(problem, theta * 1e6, v, block)
    assert np.isfinite(result).all()
    assert result[0] == pytest.approx(textbook(problem, theta * 1e6, v)[0], rel=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_overflow_makes_the_loss_infinite_or_nan_without_a_warning(dtype):
    """With theta beyond all bounds the loss is not finite, for others to judge; nothing warns (an error here)."""
    problem, theta, v, block = made(dtype=dtype)
    assert not np.isfinite(evaluated(problem, theta * 1e308, v, block)[0])


@pytest.mark.parametrize("dtype", DTYPES)
def test_blocks_of_different_lengths_sum_to_the_whole(dtype):
    """Cutting the rows into blocks of 1, 63, 64 and 22 changes sums by rounding only."""
    problem, theta, v, block = made(dtype=dtype)
    cuts = [0, 1, 64, 128, 150]
    parts = [evaluated(problem, theta, v, problem.load(start, stop)) for start, stop in pairwise(cuts)]
    np.testing.assert_allclose(
        sum(parts), evaluated(problem, theta, v, block), rtol=1e-10 if dtype == "float64" else 1e-4, atol=1e-5
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1000, 784, 10), (150, 6, 4)], ids=str)
def test_bits_do_not_depend_on_memory_alignment(shape, dtype):
    """Rows, theta and v that start anywhere in memory give the same bits."""
    problem, theta, v, block = made(*shape, dtype)
    expected = evaluated(problem, theta, v, block)
    for entries in (1, 2, 3, 5, 8):
        moved = _kernel.Block(_moved(block.x, entries), _moved(block.y, entries))
        result = evaluated(problem, _moved(theta, entries), _moved(v, entries), moved)
        np.testing.assert_array_equal(result, expected)


def _moved(array, entries):
    """Return a copy that starts `entries` entries after a cache line."""
    memory = _kernel.aligned((array.size + entries,), array.dtype)[entries:].reshape(array.shape)
    memory[...] = array
    return memory


@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_do_not_depend_on_threads(dtype):
    """Blocks of several problems, evaluated many times on four threads at once, give the bits of one thread."""
    cases = [made(*shape, dtype) for shape in [(1000, 784, 10), (150, 6, 4), (1, 5, 3), (700, 784, 10)]]
    expected = [evaluated(*case) for case in cases]
    order = [*range(len(cases))] * 15
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda index: evaluated(*cases[index]), order))
    for index, result in zip(order, results, strict=True):
        np.testing.assert_array_equal(result, expected[index])


@pytest.mark.parametrize("dtype", DTYPES)
def test_hess_bits_do_not_depend_on_memory_alignment(dtype):
    """The Hessian of rows that start elsewhere in memory has the same bits."""
    problem, theta, _, block = made(dtype=dtype)
    expected = problem.hess(theta, block)
    for entries in (1, 2, 3):
        moved = _kernel.Block(_moved(block.x, entries), block.y)
        np.testing.assert_array_equal(problem.hess(_moved(theta, entries), moved), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_load_keeps_one_scaled_copy(dtype):
    """Stored bytes become scaled rows of the dtype asked for, flat, and a block holds little more than those."""
    x = np.arange(64 * 28 * 28, dtype=np.uint8).reshape(64, 28, 28)
    block = Softmax(Arrays(x, np.arange(64) % 10, 10, scale=1 / 255), dtype).load(3, 60)
    np.testing.assert_allclose(block.x, x[3:60].reshape(57, 784) / 255, rtol=1e-6)
    assert block.x.dtype == dtype
    assert block.y.tolist() == [row % 10 for row in range(3, 60)]
    memory = block.x
    while isinstance(memory.base, np.ndarray):
        memory = memory.base
    assert memory.nbytes + block.y.nbytes < 1.1 * 57 * 784 * np.dtype(dtype).itemsize


@pytest.mark.parametrize("label", [-1, 4])
def test_load_names_a_label_out_of_range(label):
    """A label that is no class is an error that names the row, the label and the rule."""
    problem, *_ = made()
    problem.data.y[77] = label
    with pytest.raises(DataError, match=f"row 77 is {label}, but must be 0 to 3"):
        problem.load(64, 128)


def test_arguments_that_cannot_be_used_are_refused():
    """An unknown dtype, and classes for a dataset that has its own, are errors that say so."""
    data = made()[0].data
    assert softmax.problem(data, dtype="float32") == Softmax(data, "float32")
    with pytest.raises(InputError, match="dtype is 'float16', but must be 'float64' or 'float32'"):
        softmax.problem(data, dtype="float16")
    with pytest.raises(InputError, match="classes is 5, but the dataset has 4"):
        softmax.problem(data, classes=5)


def test_theta_is_class_by_class_then_biases():
    """x0, penalized and weights agree on the layout of theta; no bias is penalized."""
    problem, theta, *_ = made(features=6, classes=4)
    weights, biases = problem.weights(theta)
    assert problem.x0().tolist() == [0.0] * 28
    assert weights.shape == (6, 4)
    assert weights[:, 1].tolist() == theta[6:12].tolist()
    assert biases.tolist() == theta[24:].tolist()
    assert problem.penalized().tolist() == [True] * 24 + [False] * 4


@pytest.mark.parametrize(
    ("rows", "features", "classes", "block_rows"),
    [(55_000, 784, 10, 1024), (1_797, 64, 10, 128), (10, 3, 2, 128), (10**6, 20, 3, 8192), (10**6, 3072, 100, 2048)],
)
def test_block_rows_are_given_by_the_data(rows, features, classes, block_rows):
    """Blocks have about a million numbers, fewer where rows are few, more where there are many classes."""
    x = np.broadcast_to(np.float32(0), (rows, features))
    assert Softmax(Arrays(x, np.zeros(rows), classes)).block_rows == block_rows


def test_pickled_problem_gives_the_same_bits():
    """A problem that travelled to another process is equal in results, and names the same data and model."""
    problem, theta, v, block = made()
    other = pickle.loads(pickle.dumps(problem))
    assert (evaluated(other, theta, v, other.load(0, 150)) == evaluated(problem, theta, v, block)).all()
    assert other.fingerprint() == problem.fingerprint()
    assert Softmax(problem.data, "float32").fingerprint() != problem.fingerprint()


def test_digits_are_the_default_and_are_learned():
    """Without arguments the problem is the shipped digits, split into blocks; L-BFGS fits nearly all of them."""
    problem = softmax.problem()
    starts = range(0, problem.rows, problem.block_rows)
    blocks = [problem.load(start, min(start + problem.block_rows, problem.rows)) for start in starts]

    def total(theta):
        losses, gradients = zip(*(problem.value_and_grad(theta, block) for block in blocks), strict=True)
        return sum(losses), sum(gradients)

    weights, biases = problem.weights(
        minimize(total, problem.x0(), jac=True, method="L-BFGS-B", options={"maxiter": 100}).x
    )
    right = [(block.x @ weights + biases).argmax(axis=1) == block.y for block in blocks]
    assert problem.rows == 1797
    assert np.concatenate(right).mean() > 0.98


@pytest.mark.parametrize("limited", [False, True])
def test_more_classes_than_there_is_memory_for(limited, tmp_path, monkeypatch, capsys):
    """It is the data that are wrong, such as identifiers in the place of labels: code 2, before anything is made."""
    np.save(tmp_path / "x.npy", np.zeros((20, 50_000), np.float32))
    np.save(tmp_path / "y.npy", np.arange(20) + 2**24 - 20)
    if limited:  # memory that a container's limit, say, does not give
        monkeypatch.setattr(psutil, "virtual_memory", lambda: types.SimpleNamespace(total=2**60))
        monkeypatch.setattr(softmax, "np", types.SimpleNamespace(zeros=_no_memory))
    assert main(["minimize", "--workers", "0", "--data", f"npy:{tmp_path}", "--run", str(tmp_path / "run")]) == 2
    told = capsys.readouterr().err
    assert "16,777,216 classes of 50,000 features are 838,877,577,216 parameters, more than this machine has" in told
    assert "Traceback" not in told


def _no_memory(*_):
    raise MemoryError
