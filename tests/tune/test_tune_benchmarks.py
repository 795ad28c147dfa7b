"""The benchmarks of the shipped network: that all ways train the same network, and that the tables are filled."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.tune import cnn
from benchmarks.tune.peers import cnn_ways
from benchmarks.tune.peers.cnn_ways import FRESH, PLAIN, SHARED, WAYS
from jobs.keras.runtime import import_tensorflow
from jobs.tune.cnn import training
from jobs.tune.cnn.images import images_of

ROOT = Path(__file__).parents[2]
TITLES = [
    "Targets",
    "Overhead of a trial",
    "Busy workers",
    "A large study goes on",
    "Shared training step",
    "Work that ASHA saves",
]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras reads a learning rate
def test_plain_keras_trains_the_same_network(tmp_path):
    """The peer's model has the layers of ours, and comes as far with the same hyperparameters."""
    images = images_of("digits")
    settings = cnn.cnn.check_parameters({"learning_rate": 0.02, "batch_size": 40, "dropout": 0.2, "stddev": 0.1})
    _, keras = import_tensorflow(1)
    model = cnn_ways._model(keras, images, settings)
    assert [tuple(weight.shape) for weight in model.trainable_variables] == training.step_of(images, 1).shapes
    trial = cnn_ways.Unwatched(0, str(tmp_path))
    parameters = {**settings.model_dump(), "epochs": 6}
    assert WAYS[PLAIN](parameters, trial) == pytest.approx(WAYS[SHARED](parameters, trial), abs=0.1)


def test_a_fresh_step_changes_no_bit(tmp_path):
    """What differs between ours with a shared step and with a fresh one is the time."""
    parameters = {"learning_rate": 0.02, "batch_size": 40, "dropout": 0.2, "stddev": 0.1, "epochs": 2}
    trial = cnn_ways.Unwatched(0, str(tmp_path))
    assert WAYS[FRESH](parameters, trial) == WAYS[SHARED](parameters, trial)


def test_quick_run_writes_all_tables(tmp_path: Path) -> None:
    """A quick run writes each table with figures in its rows, and a verdict for each target."""
    output = tmp_path / "TUNE.md"
    command = [sys.executable, "-m", "benchmarks.tune", "--quick", "--without-ray", "--output", str(output)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=500)
    sections = dict(section.split("\n", 1) for section in output.read_text().split("\n## ")[1:])
    assert list(sections) == TITLES
    assert sections["Targets"].count(" met |") + sections["Targets"].count(" missed |") == 8
    rows = {title: re.findall(r"^\|.*\d.*\|$", text, re.MULTILINE) for title, text in sections.items()}
    assert {title: len(found) for title, found in rows.items()} == dict(zip(TITLES, (8, 2, 2, 2, 9, 1), strict=True))
