"""Rows predicted by a trained network, from its run folder."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

import networks
import numpy as np
import pytest
from commands import run_here

from jobs.keras.model_file import _meaning
from jobs.keras.runtime import import_tensorflow

_, keras = import_tensorflow()
SMALL = ("--workers", "0", "--batch-size", "48", "--parts", "2")


@pytest.fixture
def rows(tmp_path: Path) -> str:
    """Return the data of the networks as a file."""
    x, y = networks.rows()
    np.savez(tmp_path / "rows.npz", x=x, y=y)
    return f"npz:{tmp_path}/rows.npz"


def _trained(model: str, folder: Path, *more: str) -> str:
    done = run_here("--model", f"networks:{model}", *SMALL, "--epochs", "2", "--run", str(folder), *more)
    assert done.returncode == 0, done.stderr
    return str(folder)


def test_rows_of_classes(rows, tmp_path):
    """The outputs are those of model.keras, to the bit; the accuracy of the training's rows is said."""
    run = _trained("dense", tmp_path / "run", "--data", rows)
    done = run_here(run, "--data", rows, job="predict")
    assert done.returncode == 0, done.stderr
    header, *table = csv.reader(io.StringIO(done.stdout))
    assert header == ["row", "predicted", "p0", "p1", "p2", "label"]
    x, y = networks.rows()
    expected = keras.models.load_model(f"{run}/model.keras")(x).numpy()
    np.testing.assert_array_equal(np.array([row[2:5] for row in table], np.float32), expected)
    right = int((expected.argmax(axis=1) == y).sum())
    text = f"dask-jobs: accuracy {right / 480:.2%}: {right} of 480 rows are predicted right\n"
    assert done.stderr.endswith(text)
    assert f"predictions: dask-jobs predict {run} --data DATA" in run_here(run, job="show").stdout


def test_in_s3(s3, rows):
    """The run folder, with its model, may be in S3."""
    done = run_here("--model", "networks:dense", *SMALL, "--epochs", "1", "--data", rows, "--run", f"{s3}/run")
    assert done.returncode == 0, done.stderr
    done = run_here(f"{s3}/run", "--data", rows, job="predict")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 481


def test_rows_of_values(tmp_path):
    """Where the loss is that of values, several outputs are no classes, also without targets."""
    x, _ = networks.rows()
    np.savez(tmp_path / "rows.npz", x=x, y=x[:, :3])
    run = _trained("regression", tmp_path / "run", "--data", f"npz:{tmp_path}/rows.npz")
    np.savez(tmp_path / "new.npz", x=x[:2])
    done = run_here(run, "--data", f"npz:{tmp_path}/new.npz", job="predict")
    assert done.stdout.splitlines()[0] == "row,predicted0,predicted1,predicted2"
    assert done.stderr == ""


def test_layers_of_ones_own(rows, tmp_path):
    """Keras cannot open them without the code that made the model: it makes one, which gets the file's weights."""
    run = _trained("sluggish", tmp_path / "run", "--data", rows)
    done = run_here(run, "--data", rows, job="predict")
    assert done.returncode == 0, done.stderr
    x, _ = networks.rows()
    with np.load(f"{run}/weights.npz") as weights:
        kernel, bias = (weights[name] for name in sorted(weights, key=lambda name: -weights[name].ndim))
    scores = np.exp(x @ kernel + bias)
    found = np.array([row[2:5] for row in csv.reader(io.StringIO(done.stdout))][1:], np.float64)
    np.testing.assert_allclose(found, scores / scores.sum(axis=1, keepdims=True), atol=1e-5)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("digits", "the model takes rows of shape (6,), but those of the data have (8, 8)"),
        ("npz:nothing.npz", "nothing.npz does not exist; check the path"),
    ],
)
def test_wrong_rows(rows, tmp_path, data, text):
    """One line, with exit code 2, and nothing on standard output."""
    run = _trained("dense", tmp_path / "run", "--data", rows)
    done = run_here(run, "--data", data, job="predict")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(f"{text}\n")
    assert len(done.stderr.splitlines()) == 1


def test_images(tmp_path):
    """A run of train takes no image files."""
    (tmp_path / "options.yaml").write_text("job: train")
    done = run_here(str(tmp_path), "cat.jpg", job="predict")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "runs of 'train' take no files: give --data" in done.stderr


def test_what_a_loss_says_of_outputs():
    """Crossentropies are of classes, others of values; of a function of the user's nothing is known."""
    losses = keras.losses
    serialized = {
        "sparse_categorical_crossentropy": (True, None),
        "categorical_focal_crossentropy": (True, None),
        "mse": (False, None),
        "binary_crossentropy": (False, 0.5),
        losses.BinaryCrossentropy(from_logits=True): (False, 0.0),
        losses.BinaryFocalCrossentropy(): (False, 0.5),
        losses.SparseCategoricalCrossentropy(from_logits=True): (True, None),
        losses.Huber(): (False, None),
    }
    for loss, meaning in serialized.items():
        assert _meaning(loss if isinstance(loss, str) else losses.serialize(loss)) == meaning
    assert _meaning(None) == (None, None)
    assert _meaning({"class_name": "function", "config": "my_loss", "module": "builtins"}) == (None, None)
    assert _meaning({"class_name": "Own", "module": "my", "config": {}}) == (None, None)


def test_code_of_another_day(rows, tmp_path, monkeypatch):
    """The result keeps which code made it; what is here now is compared, in a line."""
    code = tmp_path / "own_network.py"
    code.write_text("from networks import dense\n\n\ndef create_model():\n    return dense()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = str(tmp_path / "run")
    command = ["--model", "own_network:create_model", *SMALL, "--epochs", "1", "--data", rows, "--run", folder]
    assert run_here(*command).returncode == 0
    assert "warning" not in run_here(folder, "--data", rows, job="predict").stderr
    code.write_text(code.read_text() + "# more\n")
    monkeypatch.delitem(sys.modules, "own_network")
    done = run_here(folder, "--data", rows, job="predict")
    assert done.returncode == 0, done.stderr
    assert f"dask-jobs: warning: not as it was when {folder} ended: source of own_network.py was " in done.stderr
