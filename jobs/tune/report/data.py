"""The data of a search's report: a snapshot of the study's trials, as columns."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna

from jobs.errors import InputError
from jobs.runs.display.progress import EXTREMES
from jobs.tune import space as spaces
from jobs.tune.records.table import IDENTITY, codes, feasible, find_study, pareto_front, rows, state_of
from jobs.tune.space.dimensions import Choice, Float, Integer

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

    from jobs.storage import Storage
    from jobs.tune.space.dimensions import Dimension

STATES = ("complete", "pruned", "failed", "diverged", "running")


@dataclass(frozen=True)
class Search:
    """A study with n trials, in the order of their numbers; the unfinished ones of an earlier attempt are `running`.

    Attributes:
        study: Optuna's, to be read only.
        trials: its trials.
        space: name -> dimension; where the objective asks for its hyperparameters, some trials may lack some.
        metrics: names of the objectives; `value` for one without a name.
    """

    study: optuna.Study
    trials: list[FrozenTrial]
    space: dict[str, Dimension]
    metrics: list[str]

    @property
    def maximize(self) -> list[bool]:
        """Whether each objective is maximized."""
        return [direction == optuna.study.StudyDirection.MAXIMIZE for direction in self.study.directions]

    def extreme(self, metric: int) -> str:
        """Return which value of an objective is the best: largest or smallest."""
        return EXTREMES["maximize" if self.maximize[metric] else "minimize"]

    @cached_property
    def states(self) -> NDArray[np.str_]:
        """The trials' states (n,)."""
        return np.array([state_of(trial) for trial in self.trials], dtype="U8")

    @cached_property
    def counts(self) -> dict[str, int]:
        """Number of trials by state."""
        return {state: int((self.states == state).sum()) for state in STATES}

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """The objectives' values (n, objectives) of complete trials; nan for others."""
        missing = [np.nan] * len(self.metrics)
        complete = self.states == "complete"
        values = [trial.values if done else missing for trial, done in zip(self.trials, complete, strict=True)]
        return np.array(values, dtype=np.float64).reshape(-1, len(self.metrics))

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """`values`, and for a trial that is not complete its last report, if there is one objective."""
        if len(self.metrics) > 1:
            return self.values
        last = [_last(trial) for trial in self.trials]
        return np.where(np.isnan(self.values), np.array(last, dtype=np.float64).reshape(-1, 1), self.values)

    @cached_property
    def usual(self) -> NDArray[np.bool_]:
        """Whether each trial (n,) has a score and no other end than complete or pruned; and some hyperparameter."""
        usual: NDArray[np.bool_] = np.isin(self.states, ["complete", "pruned"])
        asked: NDArray[np.bool_] = np.array([bool(trial.params) for trial in self.trials], dtype=bool)
        return np.asarray(usual & asked & np.isfinite(self.scores).all(axis=1), dtype=np.bool_)

    @cached_property
    def feasible(self) -> NDArray[np.bool_]:
        """Whether each trial is feasible (n,), as far as its constraints are known."""
        return np.array([feasible(trial) for trial in self.trials], dtype=bool)

    @cached_property
    def best(self) -> FrozenTrial | None:
        """The best complete trial of a single objective that keeps the constraints; the first of equal ones."""
        counts = (self.states == "complete") & self.feasible
        return self._best(np.where(counts, self.values[:, 0], np.nan)) if len(self.metrics) == 1 else None

    @cached_property
    def best_reported(self) -> FrozenTrial | None:
        """The trial whose last report is the best, for a single objective; complete or not."""
        alive = np.isin(self.states, ["complete", "pruned", "running"]) & self.feasible
        return self._best(np.where(alive, self.scores[:, 0], np.nan)) if len(self.metrics) == 1 else None

    def _best(self, scores: NDArray[np.float64]) -> FrozenTrial | None:
        finite = np.isfinite(scores)
        if not finite.any():
            return None
        sign = -1.0 if self.maximize[0] else 1.0
        return self.trials[int(np.argmin(np.where(finite, sign * scores, np.inf)))]

    @cached_property
    def pareto_front(self) -> list[FrozenTrial]:
        """The trials on the Pareto front of several objectives, by their numbers."""
        return pareto_front(self.study)

    @cached_property
    def best_scores(self) -> NDArray[np.float64]:
        """Scores (k, objectives) of the best trial, complete or not, or of those on the front; k may be 0."""
        best = self.best or self.best_reported
        trials = self.pareto_front if len(self.metrics) > 1 else [best] * (best is not None)
        return self.scores[[trial.number for trial in trials if trial is not None]]

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The table of trials, as in trials.csv."""
        return rows(self.study)

    @cached_property
    def codes(self) -> dict[str, int]:
        """Number of trials that have ended, by code."""
        return codes(self.trials)

    def run(self, name: str) -> NDArray[np.float64]:
        """Return `seconds` or `at` of each trial (n,); nan where it has not ended."""
        return np.array([np.nan if row[name] is None else row[name] for row in self.rows], dtype=np.float64)

    def order(self) -> NDArray[np.intp]:
        """Return the trials' indices (n,), the best first, then those that are not complete, by their last reports."""
        sign = -1.0 if self.maximize[0] else 1.0
        worst = ~(np.isin(self.states, ["complete", "pruned"]) & np.isfinite(self.scores[:, 0]))
        keys = (np.nan_to_num(sign * self.scores[:, 0]), ~self.feasible, self.states != "complete", worst)
        return np.lexsort(keys)


def _last(trial: FrozenTrial) -> float:
    return float("nan") if trial.last_step is None else trial.intermediate_values[trial.last_step]


def read_search(storage: Storage) -> Search | None:
    """Read the study of a run folder; None if there is none yet.

    Raises:
        InputError: its journal is damaged.
    """
    study = find_study(storage)
    if study is None or IDENTITY not in study.user_attrs:
        return None
    identity = study.user_attrs[IDENTITY]
    metrics = identity["metric"] or ["value"]
    trials = study.get_trials(deepcopy=False)
    space = spaces.parse(identity["space"]) if identity["space"] else _asked_for(trials)
    return Search(study, trials, space, metrics)


def _asked_for(trials: list[FrozenTrial]) -> dict[str, Dimension]:
    """Return the space of hyperparameters that the objective asks for: of each name the range of all trials."""
    asked: dict[str, list[BaseDistribution]] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            asked.setdefault(name, []).append(distribution)
    return {name: _of_all(name, asked[name], trials) for name in asked}


def _of_all(name: str, asked: list[BaseDistribution], trials: list[FrozenTrial]) -> Dimension:
    kind = asked[0]._asdict()
    if "choices" not in kind:
        low, high = min(one._asdict()["low"] for one in asked), max(one._asdict()["high"] for one in asked)
        with contextlib.suppress(InputError):  # a single value, or a range that is too large for a space
            return (Integer if isinstance(low, int) else Float)(low, high, kind["log"])
    values = [value for one in trials if name in one.params for value in [one.params[name]]]
    seen = {repr(value): value for value in kind.get("choices", values)}
    return Choice(tuple(seen.values()))
