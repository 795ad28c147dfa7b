"""Samplers by name: each proposes what the space allows, from the seed, and does not repeat itself when it goes on."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from jobs.errors import InputError
from jobs.storage import open_storage
from jobs.tune import space
from jobs.tune.records import journal
from jobs.tune.records.journal import Journal
from jobs.tune.records.outcome import Outcome
from jobs.tune.records.recorder import StudyRecorder
from jobs.tune.space.pruners import PRUNERS, make_pruner
from jobs.tune.space.samplers import NEEDED, grid_size, make_sampler

SPACE = {
    "rate": space.log(1e-4, 1),
    "units": space.integer(1, 64, log=True),
    "layers": space.choice([1, 2, 3]),
    "name": space.choice(["a", "b"]),
}
THERE = ["random", "grid", "qmc", "tpe", "cmaes", "nsgaii"]


class _Studies:
    """Makes attempts on studies, without a cluster: a trial's score is its rate."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.attempts = folder, 0

    def run(self, name: str, trials: int, run: str = "run", seed: int = 0) -> list[dict[str, Any]]:
        self.attempts += 1
        storage = open_storage(self.folder / run)
        log = Journal(storage, self.attempts, journal.read(storage))
        identity = {"objective": "a:b", "directions": ["maximize"]}
        recorder = StudyRecorder(
            log, self.attempts, identity=identity, space=SPACE, seed=seed, metrics=(), constraints=()
        )
        recorder.use(make_sampler(name, SPACE, seed, recorder.asked, {}), make_pruner("none", {}))
        drawn = []
        for _ in range(trials):
            ticket = recorder.ask()
            drawn.append(ticket.params)
            recorder.tell(ticket.number, Outcome("complete", (float(ticket.params["rate"] or 0),)), at=1.0)
        log.close()
        return drawn


@pytest.fixture
def studies(tmp_path: Path) -> _Studies:
    return _Studies(tmp_path)


@pytest.mark.parametrize("name", THERE)
def test_a_sampler_draws_from_the_space_by_its_seed(name: str, studies: _Studies) -> None:
    """All names are there, each value is allowed, the same seed gives the same trials and another one others."""
    drawn = studies.run(name, 14)
    for params in drawn:
        assert list(params) == list(SPACE)
        for key, value in params.items():
            kind = SPACE[key].distribution()
            assert kind._contains(kind.to_internal_repr(value))
    assert studies.run(name, 14, "same") == drawn
    assert studies.run(name, 14, "other", seed=1) != drawn


@pytest.mark.parametrize("name", THERE)
def test_a_sampler_that_goes_on_does_not_repeat_itself(name: str, studies: _Studies) -> None:
    """Trials of a second attempt are new ones."""
    first, second = studies.run(name, 8), studies.run(name, 8)
    assert not [params for params in second if params in first]


def test_a_grid_visits_each_point_once(studies: _Studies) -> None:
    """As many trials as the grid has points, in two attempts, are all its points."""
    size = grid_size(SPACE, {})
    assert size == 5 * 5 * 3 * 2
    drawn = [*studies.run("grid", 100), *studies.run("grid", size - 100)]
    assert len({str(params) for params in drawn}) == size


@pytest.mark.parametrize("name", ["tpe", "cmaes"])
def test_a_sampler_learns(name: str, studies: _Studies) -> None:
    """After a random start, most proposals are better than most random ones."""
    rates = [params["rate"] for params in studies.run(name, 40)]
    assert sorted(rates[:10])[5] < sorted(rates[20:])[10]


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_a_missing_package_is_told(name: str) -> None:
    """A sampler whose package is missing says what to install; where it is there, it is made."""
    if importlib.util.find_spec(NEEDED[name]):
        assert make_sampler(name, SPACE, 0, 0, {})
        return
    with pytest.raises(InputError, match=f"^sampler {name} needs the package .*: pip install {NEEDED[name]}"):
        make_sampler(name, SPACE, 0, 0, {})


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("random", {"points": 3}, "sampler random does not take these sampler_options: points; it takes none"),
        ("grid", {"seed": 3}, "sampler grid does not take these sampler_options: seed; it takes only points"),
        ("grid", {"points": 1}, "sampler_options points is 1, but must be an integer >= 2"),
        ("tpe", {"gama": 3}, "sampler tpe does not take these sampler_options: .*'gama'"),
        ("qmc", {"qmc_type": "sobl"}, "sampler qmc does not take these sampler_options: .*sobl"),
        ("qmc", {"independent_sampler": "x"}, "sampler qmc does not take these sampler_options: 'str' object"),
        ("tpe", {"n_startup_trials": "abc"}, "sampler tpe does not take these sampler_options: '<' not supported"),
        ("tpe", {"n_ei_candidates": "abc"}, "sampler tpe does not take these sampler_options: invalid literal"),
        ("cmaes", {"popsize": "x"}, "sampler cmaes does not take these sampler_options: '>' not supported"),
        ("nsgaii", {"population_size": "x"}, "sampler nsgaii does not take these sampler_options: '<' not"),
    ],
)
def test_wrong_options_of_a_sampler(name: str, options: dict[str, Any], told: str) -> None:
    """What Optuna's sampler does not take is told in one line, also what only a proposal shows."""
    with pytest.raises(InputError, match=told) as caught:
        make_sampler(name, SPACE, 0, 0, options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", THERE)
def test_large_seeds(name: str, studies: _Studies) -> None:
    """A seed of more than 32 bits is a seed like others, and all its bits count."""
    drawn = studies.run(name, 3, seed=2**40)
    assert studies.run(name, 3, "same", seed=2**40) == drawn
    assert studies.run(name, 3, "other", seed=2**40 + 2**33) != drawn


@pytest.mark.parametrize("name", [name for name in PRUNERS if name not in ("patient", "threshold")])
def test_the_patient_pruner_takes_another_by_name(name: str) -> None:
    """`wrapped_pruner` names one, which gets its default options."""
    pruner: Any = make_pruner("patient", {"wrapped_pruner": name})
    assert type(pruner._wrapped_pruner) is PRUNERS[name][0]
    alone: Any = make_pruner("patient", {"wrapped_pruner": None})
    assert alone._wrapped_pruner is None


@pytest.mark.parametrize("name", ["medain", "patient", 3, [1]])
def test_what_the_patient_pruner_does_not_take(name: Any) -> None:
    """All but the other pruners' names are refused, with those."""
    with pytest.raises(InputError, match="^pruner_options wrapped_pruner is .*, but must be one of asha, median, "):
        make_pruner("patient", {"wrapped_pruner": name})


@pytest.mark.parametrize("name", PRUNERS)
def test_wrong_options_of_a_pruner(name: str) -> None:
    """What Optuna's pruner does not take is told in one line."""
    with pytest.raises(InputError, match=f"^pruner {name} does not take these pruner_options: .*(wrong|no arg)"):
        make_pruner(name, {"wrong": 3})


def test_a_pruner_that_lacks_an_option() -> None:
    """A threshold needs a bound; Optuna's own words say so."""
    with pytest.raises(InputError, match="^pruner threshold .*Either lower or upper must be specified"):
        make_pruner("threshold", {})
