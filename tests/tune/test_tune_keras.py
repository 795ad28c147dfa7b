"""The Keras callback: what `fit` reports, how it ends, and what is no name in its logs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.keras.runtime import import_tensorflow
from jobs.tune import Stop, Trial
from jobs.tune.keras import Report
from jobs.tune.trials.define_by_run import DefineByRunTrial
from jobs.tune.trials.trial import Signal


class Driver:
    """Takes reports, and stops the trial after one of them."""

    def __init__(self, stop_after: int = 0) -> None:
        self.reports: list[tuple[int, float]] = []
        self.signal, self.stop_after = Signal(), stop_after

    def send(self, **message: Any) -> None:
        if message["kind"] != "report":
            return
        self.reports.append((message["step"], message["value"]))
        if message["step"] == self.stop_after:
            self.signal.answer(message["step"], "pruned")

    def trial(self) -> Trial:
        about: dict[str, Any] = {"seed": 0, "workers": ("here",), "threads": 1}
        return Trial(0, {}, **about, link=self, signal=self.signal, checkpoint=Path)


X, Y = np.eye(8, dtype=np.float32), np.arange(8) % 2


@pytest.fixture
def model() -> Any:
    """Return a small compiled model."""
    _, keras = import_tensorflow()
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, metrics=["accuracy"])
    return model


def test_each_epoch_is_reported(model):
    """The first epoch is step 1, and the values are those of the history, also when `fit` goes on."""
    driver = Driver()
    report = Report(driver.trial())
    fit = {"validation_data": (X, Y), "callbacks": [report], "verbose": 0}
    first = model.fit(X, Y, epochs=2, **fit).history["val_accuracy"]
    more = model.fit(X, Y, epochs=3, initial_epoch=2, **fit).history["val_accuracy"]
    assert driver.reports == list(enumerate([*first, *more], start=1))


def test_two_fits_in_one_trial_go_on_with_the_count(model):
    """A second `fit` from epoch 0, with the same callback or another one, continues the steps of the first."""
    driver = Driver()
    trial = driver.trial()
    report = Report(trial, monitor="loss")
    for epochs, callback in ((2, report), (2, report), (1, Report(trial, monitor="loss"))):
        model.fit(X, Y, epochs=epochs, callbacks=[callback], verbose=0)
    assert [step for step, _ in driver.reports] == [1, 2, 3, 4, 5]


def test_a_fit_that_goes_on_after_a_lost_worker(model):
    """A new try that begins with a later epoch reports that one's step."""
    driver = Driver()
    model.fit(X, Y, initial_epoch=3, epochs=5, callbacks=[Report(driver.trial(), monitor="loss")], verbose=0)
    assert [step for step, _ in driver.reports] == [4, 5]


def test_stop_passes_out_of_fit(model):
    """A trial that is stopped ends `fit` at once, by an exception that the worker knows."""
    driver = Driver(stop_after=2)
    trial = driver.trial()
    with pytest.raises(Stop):
        model.fit(X, Y, epochs=9, callbacks=[Report(trial, monitor="loss")], verbose=0)
    assert [step for step, _ in driver.reports] == [1, 2]
    assert trial.ended == "pruned"


def test_a_trial_that_asks_ends_fit(model):
    """Its `report` raises nothing, so the callback asks whether it is to be pruned."""
    driver = Driver()
    about: dict[str, Any] = {"seed": 0, "workers": ("here",), "threads": 1}
    trial = DefineByRunTrial(0, {}, **about, link=driver, signal=driver.signal, checkpoint=Path)
    answers = iter([0.0, 1.0])
    driver.signal.wait_for_reply = lambda *_: {"value": next(answers), "error": ""}
    with pytest.raises(Stop):
        model.fit(X, Y, epochs=9, callbacks=[Report(trial, monitor="loss")], verbose=0)
    assert next(answers, None) is None


@pytest.mark.parametrize("monitor", ["loss", "val_loss", "val_accuracy"])
def test_a_loss_that_is_not_finite_is_divergence(model, monitor):
    """NaN in the loss is divergence, also where the monitored value is finite."""
    trial = Driver().trial()
    broken = np.where(X > 0, np.inf, X)
    with pytest.raises(Stop):
        model.fit(broken, Y, validation_data=(X, Y), callbacks=[Report(trial, monitor)], verbose=0)
    assert trial.ended == "diverged"


def test_a_name_that_is_not_in_the_logs(model):
    """A monitored value that `fit` does not have is an error that names those that it has."""
    with pytest.raises(ValueError, match="Report's monitor is 'val_accuracy', but must be one of the logs of fit: ac"):
        model.fit(X, Y, callbacks=[Report(Driver().trial())], verbose=0)


def test_keras_comes_late():
    """A module with an objective can import the callback where there is no Keras."""
    code = "import sys; from jobs.tune.keras import Report; print('keras' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"
