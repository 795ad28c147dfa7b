"""`Study`: the tune job from Python, on an existing client."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from optuna.study import StudyDirection
from optuna.trial import TrialState

from jobs.errors import InputError
from jobs.options import validated
from jobs.storage import open_storage
from jobs.tune import space as spaces
from jobs.tune.job import run
from jobs.tune.options import Options
from jobs.tune.plan import plan
from jobs.tune.records.table import IDENTITY, feasible, find_study, load_study, rank, rows
from jobs.tune.search.callbacks import Callback
from jobs.tune.space.dimensions import Dimension
from jobs.tune.space.enqueued import enqueued
from jobs.tune.trials.objective import objective_code

if TYPE_CHECKING:
    from distributed import Client


def _terminate(terminator: Any, study: Any, _trial: Any) -> None:
    if terminator.should_terminate(study):
        study.stop()


OURS = ("config", "scheduler", "workers", "threads", "connect_timeout", "retry")
"""Options without a use here: a study has its client, and no options file; `retry` is for one call of `run`."""


class Study:
    """A search for good hyperparameters, on a run folder.

    Args:
        client: a Dask client; `jobs.connect` gives one.
        objective: a function of the hyperparameters, a dict, and optionally the trial; or of one argument called
            `trial`, as Optuna's are; or 'module:function'.
        space: name -> dimension, see `jobs.tune.space`; none of an objective that asks the trial for them.
        callbacks: functions that are called in this process with Optuna's study, to be read, and trial, when one has
            ended; `study.stop()` ends the search, `study.enqueue_trial(params)` adds a trial.
        terminator: one of Optuna's, or any object whose `should_terminate(study)` ends the search.
        options: as of `dask-jobs tune`, with `_` for `-`: run, metric, direction, sampler, pruner, seed, ...

    Attributes:
        url: the run folder; `runs/tune-DATE-TIME` if `run` is not given.
        result: the content of result.json, after `run`.

    Raises:
        InputError: an option, the space or the objective cannot be used.
    """

    def __init__(
        self,
        client: Client,
        objective: Any,
        space: Mapping[str, Dimension] | None = None,
        *,
        callbacks: Sequence[Callback] = (),
        terminator: Any = None,
        **options: Any,
    ) -> None:
        self._client, self._objective = client, objective
        self._callbacks: list[Callback] = [
            *callbacks,
            *([] if terminator is None else [partial(_terminate, terminator)]),
        ]
        self.url = options.pop("run", None) or f"runs/tune-{time.strftime('%Y%m%d-%H%M%S')}"
        place = {
            "objective": objective_code(objective).name,
            "space": None if space is None else spaces.plain(spaces.check(space)),
            "run": str(self.url),
        }
        for name in options:
            if name not in Options.model_fields or name in (*place, *OURS):
                raise InputError(f"Study: there is no option {name!r}; see Study's documentation")
        self._options = validated(Options, {**place, **options})
        plan(self._options, objective)
        self.result: dict[str, Any] = {}

    def run(self, trials: int | None = None, **limits: Any) -> dict[str, Any]:
        """Run until the study has so many trials, or another rule ends it; returns the content of result.json.

        Limits hold for this call; those that are not given are those of Study.

        Args:
            trials: of the study, all runs of it together.
            limits: max_seconds, target, patience, deadline, as options; and retry="failed", which runs the trials that
                have failed again.

        Raises:
            JobError: it failed or was stopped; the same call resumes it.
        """
        changes = {**limits, **({} if trials is None else {"trials": trials})}
        for name in changes:
            if name not in ("trials", "max_seconds", "target", "patience", "deadline", "retry"):
                raise InputError(f"Study.run: there is no limit {name!r}; give it to Study")
        options = validated(Options, {**self._options.model_dump(), **changes})
        self.result = run(options, self._client, self._objective, self._callbacks)
        return self.result

    def enqueue(self, params: Mapping[str, Any]) -> None:
        """Let known hyperparameters run first, in the next `run`: all of a trial's, or some of them.

        Those that the study has had already, by an earlier call with the same ones, do not run again.

        Raises:
            InputError: a name or a value is not in the space.
        """
        known = self._options.enqueue
        known = known if isinstance(known, list) else enqueued(known, {})
        options = validated(Options, {**self._options.model_dump(), "enqueue": [*known, dict(params)]})
        plan(options, self._objective)
        self._options = options

    @property
    def best(self) -> dict[str, Any] | None:
        """The best trial in the run folder as {number, value, params}; None if there is none, or several objectives.

        It is complete, keeps the constraints, and is the first of equal ones.
        """
        study = find_study(open_storage(self.url))
        if study is None or len(study.directions) > 1:
            return None
        trials = [trial for trial in study.get_trials(False, (TrialState.COMPLETE,)) if feasible(trial)]
        if not trials:
            return None
        best = min(trials, key=partial(rank, maximize=study.direction == StudyDirection.MAXIMIZE))
        names = study.user_attrs[IDENTITY]["space"] or best.params
        return {"number": best.number, "value": best.values[0], "params": {name: best.params[name] for name in names}}

    def rows(self) -> list[dict[str, Any]]:
        """Return the table of trials, a dict each: number, state, value, params_NAME, steps, seconds, ..."""
        return rows(load_study(open_storage(self.url)))

    def frame(self) -> Any:
        """Return the table of trials as a pandas DataFrame.

        Raises:
            InputError: pandas is not installed; `rows` gives the same.
        """
        try:
            pandas = importlib.import_module("pandas")
        except ImportError as error:
            raise InputError("Study.frame needs pandas: pip install pandas; Study.rows gives the same") from error
        return pandas.DataFrame(self.rows())
