"""Stopping early: what a report waits for, who is stopped, and that words neither wait for slots nor for rounds."""

from __future__ import annotations

import re
import threading
import types
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trials

from jobs.tune import space
from jobs.tune.trials import trial as trial_module
from jobs.tune.trials.execution import trial_seed
from jobs.tune.trials.trial import Signal, Stop, Trial

ORDER = re.escape("the order is trial.report(value, step)")


class _Driver:
    """Answers reports in another thread after a while, as a driver does."""

    def __init__(self, signal: Signal, stop_at: int) -> None:
        self.signal, self.stop_at = signal, stop_at
        self.messages: list[dict[str, Any]] = []
        self.threads: list[threading.Thread] = []

    def send(self, **message: Any) -> None:
        self.messages.append(message)
        reason = "pruned" if message["step"] >= self.stop_at else None
        self.threads.append(threading.Timer(0.01, self.signal.answer, [message["step"], reason]))
        self.threads[-1].start()


def _trial(stop_at: int = 99) -> tuple[Trial, _Driver]:
    signal = Signal()
    driver = _Driver(signal, stop_at)
    return _trial_of(driver, signal), driver


def _trial_of(link: Any, signal: Signal, **settings: Any) -> Trial:
    """Return a trial without a checkpoint, whose messages go to `link`."""
    place = {"seed": 0, "workers": ("here",), "threads": 1, "checkpoint": lambda: pytest.fail("none")}
    return Trial(1, {}, link=link, signal=signal, **place, **settings)


def test_a_slow_step_hears_its_own_decision() -> None:
    """A report after a step of some length waits for the answer: the trial stops in the report that decided it."""
    trial, driver = _trial(stop_at=2)
    trial._reported -= 10
    trial.report(0.5, 1)
    trial._reported -= 10
    with pytest.raises(Stop):
        trial.report(0.5, 2)
    assert [message["step"] for message in driver.messages] == [1, 2]
    assert all(message["waits"] for message in driver.messages)
    assert trial.ended == "pruned"


def test_a_fast_step_does_not_wait() -> None:
    """A report after a short step goes on at once, and a later one hears the decision."""
    trial, driver = _trial(stop_at=1)
    trial.report(0.5, 1)
    assert not driver.messages[0]["waits"]
    driver.threads[0].join()
    with pytest.raises(Stop):
        trial.report(0.5, 2)
    assert len(driver.messages) == 1
    with pytest.raises(Stop):
        trial.report(0.5, 3)


class _Counter:
    """Counts reports, and answers none."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    def send(self, **message: Any) -> None:
        self.messages.append(message)


def test_fast_reports_are_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 20,000 in 20 s the first 100 and 10 per second are sent, and the last one, when the trial ends."""
    clock = types.SimpleNamespace(now=0.0)
    monkeypatch.setattr(trial_module, "time", types.SimpleNamespace(monotonic=lambda: clock.now))
    driver = _Counter()
    trial = _trial_of(driver, Signal())
    for step in range(20_000):
        clock.now += 0.001
        trial.report(0.5 * step, step)
    assert trial.last_step == 19_999
    steps = [message["step"] for message in driver.messages]
    assert steps[:100] == list(range(100))
    assert len(steps) == pytest.approx(300, abs=3)
    trial.send_held()
    assert (driver.messages[-1]["step"], driver.messages[-1]["value"]) == (19_999, 9999.5)
    sent = len(driver.messages)
    trial.send_held()
    assert len(driver.messages) == sent


def test_without_a_pruner_no_report_waits() -> None:
    """There is nothing to wait for: a stop for another reason is noticed by a later report."""
    driver = _Counter()
    trial = _trial_of(driver, Signal(), prunes=False)
    trial._reported -= 10
    trial.report(0.5, 1)
    assert [message["waits"] for message in driver.messages] == [False]
    trial._signal.answer(-1, "timeout")
    with pytest.raises(Stop):
        trial.report(0.5, 2)


def test_steps_must_grow() -> None:
    """A step that is not larger than the last one of this try is refused, with the order of the arguments."""
    trial, driver = _trial()
    trial.report(0.5, 0)
    trial.report(value=71, step=2)
    for step in (2, 1):
        with pytest.raises(ValueError, match=rf"step is {step}, but must be larger than the last one, 2; {ORDER}"):
            trial.report(71, step)
    trial.report(72, 3)
    assert [(message["step"], message["value"]) for message in driver.messages] == [(0, 0.5), (2, 71.0), (3, 72.0)]
    assert trial.last_step == 3
    for thread in driver.threads:
        thread.join()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_divergence_needs_no_driver(value: float) -> None:
    """A value that is not finite ends the trial without a word to the driver."""
    trial, driver = _trial()
    with pytest.raises(trial.Stop):
        trial.report(value, 1)
    assert trial.ended == "diverged"
    assert not driver.messages


@pytest.mark.parametrize(
    ("value", "step", "told"),
    [
        (0.0, -1, "step is -1, but must be an integer >= 0"),
        (1, 0.0404, "step is 0.0404, but must be an integer"),
        (0.0, True, "step is True"),
        ("high", 1, "value is 'high' (str), but must be a number"),
        (None, 1, "value is None, but must be a number"),
        ("0.5", 1, "value is '0.5' (str), but must be a number"),
        (b"1", 1, "value is b'1' (bytes), but must be a number"),
        (True, 1, "value is True (bool), but must be a number"),
        (np.bool_(True), 1, "value is np.True_ (bool), but must be a number"),
        (np.str_("0.5"), 1, "value is np.str_('0.5') (str_), but must be a number"),
        (np.array(True), 1, "value is array(True) (ndarray), but must be a number"),
        (np.array([0.5]), 1, "value is array([0.5]) (ndarray), but must be a number"),
        (1j, 1, "value is 1j (complex), but must be a number"),
        (np.complex128(1 + 2j), 1, "value is np.complex128(1+2j) (complex128), but must be a number"),
        (10**400, 1, "value is 1000000000"),
        pytest.param(10**5000, 1, "value is a value that cannot be shown (int), but must be a number", id="huge"),
    ],
)
def test_wrong_reports(value: Any, step: Any, told: str) -> None:
    """A wrong step or value is a TypeError that names it, and the order of the arguments."""
    trial, _ = _trial()
    with pytest.raises(TypeError, match=f"{re.escape(told)}.*; {ORDER}"):
        trial.report(value, step)


@pytest.mark.parametrize(
    "value",
    [np.float32(0.5), np.array(0.5), np.int8(1), 1, Decimal("0.5"), Fraction(1, 2)],
    ids=lambda value: type(value).__name__,
)
def test_numbers_of_any_kind(value: Any) -> None:
    """A number is one of Python, NumPy or another library's array without a dimension; it is sent as a float."""
    trial, driver = _trial()
    trial.report(value, np.int64(1))
    assert [(type(message["value"]), message["value"]) for message in driver.messages] == [(float, float(value))]
    driver.threads[0].join()


def test_a_stop_that_is_caught_is_raised_again() -> None:
    """A function that catches the stop and reports on is stopped in each report, of whatever, and nothing is sent."""
    trial, driver = _trial(stop_at=1)
    trial._reported -= 10
    with pytest.raises(Stop):
        trial.report(0.5, 1)
    for value, step in ((0.9, 2), (float("nan"), 3), (0.9, 3), ("high", 1)):
        with pytest.raises(Stop, match="trial 1 is ended: pruned"):
            trial.report(value, step)
    diverged, other = _trial()
    for value in (float("nan"), 0.5):
        with pytest.raises(Stop, match="trial 1 is ended: diverged"):
            diverged.report(value, 1)
    assert len(driver.messages) == 1
    assert not other.messages


def test_a_trials_seed_depends_on_both() -> None:
    """Each number and each study seed has a seed of its own."""
    assert len({trial_seed(seed, number) for seed in range(10) for number in range(10)}) == 100
    assert trial_seed(3, 4) == trial_seed(3, 4)


def test_hopeless_trials_stop_in_the_step_that_decided_it(studies: Any, traces: Path) -> None:
    """Each report of long steps is answered, and a pruned trial begins no step after the one that decided it."""
    dimensions = {"x": space.uniform(0, 1), "folder": space.choice([str(traces)])}
    study = studies(trials.patient, dimensions, pruner="threshold", pruner_options={"lower": 0.5})
    study.run(trials=12)
    table = study.rows()
    hopeless = [row for row in table if row["params_x"] < 0.5]
    assert 0 < len(hopeless) < 12
    for row in table:
        begun = len(list(traces.glob(f"step-{row['number']:02d}-*")))
        assert (row["state"], begun) == (("pruned", 1) if row in hopeless else ("complete", 4))


def test_asha_does_less_work(studies: Any, traces: Path) -> None:
    """By default most trials are stopped at a rung, and the best score of all is among those that ran to their end."""
    dimensions = {"x": space.uniform(0, 1), "folder": space.choice([str(traces)])}
    study = studies(trials.steps, dimensions, seed=1)
    study.run(trials=30)
    steps = [row["steps"] for row in study.rows()]
    assert set(steps) <= {1, 4, 9}
    assert sum(steps) < 30 * 9 / 2
    assert study.best["params"]["x"] == max(row["params_x"] for row in study.rows())


@pytest.mark.parametrize("pruner", ["median", "percentile", "hyperband", "patient"])
def test_optunas_other_pruners(pruner: str, studies: Any) -> None:
    """Each pruner is asked at each report, and all trials end."""
    options = {"n_startup_trials": 1} if pruner in ("median", "percentile") else {}
    result = studies(trials.paced, {"x": space.uniform(-1, 1)}, pruner=pruner, pruner_options=options).run(trials=8)
    assert sum(result["trials"].values()) == result["trials"]["complete"] + result["trials"]["pruned"] == 8
    if pruner in ("median", "percentile"):
        assert result["trials"]["pruned"] > 0
