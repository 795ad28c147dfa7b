"""Samplers by name: Optuna's, with a seed; and random search whose trial k depends on (seed, k) alone."""

from __future__ import annotations

import hashlib
import importlib.util
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna import samplers
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler

from jobs.errors import InputError, argument
from jobs.formatting import one_line
from jobs.tune.space.dimensions import Float, Value, dimension_of, listed_choices
from jobs.tune.space.space import Space, draw

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial, TrialState

NEEDED = {"gp": "torch"}
"""Sampler -> the package that Optuna needs for it and does not bring."""
ANY: Space = {"x": Float(0, 1), "y": Float(0, 1)}
"""A space on which a sampler's options are checked where the study has none."""
GRID_POINTS = 5
CHECKED_PROPOSALS = {"qmc": 1, "tpe": 12, "gp": 1, "cmaes": 12, "nsgaii": 1}
"""Sampler -> proposals after which its options are checked; the 11th is TPE's first that is not random."""


class Random(BaseSampler):
    """Draws trial k's hyperparameters from the seed and k alone, in whatever order trials start or end."""

    def __init__(self, space: Space, seed: int) -> None:
        self._space, self._seed = space, seed

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:  # noqa: ARG002  Optuna's signature
        """Return the whole space: all are drawn together."""
        return {name: dimension.distribution() for name, dimension in self._space.items()}

    def sample_relative(
        self,
        study: Study,  # noqa: ARG002  Optuna's signature
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],  # noqa: ARG002
    ) -> dict[str, Any]:
        """Return the trial's hyperparameters."""
        return dict(draw(self._space, self._seed, trial.number))

    def sample_independent(
        self,
        study: Study,  # noqa: ARG002  Optuna's signature
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,  # noqa: ARG002
    ) -> Any:
        """Return one of them."""
        return draw(self._space, self._seed, trial.number)[param_name]


class RandomByName(BaseSampler):
    """Draws each hyperparameter that trial k asks for from the seed, k and its name alone, in any order."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:  # noqa: ARG002  Optuna's signature
        """Return nothing: each is drawn by itself."""
        return {}

    def sample_relative(
        self,
        study: Study,  # noqa: ARG002  Optuna's signature
        trial: FrozenTrial,  # noqa: ARG002
        search_space: dict[str, BaseDistribution],  # noqa: ARG002
    ) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def sample_independent(
        self,
        study: Study,  # noqa: ARG002  Optuna's signature
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Return one of them."""
        # 3, for a sequence of its own, see `trials.execution.trial_seed`; the name as a number.
        name = int.from_bytes(hashlib.blake2b(param_name.encode(), digest_size=8).digest())
        random = np.random.default_rng(np.random.SeedSequence([self._seed, trial.number, 3, name]))
        return dimension_of(param_distribution).draw(random)


class Grid(samplers.GridSampler):
    """Optuna's grid; the study ends with the grid by its number of trials."""

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Do not stop the study: Optuna's method may only be called from within its own loop."""


def grid(space: Space, points: int) -> dict[str, list[Value]]:
    """Return name -> the values on the grid: all of a choice or a small range, else `points` of them."""
    return {name: dimension.grid(points) for name, dimension in space.items()}


def grid_size(space: Space, options: Mapping[str, Any]) -> int:
    """Return the number of trials of a grid; raises InputError for a wrong number of points."""
    points = options.get("points", GRID_POINTS)
    if isinstance(points, bool) or not isinstance(points, int) or points < 2:
        raise InputError(f"{argument('sampler_options')} points is {points!r}, but must be an integer >= 2")
    return math.prod(map(len, grid(space, points).values()))


def make_sampler(name: str, space: Space, seed: int, begun: int, options: Mapping[str, Any]) -> BaseSampler:
    """Return a sampler.

    A sampler with a state of its own would repeat its first draws when a study is resumed, so it is seeded with the
    number of trials so far as well.

    Args:
        name: random, grid, qmc, tpe, gp, cmaes or nsgaii.
        space: the search space; empty where the objective asks for its hyperparameters.
        seed: the study's seed.
        begun: number of trials in the study so far.
        options: further arguments of Optuna's sampler; for a grid `points`, per dimension.

    Raises:
        InputError: it needs a package that is missing, or does not take the options.
    """
    package = NEEDED.get(name)
    if package and importlib.util.find_spec(package) is None:
        raise InputError(
            f"{argument('sampler')} {name} needs the package {package}, which is not installed: pip install {package}"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            if name in CHECKED_PROPOSALS:
                _try(_make(name, space, seed, (begun,), options), CHECKED_PROPOSALS[name], space or ANY)
            return _make(name, space, seed, (begun,), options)
    except InputError:
        raise
    except Exception as error:
        reason = one_line(error) or type(error).__name__
        raise InputError(
            f"{argument('sampler')} {name} does not take these {argument('sampler_options')}: {reason}"
        ) from error


def sampler_of(name: str, seed: int, options: Mapping[str, Any], number: int, known: int) -> BaseSampler:
    """Return the sampler of one trial whose objective asks for its hyperparameters, after `make_sampler`'s check.

    Args:
        name: as of `make_sampler`.
        seed: the study's seed.
        options: as of `make_sampler`.
        number: the trial.
        known: number of its hyperparameters that are recorded: the rest is not to repeat the draws for these.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return _make(name, {}, seed, (number, known), options)


def _try(sampler: BaseSampler, trials: int, space: Space) -> None:
    """Let a sampler propose trials of a study in memory: Optuna checks few options before it uses them."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=sampler)
    distributions = {key: dimension.distribution() for key, dimension in space.items()}
    for number in range(trials):
        study.tell(study.ask(distributions), float(number))


def _make(name: str, space: Space, seed: int, begun: Sequence[int], options: Mapping[str, Any]) -> BaseSampler:
    if name == "grid":
        if not space:
            raise InputError(
                f"{argument('sampler')} grid needs the whole space before, but this objective asks for its "
                "hyperparameters as it runs; take another sampler"
            )
        _refuse(set(options) - {"points"}, "only points")
        grid_size(space, options)
        with listed_choices():
            return Grid(grid(space, options.get("points", GRID_POINTS)), seed=_seed(seed))  # type: ignore[arg-type]
    own = _seed(seed, *begun)
    if name == "qmc":  # its position in the sequence is in the journal, so all attempts scramble it alike
        # What it draws by itself would else be alike in all trials, of which each has a sampler of its own.
        rest = {} if space else {"independent_sampler": samplers.RandomSampler(seed=own)}
        return samplers.QMCSampler(
            **{"scramble": True, "seed": _seed(seed), "warn_independent_sampling": False, **rest, **options}
        )
    if name == "random":
        _refuse(set(options), "none")
        return Random(space, seed) if space else RandomByName(seed)
    if name == "tpe":
        return samplers.TPESampler(**{"seed": own, **options})
    if name == "nsgaii":
        return samplers.NSGAIISampler(**{"seed": own, **options})
    kinds: dict[str, Callable[..., BaseSampler]] = {"gp": samplers.GPSampler, "cmaes": samplers.CmaEsSampler}
    return kinds[name](**{"seed": own, "warn_independent_sampling": False, **options})


def _seed(*parts: int) -> int:
    """Return a seed in 0 .. 2**32 - 1, Optuna's range, from integers of any size."""
    return int(np.random.SeedSequence([*parts, 2]).generate_state(1)[0])


def _refuse(options: set[str], takes: str) -> None:
    if options:
        raise TypeError(f"{', '.join(sorted(options))}; it takes {takes}")
