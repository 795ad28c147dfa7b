"""The run folder: whose it is, attempts, status and result."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import yaml

from jobs.errors import ClusterError, InputError, Stopped, Superseded
from jobs.options import JobOptions
from jobs.runs.attempt import attempt_on
from jobs.runs.encoding import as_json
from jobs.runs.run import Run
from jobs.storage import Storage


def _run(storage: Storage, job: str = "minimize", **options: object) -> Run:
    return Run(storage.url, job, JobOptions.model_validate(options))


def test_a_folder_belongs_to_one_job(storage: Storage) -> None:
    """Another job's run folder, and a folder of other things, are refused."""
    _run(storage).start()
    with pytest.raises(InputError, match="is a run of 'minimize', not of 'tune'; choose another one"):
        _run(storage, "tune")


def test_a_folder_of_other_things_is_refused(storage: Storage) -> None:
    """Nobody's thesis is written into."""
    storage.write("thesis.tex", b"")
    with pytest.raises(InputError, match="is no run folder: it holds 'thesis.tex'; choose a new or empty one"):
        _run(storage)


def test_each_start_is_an_attempt(storage: Storage) -> None:
    """Attempts are numbered, and two drivers never get the same number."""
    first, second = _run(storage), _run(storage)
    first.start()
    second.start()
    assert (first.attempt, second.attempt) == (1, 2)


def test_a_driver_that_is_overtaken_stops(storage: Storage) -> None:
    """An attempt that sees a later one writes no more, not even that it failed."""
    first, second = _run(storage), _run(storage)
    first.start()
    second.start()
    with pytest.raises(Superseded, match="attempt 2 has taken over"):
        first.status("running", now=True)
    first.fail(ClusterError("whatever"))
    assert json.loads(storage.read("status.json"))["attempt"] == 2


def test_options_and_status_are_told(storage: Storage) -> None:
    """The folder says what was asked and how it stands, complete and in readable form."""
    run = _run(storage, workers=3)
    run.start()
    run.status("running", now=True, metrics={"loss": float("nan")})
    assert yaml.safe_load(storage.read("options.yaml"))["workers"] == 3
    status = json.loads(storage.read("status.json"))
    assert (status["state"], status["attempt"], status["metrics"]["loss"]) == ("running", 1, "nan")
    run.fail(ClusterError("no room"))
    assert json.loads(storage.read("status.json"))["error"] == "no room"
    run.finish({"fun": np.float64(1.5)})
    assert json.loads(storage.read("result.json"))["fun"] == 1.5


def test_a_result_counts_for_the_same_options(storage: Storage) -> None:
    """What a job computes decides whether it is done; where and how fast it ran does not."""
    run = _run(storage, workers=3)
    run.start()
    run.finish({"fun": 1.0})
    assert _run(storage, workers=5, deadline=60.0).result() is not None

    class Other(JobOptions):
        tolerance: float = 1.0

    assert Run(storage.url, "minimize", Other()).result() is None


def test_signals_are_noted_and_given_back(storage: Storage) -> None:
    """A signal ends the job at its next poll; afterwards the old handlers are back."""
    run = _run(storage)
    before = signal.getsignal(signal.SIGTERM)
    with run.signals(), pytest.raises(Stopped, match="stopped by SIGINT before work began"):
        os.kill(os.getpid(), signal.SIGINT)
    run = _run(storage)
    run.start()
    with run.signals():
        run.poll()
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Stopped, match="stopped by SIGTERM"):
            run.poll()
    assert signal.getsignal(signal.SIGTERM) is before


def test_json_has_no_nan() -> None:
    """Files are JSON that any reader takes: NaN and infinity become text."""
    assert json.loads(as_json({"a": [np.inf, -np.inf, np.nan, np.int64(3), (1.5,)]})) == {
        "a": ["inf", "-inf", "nan", 3, [1.5]]
    }


def test_a_read_only_place(tmp_path: Path) -> None:
    """No write access is one line before work begins."""
    with pytest.raises(InputError, match="no write access|not writable|cannot"):
        Run("/proc/1/run", "minimize", JobOptions())


def _stopped_without_saving(url: str) -> None:
    def save() -> None:
        raise ClusterError("the workers do not answer")

    with attempt_on("x", JobOptions(run=url)) as attempt:
        attempt.start()
        with attempt.saving(save):
            os.kill(os.getpid(), signal.SIGTERM)
            attempt.folder.poll()


def test_a_stop_that_could_not_save_does_not_say_so(storage: Storage) -> None:
    """It says why, and that the run goes on from what was saved before."""
    with pytest.raises(
        Stopped, match=r"^stopped by SIGTERM; the same call goes on from what was saved before \(.*not answer"
    ):
        _stopped_without_saving(storage.url)
