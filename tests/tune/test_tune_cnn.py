"""The shipped network: that it learns, diverges, shares one compiled step, goes on to the bit, and what it refuses."""

from __future__ import annotations

import json
import math
import struct
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.errors import DataError, InputError
from jobs.tune import Stop, Trial, cnn
from jobs.tune.cnn import images as images_module
from jobs.tune.cnn import objective, training
from jobs.tune.cnn.images import held_out, images_of
from jobs.tune.cnn.training import Step, step_of
from jobs.tune.trials.trial import Signal

GOOD = {"learning_rate": 0.02, "batch_size": 40, "dropout": 0.2, "stddev": 0.1, "epochs": 4}
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras saves a model
OTHER = {"learning_rate": 0.05, "batch_size": 93, "dropout": 0.6, "stddev": 0.2, "epochs": 3}


class Driver:
    """Takes a trial's reports, and may lose it after one of them; keeps its folder."""

    def __init__(self, folder: Path, lost_after: int = 0) -> None:
        self.folder, self.lost_after = folder, lost_after
        self.reports: list[tuple[int, float]] = []

    def send(self, **message: Any) -> None:
        self.reports.append((message["step"], message["value"]))
        if message["step"] == self.lost_after:
            raise KeyboardInterrupt

    def save(self) -> None:
        """The folder stays where it is."""

    def trial(self, parameters: dict[str, Any], seed: int = 1, threads: int = 1) -> Trial:
        self.folder.mkdir(exist_ok=True)
        about: dict[str, Any] = {"seed": seed, "workers": ("here",), "threads": threads}
        return Trial(0, parameters, **about, link=self, signal=Signal(), checkpoint=lambda: self)


@pytest.fixture
def train(tmp_path: Path) -> Callable[..., list[tuple[int, float]]]:
    """Return a function that runs a whole trial and returns its reports; the trial returns the best of them."""

    def run(parameters: dict[str, Any], seed: int = 1) -> list[tuple[int, float]]:
        driver = Driver(tmp_path / f"trial-{len(list(tmp_path.iterdir()))}-{seed}")
        returned = cnn.train(parameters, driver.trial(parameters, seed))
        assert max(value for _, value in driver.reports) == returned
        return driver.reports

    return run


def test_it_learns(train):
    """Good hyperparameters come to 90 % of the digits in a few epochs, each of which is reported."""
    reports = train({**GOOD, "epochs": 8})
    assert [step for step, _ in reports] == list(range(1, 9))
    assert reports[-1][1] > 0.9


@pytest.mark.parametrize("wild", [{"learning_rate": 10.0}, {"stddev": 10.0}, {"learning_rate": 10.0, "stddev": 10.0}])
def test_divergence_ends_a_trial_at_once(wild, tmp_path):
    """A loss that is not finite ends the trial as diverged within two epochs, without an exception of its own."""
    driver = Driver(tmp_path)
    trial = driver.trial(wild)
    with pytest.raises(Stop):
        cnn.train({**GOOD, **wild}, trial)
    assert trial.ended == "diverged"
    assert len(driver.reports) < 2


@pytest.mark.parametrize("odd", [{"dropout": 1.0}, {"dropout": 0.0}, {"batch_size": 5000}])
def test_the_edges_of_the_space_give_a_score(train, odd):
    """All dropped, nothing dropped, and a batch of more rows than there are: each gives an accuracy."""
    reports = train({**GOOD, **odd, "epochs": 2})
    assert all(0 <= value <= 1 for _, value in reports)


def test_one_trace_for_all_trials(train):
    """Trials with other hyperparameters use the step that the first one has compiled."""
    train(GOOD)
    step = step_of(images_of("digits"), 1)
    train(OTHER, seed=2)
    assert step_of(images_of("digits"), 1) is step
    assert step.compiled.experimental_get_tracing_count() == 1


def test_a_fresh_step_gives_the_same_bits(train, monkeypatch):
    """A trial in a process where others have run has the bits of one in a process of its own."""
    train(OTHER)
    shared = train(GOOD)
    monkeypatch.setattr(training, "_steps", {})
    monkeypatch.setattr(images_module, "_last", None)
    assert train(GOOD) == shared


def test_seeds(train):
    """Another seed is another training; the hyperparameters alone do not decide."""
    assert train(GOOD) == train(GOOD)
    assert train(GOOD) != train(GOOD, seed=2)


def test_two_trials_at_once(train):
    """Two threads of a worker train at the same time, each as if it were alone."""
    alone = train(GOOD, 3), train(OTHER, 4)
    with ThreadPoolExecutor(2) as threads:
        together = threads.submit(train, GOOD, 3), threads.submit(train, OTHER, 4)
        assert tuple(future.result() for future in together) == alone


def test_a_lost_trial_goes_on_to_the_bit(train, tmp_path, monkeypatch):
    """A trial that is lost after its third epoch does the others only, with the values of one that ran through."""
    through = train({**GOOD, "epochs": 6})
    monkeypatch.setattr(objective, "SAVE_SECONDS", 0.0)
    lost = Driver(tmp_path / "kept", lost_after=3)
    parameters = {**GOOD, "epochs": 6}
    with pytest.raises(KeyboardInterrupt):
        cnn.train(parameters, lost.trial(parameters))
    again = Driver(tmp_path / "kept")
    best = cnn.train(parameters, again.trial(parameters))
    assert best == max(value for _, value in through)
    assert lost.reports + again.reports == through
    assert [step for step, _ in again.reports] == [4, 5, 6]
    assert cnn.train(parameters, Driver(tmp_path / "kept").trial(parameters)) == best


def test_checkpoints_are_rare(train, tmp_path):
    """A trial of a second or two writes no checkpoint: that would cost more than it saves."""
    train(GOOD)
    assert not list(tmp_path.rglob("*.npz"))


def _write_idx(folder: Path, prefix: str, rows: int, size: tuple[int, int]) -> None:
    """Write images of which each class has another bright line."""
    random = np.random.default_rng(len(prefix))
    y = np.arange(rows) % 5
    x = random.integers(0, 60, (rows, *size))
    x[np.arange(rows), 2 * y] += 150
    for name, array in {"images-idx3": x, "labels-idx1": y}.items():
        header = struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape)
        (folder / f"{prefix}{name}-ubyte").write_bytes(header + array.astype(np.uint8).tobytes())


def test_idx_images_of_another_size(train, tmp_path):
    """A folder of IDX files is trained on, by the same network, and validated on the test set beside them."""
    _write_idx(tmp_path, "train-", 200, (28, 21))
    _write_idx(tmp_path, "t10k-", 35, (28, 21))
    images = images_of(f"idx:{tmp_path}")
    assert (images.x.shape, images.validation_x.shape) == ((200, 28, 21, 1), (35, 28, 21, 1))
    assert images.validation_x[0, :, :, 0].tobytes() == (tmp_path / "t10k-images-idx3-ubyte").read_bytes()[16:604]
    assert train({**GOOD, "data": f"idx:{tmp_path}", "learning_rate": 0.05, "epochs": 8})[-1][1] > 0.9


@pytest.mark.parametrize("shape", [(60, 5, 7), (60, 5, 7, 3)])
def test_arrays_without_a_test_set(train, tmp_path, shape):
    """Of images in arrays, also in colour, every fifth row of each class is for validation."""
    y = np.repeat([0, 1, 2], 20)
    np.savez(tmp_path / "images.npz", x=np.random.default_rng(0).random(shape), y=y)
    images = images_of(f"npz:{tmp_path}/images.npz")
    assert images.x.dtype == np.float32
    assert np.bincount(images.validation_y).tolist() == [4, 4, 4]
    assert len(images.y) == 48
    assert math.isfinite(train({**GOOD, "data": f"npz:{tmp_path}/images.npz", "epochs": 1})[-1][1])


def test_the_split_is_fixed():
    """Every fifth row of each class is held out, wherever the class's rows are."""
    assert held_out(np.array([0, 0, 1, 0, 0, 0, 1, 1, 1, 1, 0], np.int32)).nonzero()[0].tolist() == [5, 9]


@pytest.mark.parametrize(
    ("x", "told"),
    [
        (np.zeros((10, 64)), "a row of x has shape (64,), but must be an image, (height, width) or"),
        (np.zeros((10, 2, 2, 2, 2)), "a row of x has shape (2, 2, 2, 2), but must be an image"),
        (np.zeros((4, 8, 8)), "no class has 5 rows, so there are none for validation"),
    ],
)
def test_data_that_do_not_fit(x, told, tmp_path):
    """Rows that are no images, or too few, are refused in one line that names the data set."""
    np.savez(tmp_path / "bad.npz", x=x, y=np.zeros(len(x), np.int64))
    with pytest.raises(DataError) as error:
        images_of(f"npz:{tmp_path}/bad.npz")
    assert str(error.value).startswith(f"data set 'npz:{tmp_path}/bad.npz': {told}")
    assert "\n" not in str(error.value)


def test_a_test_set_of_another_size(tmp_path):
    """Training and test images must have one shape."""
    _write_idx(tmp_path, "train-", 20, (10, 10))
    _write_idx(tmp_path, "t10k-", 20, (10, 12))
    with pytest.raises(DataError, match=r"images are \(10, 10\), but those of the test set \(10, 12\)"):
        images_of(str(tmp_path))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"epoch": 3}, "takes no 'epoch'; did you mean 'epochs'? (it takes learning_rate, batch_size, dropout, stddev"),
        ({"epochs": 0}, "network's epochs is 0, but must be greater than 0"),
        ({"epochs": "many"}, "network's epochs is 'many', but must be a valid integer"),
        ({"data": 3}, "network's data is 3, but must be a valid string"),
        ({"dropout": 1.5}, "network's dropout is 1.5, but must be less than or equal to 1"),
        ({"batch_size": 2.5}, "network's batch_size is 2.5, but must be a valid integer"),
        ({"data": "digit"}, "data set 'digit': not found, or of no known form"),
    ],
)
def test_wrong_parameters(change, told, tmp_path):
    """A wrong name or value is refused in one line that names it, before anything is trained."""
    parameters = {**GOOD, **change}
    with pytest.raises(InputError) as error:
        cnn.train(parameters, Driver(tmp_path).trial(parameters))
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_parameter(tmp_path):
    """A space of one's own may leave out what --fixed gives; without either the name is told."""
    parameters = {"learning_rate": 0.1}
    with pytest.raises(InputError, match="needs 'batch_size': put it into space or fixed"):
        cnn.train(parameters, Driver(tmp_path).trial(parameters))


def test_a_step_does_not_change(train):
    """An epoch leaves the state that it began with as it was."""
    images = images_of("digits")
    step: Step = step_of(images, 1)
    start = step.start(0, 0.1)
    before = [array.copy() for array in start.weights]
    after = step.train(start, images, 0, rate=0.1, batch=100, dropout=0.0)
    assert all((old == new).all() for old, new in zip(before, start.weights, strict=True))
    assert (start.epoch, after.epoch) == (0, 1)


PROCESS = """
import sys
from jobs.keras.runtime import import_tensorflow
from jobs.tune import cnn
from jobs.tune.cnn import images, training
late = [name for name in ("tensorflow", "keras") if name in sys.modules]
tf, _ = import_tensorflow(2)
training.step_of(images.images_of("digits"), 2)
print(late, tf.config.threading.get_intra_op_parallelism_threads())
"""


def test_tensorflow_comes_late_and_with_the_trials_threads():
    """The driver can check the objective without TensorFlow, which gets as many threads as a trial has."""
    ended = subprocess.run([sys.executable, "-c", PROCESS], capture_output=True, text=True, check=False)
    assert ended.stdout == "[] 2\n", ended.stderr
    assert "keeps its threads" not in ended.stderr


def test_the_default_search(tmp_path):
    """`dask-jobs tune` without an objective searches for the network's hyperparameters on the digits."""
    code = "import sys; from jobs.cli import main; sys.exit(main())"
    options = ["--run", str(tmp_path / "run"), "--trials", "4", "--fixed", "epochs=2", "--workers", "2"]
    ended = subprocess.run([sys.executable, "-c", code, "tune", *options], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert result["objective"] == "jobs.tune.cnn:train"
    assert set(result["best"]["params"]) == set(cnn.SPACE)
    assert sum(result["trials"].values()) == 4
    assert result["trials"]["failed"] == 0
    assert result["network"] == result["best"]["number"]
    predict = [sys.executable, "-c", code, "predict", str(tmp_path / "run"), "--data", "digits"]
    done = subprocess.run(predict, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    table = np.array([line.split(",") for line in done.stdout.splitlines()[1:]], np.float64)
    held = held_out(table[:, -1].astype(np.int32))
    right = (table[:, 1] == table[:, -1])[held].mean(dtype=np.float32)
    assert right == pytest.approx(result["best"]["value"], abs=1e-6)


def test_all_files_of_the_data_are_named(tmp_path):
    """The shipped digits, and of other data both columns, with the test set that trials are validated on; no image."""
    images, labels = np.zeros((10, 4, 4), np.uint8), np.arange(10, dtype=np.uint8) % 2
    for name, rows in (("train", 10), ("t10k", 5)):
        header = struct.pack(">IIII", 0x803, rows, 4, 4)
        (tmp_path / f"{name}-images-idx3-ubyte").write_bytes(header + images[:rows].tobytes())
        (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, rows) + labels[:rows].tobytes())
    np.savez(tmp_path / "one.npz", x=images, y=labels)
    named = [
        str(tmp_path / f"{name}-{part}-ubyte") for name in ("train", "t10k") for part in ("images-idx3", "labels-idx1")
    ]
    assert cnn.data_files({"data": str(tmp_path), "epochs": 3}) == named
    assert cnn.data_files({"data": f"npz:{tmp_path}/one.npz"}) == [f"{tmp_path}/one.npz"]
    assert [Path(address).name for address in cnn.data_files({})] == ["images-idx3-ubyte", "labels-idx1-ubyte"]
    code = "import sys; from jobs.tune import cnn; cnn.data_files({}); print('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"False\n"
