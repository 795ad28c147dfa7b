"""The trials of a study and their hyperparameters: of its space, or one by one as the objective asks for them."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from jobs.errors import InputError
from jobs.tune.records.journal import RecordStorage
from jobs.tune.records.table import LOSSES
from jobs.tune.space.dimensions import Value
from jobs.tune.space.space import Space, draw

FIXED = "fixed_params"
"""Optuna's system attribute of an enqueued trial: its hyperparameters, or some of them."""


@dataclass(frozen=True)
class PendingTrial:
    """A trial to run: its number, its hyperparameters, and how often it was lost while it ran alone on a worker."""

    number: int
    params: dict[str, Value]
    losses: int = 0


class TrialSource:
    """Makes the trials of a study.

    Args:
        study: Optuna's, with its sampler.
        storage: its storage.
        space: the search space; empty where the objective asks for its hyperparameters.
        seed: for a trial whose record was torn.

    Attributes:
        sampler_of: returns the sampler of a trial, by its number and how many hyperparameters it has, where the
            objective asks: one that lasts would make a trial's values depend on what others have asked before.
    """

    def __init__(self, study: optuna.Study, storage: RecordStorage, space: Space, seed: int) -> None:
        self._study, self._storage, self._space, self._seed = study, storage, space, seed
        self._enqueued: deque[dict[str, Any]] = deque()
        self._fixed: dict[str, Any] = {}
        self._open: dict[int, tuple[optuna.Trial, BaseSampler]] = {}
        self.sampler_of: Callable[[int, int], BaseSampler] | None = None

    def enqueue(self, entries: Sequence[Mapping[str, Any]], fixed: Mapping[str, Any]) -> None:
        """Run known hyperparameters first, except for those that the study has had already.

        Args:
            entries: hyperparameters of a trial each, or some of them.
            fixed: those of every trial, where the objective asks.
        """
        self._fixed = dict(fixed)
        trials = self._study.get_trials(deepcopy=False)
        known = [trial.system_attrs[FIXED] for trial in trials if FIXED in trial.system_attrs]
        for entry in ({**entry, **fixed} for entry in entries):
            if entry in known:
                known.remove(entry)
            else:
                self._enqueued.append(entry)

    def enqueue_next(self, entry: Mapping[str, Any]) -> None:
        """Run known hyperparameters next, after those that were enqueued before."""
        self._enqueued.append({**entry, **self._fixed})

    def ask(self) -> PendingTrial:
        """Return a new trial."""
        entry = self._enqueued.popleft() if self._enqueued else self._fixed
        with _quiet():
            if entry:
                optuna.Study.enqueue_trial(self._study, dict(entry))  # not the study's own, see `search.callbacks`
                self._storage.waiting = True
            if self.sampler_of is not None:
                self._study.sampler = self.sampler_of(self._storage.get_n_trials(self._study._study_id), 0)  # noqa: SLF001  as of `_id`
            trial = self._study.ask({name: dimension.distribution() for name, dimension in self._space.items()})
            self._storage.waiting = False
            # Proposed now, as for a space, and not at the first question: others may end in between.
            _ = trial.relative_params
        if self.sampler_of is not None:
            self._open[trial.number] = trial, self._study.sampler
        params = trial.params  # a copy at each use
        return PendingTrial(trial.number, {name: params[name] for name in self._space})

    def unfinished(self) -> list[PendingTrial]:
        """Return the unfinished trials of an earlier attempt; a torn record is completed from the seed."""
        trials = self._study.get_trials(deepcopy=False)
        return [self._pending(trial) for trial in trials if not trial.state.is_finished()]

    def _pending(self, trial: FrozenTrial) -> PendingTrial:
        if trial.state == TrialState.WAITING:  # its record was torn between the two of an enqueued trial
            self._storage.set_trial_state_values(self.id_of(trial.number), TrialState.RUNNING)
        missing = self._space.keys() - trial.params.keys()
        drawn = {**draw(self._space, self._seed, trial.number), **trial.system_attrs.get(FIXED, {})} if missing else {}
        for name in missing:
            kind = self._space[name].distribution()
            self._storage.set_trial_param(self.id_of(trial.number), name, kind.to_internal_repr(drawn[name]), kind)
        known = {**drawn, **trial.params}
        params = {name: known[name] for name in self._space}
        return PendingTrial(trial.number, params, int(trial.user_attrs.get(LOSSES, 0)))

    def id_of(self, number: int) -> int:
        """Return Optuna's id of a trial."""
        return self._storage.get_trial_id_from_study_id_trial_number(self._study._study_id, number)  # noqa: SLF001  Optuna has no public name

    def suggest(self, number: int, name: str, wanted: Mapping[str, Any]) -> tuple[float, str]:
        """Return the value of a hyperparameter that a trial asks for, as Optuna stores it, or what is wrong, in words.

        It is the recorded one, or a new one of the sampler's.
        """
        try:
            with _quiet():
                return self._suggested(self._opened(number), name, wanted), ""
        except (ValueError, TypeError, InputError) as error:
            return 0.0, str(error)

    def _opened(self, number: int) -> optuna.Trial:
        if number not in self._open:
            assert self.sampler_of is not None
            known = len(self._storage.get_trial(self.id_of(number)).params)
            self._study.sampler = self.sampler_of(number, known)
            self._open[number] = optuna.Trial(self._study, self.id_of(number)), self._study.sampler
        trial, self._study.sampler = self._open[number]
        return trial

    @staticmethod
    def _suggested(trial: optuna.Trial, name: str, wanted: Mapping[str, Any]) -> float:
        options = {key: value for key, value in wanted.items() if key != "kind"}
        if wanted["kind"] == "categorical":
            choices = CategoricalDistribution(options["choices"])
            return choices.to_internal_repr(trial.suggest_categorical(name, options["choices"]))
        suggest = trial.suggest_float if wanted["kind"] == "float" else trial.suggest_int
        return float(suggest(name, **options))

    def forget(self, number: int) -> None:
        """Release a trial that has ended."""
        self._open.pop(number, None)


class _quiet(warnings.catch_warnings):  # noqa: N801  called as a function
    """Ignore Optuna's warnings of what the objective asks for: they would come on the driver, for each trial."""

    def __enter__(self) -> Any:
        entered = super().__enter__()
        warnings.simplefilter("ignore")
        return entered
