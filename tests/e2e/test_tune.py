"""The chart tune on a real cluster: no trial is lost or counted twice, whatever is killed; GPUs, failures, and more."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from release import Bucket, Claim, Kubectl, wait_until
from watched import Watched

from jobs.storage import open_storage
from jobs.tune import space
from jobs.tune.records.table import load_study

ROOT = Path(__file__).parents[2]
TRIALS = (Path(__file__).parent / "slow_trials.py").read_text()
SPACE = {"width": {"integer": [1, 1000], "log": True}, "x": {"uniform": [-1, 1]}}
"""In the order of the names: that of maps in values files does not reach the driver."""


@pytest.fixture
def search(install: Callable[..., str]) -> Callable[..., str]:
    """Return `search(objective, *arguments, values=None)`, which installs the release `fit` of the chart tune."""

    def run(objective: str, *arguments: str, **values: Any) -> str:
        given = {
            "code": {"slow_trials.py": TRIALS},
            "job": {"objective": f"slow_trials:{objective}", "space": SPACE},
            **values,
        }
        return install("fit", *arguments, values=given, chart="tune")

    return run


def _fetched(watched: Watched, folder: Path) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Bring the run folder here, and return result.json and the rows of trials.csv."""
    code, told = watched.tell("fetch", "fit", str(folder))
    assert code == 0, told
    with (folder / "trials.csv").open() as file:
        return json.loads((folder / "result.json").read_text()), list(csv.DictReader(file))


def _until_saved(place: Bucket, trials: int) -> None:
    """Wait until so many trials have a checkpoint; the last of them is then in its midst."""
    wait_until(f"{trials} trials have saved", lambda: len(_states(place.keys())) >= trials, pause=0.1)


def _states(names: Iterable[str]) -> list[str]:
    """Return the names of the checkpoints' states, one a trial."""
    return [name for name in names if re.search(r"checkpoints/\d+\.json$", name)]


def _tries(run: Path) -> list[list[int]]:
    """Return after which step each try of each trial went on, as the objective has kept it."""
    states = _states(str(path) for path in sorted(run.rglob("*.json")))
    return [
        json.loads((run / json.loads(Path(state).read_text())["state.json"]).read_text())["tries"] for state in states
    ]


def test_killed_pods_lose_no_trial(
    watched: Watched, search: Callable[..., str], s3_endpoint: Bucket, tmp_path: Path
) -> None:
    """A worker and the driver are deleted by force in mid-run: all 20 trials are there once, as the seed has them.

    Those that were lost go on from their checkpoints.
    """
    search("train", "job.trials=20", "job.pruner=none", "job.seed=7", **s3_endpoint.values())
    _until_saved(s3_endpoint, 2)
    watched.kubectl("delete", "pod", "--force", "--grace-period=0", watched.pods("fit", "worker")[0])
    watched.until_status("fit", "of 20 trials", 30)
    _until_saved(s3_endpoint, 7)
    watched.kubectl("delete", "pod", "--force", "--grace-period=0", *watched.pods("fit", "driver"))
    assert watched.exit_code("fit") == 0
    watched.no_pods_in(60)
    result, rows = _fetched(watched, tmp_path / "run")
    assert (result["attempt"], result["unfinished"]) == (2, 0)
    assert {state: count for state, count in result["trials"].items() if count} == {"complete": 20}
    assert [int(row["number"]) for row in rows] == list(range(20))
    dimensions = space.parse(SPACE)
    for number, row in enumerate(rows):
        drawn = space.draw(dimensions, 7, number)
        assert {name: type(value)(row[f"params_{name}"]) for name, value in drawn.items()} == drawn
        assert float(row["value"]) == drawn["x"] * 8
    study = load_study(open_storage(tmp_path / "run"))
    assert sum(trial.state.is_finished() for trial in study.trials) == len(study.trials) == 20
    tries = _tries(tmp_path / "run")
    assert len(tries) == 20
    again = [steps for steps in tries if len(steps) > 1]
    assert again
    assert all(steps[0] == 0 < steps[-1] for steps in again)


def test_one_trial_a_gpu(watched: Watched, search: Callable[..., str], claim: Claim, gpus: str, tmp_path: Path) -> None:
    """Two workers with a GPU and two threads each run one trial a time each, if a trial takes a GPU."""
    workers = {"gpu": 1, "gpuResource": gpus, "threads": 2}
    given = ("job.gpus_per_trial=1", "job.trials=12", "job.metric=score", f"run.claim.name={claim}")
    search("timed", *given, workers=workers)
    assert watched.exit_code("fit") == 0
    _, rows = _fetched(watched, tmp_path / "run")
    trials = load_study(open_storage(tmp_path / "run")).trials
    places = {row["worker"] for row in rows}
    assert len(places) == 2
    for place in places:
        runs = [
            trial.user_attrs["run"]["metrics"]
            for trial, row in zip(trials, rows, strict=True)
            if row["worker"] == place
        ]
        assert all(one["ended"] <= two["began"] for one, two in pairwise(sorted(runs, key=lambda run: run["began"])))


def test_more_trials_go_on_with_the_study(
    watched: Watched, search: Callable[..., str], claim: Claim, tmp_path: Path
) -> None:
    """`helm upgrade` with more trials or another sampler goes on in the run folder, with another seed in a new one."""
    given = ("job.pruner=none", f"run.claim.name={claim}")
    search("timed", "job.trials=4", "job.metric=score", *given)
    assert watched.exit_code("fit") == 0
    _, before = _fetched(watched, tmp_path / "before")
    search("timed", "job.trials=8", "job.metric=score", "job.sampler=qmc", *given)
    code, told = watched.tell("wait", "fit")
    assert (code, "best" in told) == (0, True), told
    result, rows = _fetched(watched, tmp_path / "after")
    assert (result["attempt"], result["trials"]["complete"], rows[:4]) == (2, 8, before)
    search("timed", "job.trials=1", "job.metric=score", "job.seed=1", *given)
    assert watched.exit_code("fit") == 0
    assert len({name.partition("/")[0] for name in claim.files()}) == 2


def test_objective_that_fails(watched: Watched, search: Callable[..., str]) -> None:
    """More failures than `max_failures` fail the release once, with 1, and `wait` ends with the last trial's error."""
    search("failing", "job.max_failures=2", "job.trials=50", "workers.count=1")
    code, told = watched.tell("wait", "fit")
    assert code == 1, told
    assert "dask-jobs: error: 3 trials have failed (--max-failures 2); the last, trial" in told
    assert "LookupError: no such row: -" in told
    watched.no_pods_in(60)
    assert len(watched.pods("fit", "driver", ("Failed",))) == 1


def test_manifest_of_tune(watched: Watched, kubectl: Kubectl, image: str) -> None:
    """`kubectl apply -f k8s/tune.yaml` runs the study to its end; only the image's name is the test's."""
    text = (ROOT / "k8s/tune.yaml").read_text()
    assert "localhost/dask-jobs:0.1.0" in text
    kubectl("apply", "-f", "-", input=text.replace("localhost/dask-jobs:0.1.0", image))
    code, told = watched.tell("wait", "tune")
    assert code == 0, told
    assert "all 30 trials are done" in told
    watched.no_pods_in(60)
