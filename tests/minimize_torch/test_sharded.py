"""Torch models as problems: values, derivatives, and what becomes of theta; bits on a cluster."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch_models as models
from clusters import clients
from torch import nn
from torch_models import Points
from waiting import until

from jobs.errors import DataError, InputError, UserCodeError
from jobs.minimize import Objective, minimize, softmax
from jobs.minimize import torch as of_torch
from jobs.minimize.journal import MAGIC
from jobs.minimize.torch import TorchProblem, problem, replica
from jobs.storage import Storage, open_storage

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


class Pairs(torch.utils.data.Dataset):
    """A Dataset of pairs."""

    def __init__(self, rows: int = 60) -> None:
        """`rows`: of them."""
        self._x, self._y = models.arrays(rows)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._x)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        """Return a row."""
        return torch.as_tensor(self._x[row]), int(self._y[row])


class Named(Pairs):
    """A Dataset that knows its identity."""

    def __init__(self, name: str) -> None:
        """`name`: its identity."""
        super().__init__()
        self._name = name

    def fingerprint(self) -> str:
        """Return it."""
        return self._name


def test_a_dataset_by_its_factory():
    """A torch Dataset is read as arrays are: the value and the identity's data do not depend on the form."""
    by_factory = problem(models.mlp, nn.CrossEntropyLoss(), Pairs)
    by_source = problem(models.mlp, nn.CrossEntropyLoss(), Points())
    theta = by_source.x0()
    values = [made.value_and_grad(theta, made.load(0, 60))[0] for made in (by_factory, by_source)]
    assert values[0] == values[1]
    again = pickle.loads(pickle.dumps(by_factory))
    assert again.fingerprint() == by_factory.fingerprint()
    assert problem(models.mlp, nn.CrossEntropyLoss(), lambda: Pairs(61)).fingerprint() != by_factory.fingerprint()
    named = [problem(models.mlp, nn.CrossEntropyLoss(), partial(Named, name)).fingerprint() for name in ("a", "b")]
    assert named[0] != named[1]


def test_fingerprint_tells_what_changes_the_loss():
    """Another activation, loss, dtype, block length, data or frozen weight has another; the same have the same."""
    data = Points(classes=0)

    def net(activation, seed=1):
        def create_model():
            torch.manual_seed(seed)
            model = nn.Sequential(nn.Linear(4, 3), activation, nn.Linear(3, 1))
            model[0].requires_grad_(requires_grad=False)
            return model

        return create_model

    made = problem(net(nn.Tanh()), nn.MSELoss(), data, block_rows=8)
    replica._replicas.clear()
    assert problem(net(nn.Tanh()), nn.MSELoss(), data, block_rows=8).fingerprint() == made.fingerprint()
    others = [
        problem(net(nn.ReLU()), nn.MSELoss(), data, block_rows=8),
        problem(net(nn.Tanh()), nn.L1Loss(), data, block_rows=8),
        problem(net(nn.Tanh()), nn.HuberLoss(delta=0.5), data, block_rows=8),
        problem(net(nn.Tanh()), nn.HuberLoss(delta=0.6), data, block_rows=8),
        problem(net(nn.Tanh()), nn.MSELoss(), data, block_rows=9),
        problem(net(nn.Tanh()), nn.MSELoss(), data, block_rows=8, dtype="float64"),
        problem(net(nn.Tanh()), nn.MSELoss(), Points(classes=0, rows=61), block_rows=8),
        problem(net(nn.Tanh(), seed=2), nn.MSELoss(), data, block_rows=8),
    ]
    assert len({made.fingerprint(), *(other.fingerprint() for other in others)}) == 9


def test_a_model_that_branches_has_the_identity_of_its_code():
    """What cannot be traced is told apart by name and source."""
    made = problem(models.Branching, nn.CrossEntropyLoss(), Points())
    assert made.fingerprint() == problem(models.Branching, nn.CrossEntropyLoss(), Points()).fingerprint()
    assert made.fingerprint() != problem(models.Branching, nn.MultiMarginLoss(), Points()).fingerprint()


class Scaled(nn.Linear):
    """A model whose gradient is scaled, and its output is not."""

    def __init__(self, scale: float) -> None:
        super().__init__(4, 3)
        self.scale = scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        part = super().forward(x)
        return part.detach() + self.scale * (part - part.detach())


def test_fingerprint_tells_what_changes_the_gradient_alone():
    """Two models of one loss and other gradients are other problems."""
    made = [problem(partial(Scaled, scale), nn.CrossEntropyLoss(), Points()) for scale in (1.0, 2.0)]
    values = [one.value_and_grad(one.x0(), one.load(0, 60))[0] for one in made]
    assert values[0] == values[1]
    assert made[0].fingerprint() != made[1].fingerprint()


def test_a_factory_whose_module_changed_is_called_again():
    """A problem that is made again has the model that its factory makes now; a module of the user's is left alone."""
    own = nn.Linear(4, 3).double().train()
    problem(lambda: own, nn.CrossEntropyLoss(), Points())
    assert (own.training, own.weight.dtype) == (True, torch.float64)
    sizes = []
    for models.hidden in (3, 5):
        sizes.append(len(problem("torch_models:resized", nn.CrossEntropyLoss(), Points()).x0()))
    assert sizes == [3 * 5 + 3 * 4, 5 * 5 + 3 * 6]


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


class Random(nn.Linear):
    """A model whose dropout is on in evaluation mode, too."""

    def __init__(self) -> None:
        super().__init__(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(super().forward(x))


class Counting(nn.Linear):
    """A model that counts its calls."""

    def __init__(self) -> None:
        super().__init__(4, 3)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return super().forward(x)


def scalar(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(output, y)


BAD = {
    "model": (nn.Linear(4, 3), nn.CrossEntropyLoss(), {}, "create_model is a module, but must be the function"),
    "name": ("torch_models:mpl", nn.CrossEntropyLoss(), {}, "create_model torch_models:mpl.*mlp"),
    "no function": (3, nn.CrossEntropyLoss(), {}, "create_model is 3, but must be a function"),
    "no module": (lambda: 3, nn.CrossEntropyLoss(), {}, "create_model returned int, but must return a torch.nn.Module"),
    "lazy": (lambda: nn.LazyLinear(3), nn.CrossEntropyLoss(), {}, "lazy parameters: call it once"),
    "no parameters": (nn.Flatten, nn.CrossEntropyLoss(), {}, "without trainable parameters"),
    "class": (models.mlp, nn.CrossEntropyLoss, {}, "loss is <class .*but must be a loss of torch"),
    "mean": (models.mlp, scalar, {}, r"loss gives shape \(\) for 3 rows, but must give one number a row"),
    "shape": (
        lambda: nn.Linear(5, 3),
        nn.CrossEntropyLoss(),
        {},
        "model, loss and data do not fit: .*one row of x has shape",
    ),
    "pairs": (lambda: nn.Linear(4, 1), lambda o, y: (o - y) ** 2, {}, r"gives shape \(3, 3\) for 3 rows.* each pair"),
    "sum over rows": (models.line, lambda o, y: (o**2).mean(0), {}, r"gives shape \(3,\) for 7 rows"),
    "entries": (models.line, nn.MSELoss(), {}, r"output has shape \(3,\) a row, but y has \(\): the loss compares"),
    "complex": (models.line, lambda o, y: o[:, 0] * 1j, {}, "loss gives complex64, but must give real numbers"),
    "random": (Random, nn.CrossEntropyLoss(), {}, "the model's loss is random: "),
    "changing": (Counting, nn.CrossEntropyLoss(), {}, "the model changes its buffers"),
    "a dataset": (models.mlp, nn.CrossEntropyLoss(), {"data": Pairs()}, "a Dataset, but must be the function or class"),
    "pairs of names": (models.mlp, nn.MSELoss(), {"data": lambda: [{"x": 1, "y": 2}]}, "no pair .*it is dict"),
    "texts": (models.mlp, nn.MSELoss(), {"data": lambda: [(1.0, "a")]}, "it has <U1, but must have real numbers"),
    "classes": (lambda: nn.Linear(4, 2), nn.CrossEntropyLoss(), {}, "output has 2 entries a row, but .* of 3 classes"),
    "dtype": (models.mlp, nn.CrossEntropyLoss(), {"dtype": "float16"}, "dtype is 'float16', but must be"),
    "block_rows": (models.mlp, nn.CrossEntropyLoss(), {"block_rows": 0}, "block_rows is 0, but must be a positive"),
    "data": (
        models.mlp,
        nn.CrossEntropyLoss(),
        {"data": lambda: 3},
        "data returned int, but must return a Dataset with",
    ),
    "second": (models.WithoutSecond, nn.CrossEntropyLoss(), {}, ""),
}


@pytest.mark.parametrize("name", [name for name in BAD if name != "second"])
def test_mistakes(name):
    """What cannot be a problem is refused before any work begins."""
    create_model, loss, options, text = BAD[name]
    with pytest.raises(InputError, match=text):
        problem(create_model, loss, **{"data": Points(), **options})


def test_factories_that_raise_or_are_not_repeatable():
    """An error of create_model is the user's, with its text; frozen weights must be the same in every process."""

    def broken():
        raise RuntimeError("no file")

    with pytest.raises(UserCodeError, match="create_model raised RuntimeError: no file"):
        problem(broken, nn.CrossEntropyLoss(), Points())
    made = problem(models.frozen, nn.CrossEntropyLoss(), Points())
    with pytest.raises(UserCodeError, match="weights outside theta"):
        replace(made, spec=replace(made.spec, rows=61), frozen="another").x0()


def test_short_data_and_rows_that_are_no_pairs():
    """Data that give fewer rows than asked for are an error, not a smaller sum."""
    made = problem(models.mlp, nn.CrossEntropyLoss(), Points())
    with pytest.raises(DataError, match="returned 10 rows of x"):
        replace(made, data=Points(rows=10)).load(0, 60)
    with pytest.raises(DataError, match="row 0 of data's Dataset is no pair"):
        problem(models.mlp, nn.CrossEntropyLoss(), lambda: torch.zeros(5))


JOB = """
from torch import nn
from jobs.minimize.torch import problem as torch_problem
import torch_models

def problem():
    return torch_problem(torch_models.digits, nn.CrossEntropyLoss(), "digits", dtype="float64", block_rows=256)
"""


def run(folder: Path, *arguments: str, **streams) -> subprocess.Popen:
    line = [sys.executable, "-c", "from jobs.cli import main; raise SystemExit(main())", *arguments]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    return subprocess.Popen(line, cwd=folder, env=environment, text=True, **streams)


def test_a_killed_run_goes_on_with_the_same_bits_and_has_a_report(tmp_path):
    """The command line runs it on workers; SIGKILL loses nothing: the same command has the bits of a whole run."""
    (tmp_path / "my_torch_model.py").write_text(JOB)
    command = ("minimize", "--problem", "my_torch_model:problem", "--method", "trust-krylov", "--l2", "1")
    assert run(tmp_path, *command, "--workers", "0", "--run", "whole").wait(300) == 0
    storage = open_storage(tmp_path / "killed")
    killed = run(tmp_path, *command, "--workers", "2", "--run", "killed")
    try:
        until(lambda: _records(storage) > 3)
    finally:
        killed.kill()
        assert killed.wait() == -signal.SIGKILL
    assert run(tmp_path, *command, "--workers", "2", "--run", "killed").wait(300) == 0
    assert (tmp_path / "killed/x.npy").read_bytes() == (tmp_path / "whole/x.npy").read_bytes()
    assert run(tmp_path, "report", "killed").wait(120) == 0
    assert (tmp_path / "killed/report.html").stat().st_size > 10_000
    result = json.loads((tmp_path / "killed/result.json").read_text())
    assert result["method"] == "trust-krylov"


def _records(storage: Storage) -> int:
    with storage.read_log("journal/0001") as stream:
        return stream.read().count(MAGIC) - 1  # the log itself begins with one
