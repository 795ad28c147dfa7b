"""The benchmarks of the shipped network: that all ways train the same network, and that the tables are filled."""

from __future__ import annotations

import pytest

from benchmarks import tune_cnn
from benchmarks.peers import cnn_ways
from benchmarks.peers.cnn_ways import FRESH, PLAIN, SHARED, WAYS
from jobs.tune import cnn_step
from jobs.tune.cnn_data import images_of


def test_plain_keras_trains_the_same_network():
    """The peer's model has the layers of ours, and comes as far with the same hyperparameters."""
    images = images_of("digits")
    settings = tune_cnn.cnn.check_parameters({"learning_rate": 0.02, "batch_size": 40, "dropout": 0.2, "stddev": 0.1})
    _, keras = cnn_step.tensorflow(1)
    model = cnn_ways._model(keras, images, settings)
    assert [tuple(weight.shape) for weight in model.trainable_variables] == cnn_step.step_of(images, 1).shapes
    trial = cnn_ways.Unwatched(0, "/nonexistent")
    parameters = {**settings.model_dump(), "epochs": 6}
    assert WAYS[PLAIN](parameters, trial) == pytest.approx(WAYS[SHARED](parameters, trial), abs=0.1)


def test_a_fresh_step_changes_no_bit():
    """What differs between ours with a shared step and with a fresh one is the time."""
    parameters = {"learning_rate": 0.02, "batch_size": 40, "dropout": 0.2, "stddev": 0.1, "epochs": 2}
    trial = cnn_ways.Unwatched(0, "/nonexistent")
    assert WAYS[FRESH](parameters, trial) == WAYS[SHARED](parameters, trial)


def test_quick_tables():
    """A quick run fills both tables: a row for each way and subject, one for each seed, a verdict for each target."""
    speed, work = tune_cnn.run(tune_cnn.QUICK)
    assert [row[:2] for row in speed.rows] == [
        (subject, way) for subject in ("one trial, epochs: 1", "one trial, epochs: 2", "a search") for way in WAYS
    ]
    assert len(work.rows) == len(tune_cnn.QUICK.seeds)
    for table in (speed, work):
        assert all(len(row) == len(table.header) for row in table.rows)
        assert table.targets
        assert table.markdown()
