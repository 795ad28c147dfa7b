"""`Study`: the tune job from Python, on an existing client."""

from __future__ import annotations

import importlib
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from optuna.study import StudyDirection
from optuna.trial import TrialState

from jobs.errors import InputError
from jobs.formatting import plural, short
from jobs.options import validated
from jobs.storage import open_storage
from jobs.tune import space as spaces
from jobs.tune import summary
from jobs.tune.entry import JOB
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
    from optuna.trial import FrozenTrial

    from jobs.report.notebook import Report


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
        self._stop = threading.Event()

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
        self._stop.clear()
        self.result = run(options, self._client, self._objective, self._callbacks, stop=self._stop)
        return self.result

    def stop(self) -> None:
        """End the search that runs, from another thread; its trials are given up, and the next `run` goes on."""
        self._stop.set()

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

    @property
    def best_params(self) -> dict[str, Any]:
        """The hyperparameters of the best trial, see `best`.

        Raises:
            InputError: there is none.
        """
        return dict(self._found()["params"])

    @property
    def best_value(self) -> float:
        """The score of the best trial, see `best`.

        Raises:
            InputError: there is none.
        """
        return float(self._found()["value"])

    def _found(self) -> dict[str, Any]:
        if (best := self.best) is None:
            several = len(self._options.direction) > 1
            why = "it has several metrics; see front in `result`" if several else "no trial is complete"
            raise InputError(f"this study has no best trial: {why}")
        return best

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials in the run folder as Optuna has them; `rows` has the same as dicts, with seconds and workers."""
        study = find_study(open_storage(self.url))
        return [] if study is None else study.get_trials()

    def report(self) -> Report:
        """Write report.html into the run folder, and return its path or URL; a notebook shows the report.

        Raises:
            InputError: nothing has run yet, or a file of the folder cannot be read.
        """
        from jobs.report.notebook import Report

        return Report.write(str(self.url), JOB.load_report())

    def __repr__(self) -> str:
        """Return the objective, the run folder, and how many trials it has."""
        return f"<Study of {self._options.objective} in {self.url}: {plural(len(self.trials), 'trial')}>"

    def _repr_html_(self) -> str:
        from jobs.report.notebook import table

        folder = ("run folder", str(self.url))
        if self.result:
            return table(*summary.head(self.result), [*summary.lines(self.result), folder])
        states = Counter(trial.state.name.lower() for trial in self.trials)
        counts = ", ".join(f"{count:,} {state}" for state, count in states.items()) or "none"
        best = [(f"  {name}", short(value, 6)) for name, value in self.best["params"].items()] if self.best else []
        value = [("best", short(self.best["value"], 10)), *best] if self.best else []
        return table("study", self._options.objective, [*value, ("trials", counts), folder])

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
