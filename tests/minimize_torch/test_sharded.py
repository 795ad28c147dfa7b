"""Torch models as problems: values, derivatives, and what becomes of theta; bits on a cluster."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import torch_models as models
from clusters import clients
from torch import nn
from torch_models import Points

from jobs.errors import DataError, InputError
from jobs.minimize import Objective, minimize, softmax
from jobs.minimize import torch as of_torch
from jobs.minimize.torch import TorchProblem, problem, replica

IMAGES = Points(shape=(8, 8))
CASES = {
    "mlp": (models.mlp, Points()),
    "frozen": (models.frozen, Points()),
    "tied": (models.Tied, Points()),
    "convolution": (models.convolution, IMAGES),
}


@pytest.fixture(scope="module")
def client_of():
    """Return a function: number of worker processes -> client of a cluster with as many."""
    with clients() as client:
        yield client


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[TorchProblem, Points, np.ndarray]:
    """Return each problem in float64, its data, and a point away from its start."""
    create_model, data = CASES[request.param]
    made = problem(create_model, nn.CrossEntropyLoss(), data, dtype="float64")
    return made, data, made.x0() + 0.1 * np.random.default_rng(5).standard_normal(made.x0().size)


def test_value_is_the_sum_that_torch_computes(case):
    """The value is the loss of the model in evaluation mode, summed over rows."""
    made, data, theta = case
    x, y = (torch.as_tensor(part) for part in data.read(0, data.rows))
    model = made.to_model(theta)
    assert not model.training
    expected = nn.functional.cross_entropy(model(x), y, reduction="sum")
    value, _ = made.value_and_grad(theta, made.load(0, data.rows))
    np.testing.assert_allclose(value, expected.item(), rtol=1e-12)


def test_derivatives(case):
    """The gradient is the value's derivative, hessp the gradient's, and hess is the matrix of hessp; sums add up."""
    made, data, theta = case
    whole, parts = made.load(0, data.rows), [made.load(0, 23), made.load(23, data.rows)]
    v = np.random.default_rng(6).standard_normal(theta.size)
    step = 1e-5
    (ahead, g_ahead), (behind, g_behind) = (made.value_and_grad(theta + s * v, whole) for s in (step, -step))
    gradient, product = made.value_and_grad(theta, whole)[1], made.hessp(theta, v, whole)
    np.testing.assert_allclose((ahead - behind) / (2 * step), gradient @ v, rtol=1e-6)
    np.testing.assert_allclose(product, (g_ahead - g_behind) / (2 * step), atol=1e-5 * np.abs(product).max())
    np.testing.assert_allclose(made.hess(theta, whole) @ v, product, atol=1e-10 * np.abs(product).max())
    np.testing.assert_allclose(sum(made.hessp(theta, v, part) for part in parts), product, atol=1e-10)


def test_theta_is_what_is_trained():
    """Frozen parameters and buffers are not in theta, tied ones count once; penalized() is true for matrices."""
    made = problem(models.frozen, nn.CrossEntropyLoss(), Points())
    assert made.shapes == (("2.weight", (3, 5)), ("2.bias", (3,)))
    np.testing.assert_array_equal(made.penalized(), np.repeat([True, False], [15, 3]))
    assert len(problem(models.Tied, nn.CrossEntropyLoss(), Points()).shapes) == 4


LOSSES = {
    "instance": (nn.MSELoss(), nn.MSELoss()),
    "summed instance": (nn.MSELoss(reduction="sum"), nn.MSELoss()),
    "function of torch": (nn.functional.mse_loss, nn.MSELoss()),
    "parameters": (nn.HuberLoss(delta=0.05), nn.HuberLoss(delta=0.05)),
    "function": (lambda output, y: (output[:, 0] - y) ** 2, nn.MSELoss()),
    "several a row": (lambda output, y: (output - y[:, None]) ** 2, nn.MSELoss()),
}


@pytest.mark.parametrize("kind", LOSSES)
def test_any_form_of_loss_is_summed(kind):
    """Instances of any reduction, torch's functions and the user's are summed; labels (rows,) fit (rows, 1)."""
    loss, reference = LOSSES[kind]
    data = Points(classes=0)
    made = problem(lambda: nn.Linear(4, 1), loss, data, dtype="float64")
    x, y = (torch.as_tensor(part) for part in data.read(0, data.rows))
    expected = reference(made.to_model(made.x0())(x)[:, 0], y).item() * data.rows
    np.testing.assert_allclose(made.value_and_grad(made.x0(), made.load(0, data.rows))[0], expected, rtol=1e-12)


def test_losses_of_numbers_take_labels_of_integers():
    """Class numbers become numbers of the model's type for losses of torch that are not of classes."""
    made = problem(lambda: nn.Linear(4, 1), nn.BCEWithLogitsLoss(), Points(classes=2), dtype="float64")
    _, y = made.load(0, 60)
    assert y.dtype == torch.float64
    assert np.isfinite(made.value_and_grad(made.x0(), made.load(0, 60))[0])


def test_float32_computes_in_float32_and_answers_in_float64():
    """float32 gives the float64 value to some 1e-6, as float64 numbers."""
    single, double = (problem(models.mlp, nn.CrossEntropyLoss(), Points(), dtype=d) for d in ("float32", "float64"))
    theta = double.x0()
    (a, g), (b, h) = (made.value_and_grad(theta, made.load(0, 60)) for made in (single, double))
    np.testing.assert_allclose(a, b, rtol=1e-6)
    np.testing.assert_allclose(g, h, atol=1e-5)
    assert a != b
    assert g.dtype == np.float64


def test_every_process_and_thread_has_the_same_bits(client_of):
    """The bits are those of one process on 1, 2 and 3 workers, of the value and of a search by trust-krylov."""
    made = problem(models.digits, nn.CrossEntropyLoss(), "digits", dtype="float64", block_rows=256)
    options = {"method": "trust-krylov", "options": {"maxiter": 4}}
    with Objective(None, made, l2=1) as serial:
        expected = minimize(serial, **options)
    for workers in (1, 2, 3):
        with Objective(client_of(workers), made, l2=1) as objective:
            found = minimize(objective, **options)
        assert (found.fun, found.x.tobytes()) == (expected.fun, expected.x.tobytes())
    block = made.load(0, 256)
    with ThreadPoolExecutor(4) as threads:
        values = list(threads.map(lambda _: made.value_and_grad(expected.x, block)[1].tobytes(), range(16)))
        products = list(threads.map(lambda _: made.hessp(expected.x, expected.x, block).tobytes(), range(8)))
    assert len(set(values)) == len(set(products)) == 1


def test_the_optimum_is_that_of_the_numpy_problem():
    """Softmax regression of the digits as a torch model has the optimum of the shipped problem."""
    made = of_torch.problem(models.digits, nn.CrossEntropyLoss(), "digits", dtype="float64")
    fun = []
    for one in (made, softmax.problem("digits")):
        with Objective(None, one, l2=1) as objective:
            fun.append(minimize(objective, method="L-BFGS-B", options={"maxiter": 500}).fun)
    assert fun[0] == pytest.approx(fun[1], rel=1e-6)


def test_labels_of_another_type_than_the_first_are_no_loss():
    """Labels that the first one's type does not hold are an error; they are not rounded."""
    data = [(np.ones(4), label) for label in (0, 0.5, 1.0)]
    with pytest.raises(DataError, match="labels of rows 0 to 2 are float64, but the first row's is int64"):
        problem(lambda: nn.Linear(4, 1), nn.MSELoss(), lambda: data)


def test_files_of_numbers_are_targets(tmp_path):
    """For a loss of numbers, labels of files may be any; class numbers for one of classes."""
    x, _ = models.arrays()
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", x[:, 0])
    made = problem(lambda: nn.Linear(4, 1), nn.MSELoss(), f"npy:{tmp_path}", dtype="float64")
    np.testing.assert_array_equal(made.load(0, 60)[1].numpy(), x[:, 0])
    with pytest.raises(DataError, match="must be integers"):
        problem(lambda: nn.Linear(4, 3), nn.CrossEntropyLoss(), f"npy:{tmp_path}")


def test_weights_of_classes_are_of_the_models_type():
    """A loss's weights are converted with the model."""
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0]))
    made = problem(models.line, loss, Points(), dtype="float64")
    assert np.isfinite(made.value_and_grad(made.x0(), made.load(0, 60))[0])
    assert made.fingerprint() != problem(models.line, nn.CrossEntropyLoss(), Points(), dtype="float64").fingerprint()


def test_to_model_sets_the_parameters():
    """to_model gives a new module with theta in its parameters."""
    made = problem(models.mlp, nn.CrossEntropyLoss(), Points())
    theta = np.arange(float(made.x0().size))
    one, two = made.to_model(theta), made.to_model(theta + 1)
    np.testing.assert_array_equal(np.concatenate([p.detach().ravel() for p in one.parameters()]), theta)
    assert two[0].weight[0, 0].item() == 1
    with pytest.raises(InputError, match="theta has 3 entries"):
        made.to_model(np.zeros(3))


def test_a_process_builds_one_replica():
    """Threads that need it at the same time build one, and the caller's random state is left alone."""
    calls = []

    def counted():
        calls.append(torch.rand(1))
        return models.mlp()

    made = problem(counted, nn.CrossEntropyLoss(), Points(rows=59))
    state = torch.get_rng_state()
    replica._replicas.clear()
    start = threading.Barrier(4)

    def evaluate(_: int) -> float:
        start.wait()
        return made.value_and_grad(made.x0(), made.load(0, 59))[0]

    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(evaluate, range(4)))) == 1
    assert torch.equal(torch.get_rng_state(), state)


def test_what_theta_predicts_and_saves(case, tmp_path):
    """The outputs of the module with these parameters; model.pt has its state; rows of another shape are refused."""
    made, _, theta = case
    x, _ = made.arrays(0, 20)
    model = made.to_model(theta)
    with torch.no_grad():
        expected = model(torch.as_tensor(x)).numpy()
    np.testing.assert_allclose(made.predict(theta, x), expected, rtol=1e-12, atol=1e-12)
    made.save(theta, str(tmp_path))
    saved = torch.load(tmp_path / "model.pt", weights_only=True)
    assert all(torch.equal(saved[name], value) for name, value in model.state_dict().items())
    with pytest.raises(DataError, match=r"the model takes rows of shape .*, but those of the data have \(7, 7, 7\)"):
        made.predict(theta, np.zeros((2, 7, 7, 7)))
