"""The study on the driver: Optuna's, on the run folder's journal; the driver alone writes it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from jobs.runs.identity import code_of, is_same
from jobs.tune.records.journal import ATTEMPT, OPERATION, Journal, Recorded, RecordStorage, replayed
from jobs.tune.records.outcome import STATES, Outcome
from jobs.tune.records.table import (
    IDENTITY,
    LOSSES,
    RUN,
    codes,
    feasible,
    lost_executions,
    pareto_front,
    rank,
    rows,
    state_of,
)
from jobs.tune.records.trial_source import PendingTrial, TrialSource
from jobs.tune.space.dimensions import listed_choices
from jobs.tune.space.space import Space

_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def check_recorded(recorded: Recorded, identity: Mapping[str, Any], *, accept_new_code: bool) -> int:
    """Return the number of trials that earlier attempts have finished.

    Raises:
        InputError: its journal is another study's, see `is_same`, or damaged.
    """
    before: dict[str, Any] = {}
    done: set[int] = set()
    with replayed():
        for record in recorded.records():
            if record["op_code"] == OPERATION["study attribute"]:
                before = record.get("user_attr", {}).get(IDENTITY, before)
            if record["op_code"] == OPERATION["end"] and record.get("state") in _FINISHED:
                done.add(int(record["trial_id"]))
    if recorded.lines:
        is_same(f"journal {recorded.address}", "study", before, identity, accept_new_code=accept_new_code)
    return len(done)


class StudyRecorder:
    """Asks for trials, records reports and outcomes, and tracks the best; each call is written to the journal at once.

    Args:
        journal: this attempt's, with the records that it resumes from.
        attempt: this attempt's number.
        identity: the study's, by name; `objective` and `directions` among it.
        space: the search space; empty where the objective asks for its hyperparameters.
        seed: for a trial whose record was torn.
        metrics: names of the objectives, if they have any.
        constraints: metrics that must be <= 0 in a trial that counts.

    Attributes:
        asked: number of trials in the study, running ones too.
        counts: number of trials that have ended, by state.
        best: the best complete trial that keeps the constraints, for a single objective.
        since_best: number of trials that have ended since.
        seconds: when the last one ended, in seconds of the study.
        reported: whether any trial has reported.
        source: makes the trials.
        stopped: whether a callback has stopped the search.

    Raises:
        InputError: the journal's records are not those of a study.
    """

    def __init__(
        self,
        journal: Journal,
        attempt: int,
        *,
        identity: Mapping[str, Any],
        space: Space,
        seed: int,
        metrics: Sequence[str],
        constraints: Sequence[str],
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._journal, self._space, self._seed = journal, space, seed
        self.metrics, self._constraints = tuple(metrics), tuple(constraints)
        self.directions: list[Literal["maximize", "minimize"]] = list(identity["directions"])
        self.maximize = self.directions[0] == "maximize"
        self.counts = dict.fromkeys(STATES, 0)
        self.best: FrozenTrial | None = None
        self.since_best = 0
        self.seconds = 0.0
        self.reported = self.stopped = False
        self._code = code_of(identity)
        self._pruned: dict[int, tuple[int, bool]] = {}
        self._open(attempt, identity)

    def _open(self, attempt: int, identity: Mapping[str, Any]) -> None:
        with replayed(), listed_choices():
            self._storage = RecordStorage(self._journal)
            new = not self._storage.get_all_studies()
            self.study = optuna.create_study(
                storage=self._storage,
                study_name=str(identity["objective"]),
                directions=self.directions,
                load_if_exists=True,
            )
            # Not copies, which Optuna makes with all intermediate values.
            trials = self.study.get_trials(deepcopy=False)
        if self.study.user_attrs.get(IDENTITY) != identity:  # new, or with changed code that was accepted
            self.study.set_user_attr(IDENTITY, dict(identity))
        if new:
            self._name_metrics()
        self.source = TrialSource(self.study, self._storage, self._space, self._seed)
        # The mark comes last, and older logs go after it: a log that is cut off before is not the study yet.
        self.study.set_user_attr(ATTEMPT, attempt)
        self._journal.supersede()
        self.asked = len(trials)
        # Counted in the order of their ends, on which --patience depends, and which is not that of their numbers.
        ended = [trial for trial in trials if trial.state.is_finished()]
        for trial in sorted(ended, key=lambda trial: (trial.user_attrs.get(RUN, {}).get("at", 0.0), trial.number)):
            self._count(trial)

    def _name_metrics(self) -> None:
        """Set the names of the objectives in optuna-dashboard."""
        if self.metrics:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                self.study.set_metric_names(list(self.metrics))

    def use(self, sampler: BaseSampler, pruner: optuna.pruners.BasePruner) -> None:
        """Set the sampler and the pruner."""
        self.study.sampler, self.study.pruner = sampler, pruner

    @property
    def prunes(self) -> bool:
        """Whether trials may be pruned by their reports."""
        return not isinstance(self.study.pruner, optuna.pruners.NopPruner)

    @property
    def done(self) -> int:
        """Number of trials that have ended."""
        return sum(self.counts.values())

    def _trials(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)

    def trial(self, number: int) -> FrozenTrial:
        """Return a trial in its present state, to be read only."""
        return self._storage.get_trial(self.source.id_of(number))

    def ask(self) -> PendingTrial:
        """Return a new trial."""
        trial = self.source.ask()
        self._journal.commit()
        self.asked += 1
        return trial

    def unfinished(self) -> list[PendingTrial]:
        """Return the unfinished trials of an earlier attempt; a torn record is completed from the seed."""
        pending = self.source.unfinished()
        self._journal.commit()
        return pending

    def suggest(self, number: int, name: str, wanted: Mapping[str, Any]) -> tuple[float, str]:
        """Return the value of a hyperparameter that a trial asks for, recorded; or what is wrong with it, in words."""
        reply = self.source.suggest(number, name, wanted)
        self._journal.commit()
        return reply

    def attribute(self, number: int, name: str, value: Any) -> None:
        """Record a user attribute of a trial."""
        self._storage.set_trial_user_attr(self.source.id_of(number), name, value)
        self._journal.commit()

    def prune(self, number: int, step: int) -> bool:
        """Return whether a trial is to be stopped for its report of a step; asked again, the same."""
        if (known := self._pruned.get(number)) and known[0] == step:
            return known[1]
        trial = self.trial(number)
        stop = trial.last_step == step and self._prunes(trial)
        self._pruned[number] = step, stop
        self._journal.commit()
        return stop

    def _prunes(self, trial: FrozenTrial) -> bool:
        # Optuna's pruners compare one value: of several objectives none could prune.
        return self.prunes and len(self.directions) == 1 and self.study.pruner.prune(self.study, trial)

    def report(self, number: int, step: int, value: float) -> bool:
        """Record an intermediate value, and return whether the trial is to be stopped.

        A step that was recorded before, by an earlier execution, changes nothing.
        """
        self.reported = True
        trial = self.trial(number)
        if trial.last_step is not None and step <= trial.last_step:
            return False
        self._storage.set_trial_intermediate_value(self.source.id_of(number), step, value)
        # An objective that asks for its hyperparameters asks for this too.
        stop = bool(self._space) and self._prunes(self.trial(number))
        self._journal.commit()
        return stop

    def lost(self, number: int, losses: int) -> None:
        """Record how often a trial was lost while it ran alone on its worker."""
        self._storage.set_trial_user_attr(self.source.id_of(number), LOSSES, losses)
        self._journal.commit()

    def tell(self, number: int, outcome: Outcome, at: float) -> None:
        """Record a trial's outcome, `at` seconds after the study's begin, all attempts together."""
        where = self.source.id_of(number)
        run: dict[str, Any] = {
            "state": outcome.state,
            "at": round(at, 3),
            "seconds": round(outcome.seconds, 3),
            "worker": outcome.worker,
            "tries": outcome.tries,
            "code": self._code,
        }
        extra = {
            "error": outcome.error,
            "metrics": outcome.metrics,
            "left_out": list(outcome.left_out),
            "lost_executions": outcome.lost_executions,
        }
        run |= {name: value for name, value in extra.items() if value}
        # Before `study.tell`: Optuna refuses changes of a trial that has ended.
        self._storage.set_trial_user_attr(where, RUN, run)
        if outcome.state == "diverged" and len(self.directions) == 1:
            last = self.trial(number).last_step
            # Optuna ranks a pruned trial by its last report: NaN is the worst one.
            self._storage.set_trial_intermediate_value(where, 0 if last is None else last + 1, math.nan)
        if outcome.state == "complete":
            self._constrain(where, outcome)
        values = list(outcome.values) if outcome.state == "complete" else None
        self.study.tell(number, values, state=self._state(outcome))
        self.source.forget(number)
        self._pruned.pop(number, None)
        self._journal.commit(outcome.seconds)
        self._count(self.trial(number))

    def _state(self, outcome: Outcome) -> TrialState:
        """Return Optuna's state; a diverged trial is one that was stopped early, so that samplers learn from it."""
        if outcome.state == "complete":
            return TrialState.COMPLETE
        single = len(self.directions) == 1
        learnt = outcome.state == "pruned" or (outcome.state == "diverged" and single)
        return TrialState.PRUNED if learnt else TrialState.FAIL

    def _constrain(self, where: int, outcome: Outcome) -> None:
        known = self._storage.get_trial(where).constraints
        for name in self._constraints:
            # The journal may end between a constraint and the trial's end; Optuna warns of one that is set twice.
            if name not in known:
                optuna.Trial(self.study, where).set_constraint(name, outcome.metrics[name])

    def _count(self, trial: FrozenTrial) -> None:
        self.counts[state_of(trial)] += 1
        self.seconds = max(self.seconds, trial.user_attrs.get(RUN, {}).get("at", 0.0))
        self.reported = self.reported or trial.last_step is not None
        self.since_best += 1
        if self._better(trial):
            # An equal one with a lower number becomes the best, but is not an improvement for --patience.
            self.since_best = 0 if self.best is None or trial.value != self.best.value else self.since_best
            self.best = trial

    def _better(self, trial: FrozenTrial) -> bool:
        """Return whether a trial is the best so far; of equal ones the lowest number is."""
        if trial.state != TrialState.COMPLETE or len(self.directions) > 1 or not feasible(trial):
            return False
        return self.best is None or rank(trial, maximize=self.maximize) < rank(self.best, maximize=self.maximize)

    def front(self) -> list[FrozenTrial]:
        """Return the trials on the Pareto front, by their numbers; none for a single objective."""
        return pareto_front(self.study)

    def rows(self) -> list[dict[str, Any]]:
        """Return the table of trials, a dict each, by their numbers; see `row`."""
        return rows(self.study)

    @property
    def lost_executions(self) -> int:
        """Number of executions that were retried because their worker was lost, of trials that have ended."""
        return lost_executions(self._trials())

    @property
    def codes(self) -> dict[str, int]:
        """Number of trials that have ended, by code."""
        return codes(self._trials())
