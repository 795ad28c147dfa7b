"""One execution of a trial, wherever it runs, and the call of the user's function; independent of Dask."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jobs.errors import ClusterError, InputError
from jobs.formatting import error_first_line
from jobs.storage import open_storage
from jobs.tune.trials.checkpoint import Checkpoint
from jobs.tune.trials.define_by_run import DefineByRunTrial, is_pruned
from jobs.tune.trials.messages import ExecutionEnd
from jobs.tune.trials.objective import Function, defines_by_run, finite, left_out, scores, wants_trial
from jobs.tune.trials.trial import Link, Signal, Stop, Trial
from jobs.usercode import UserCode, no_forked_child

RESUMABLE = ("complete", "fault", "abandoned")
"""Ends after which a trial's checkpoint is kept in the run folder: another execution, or the user, resumes from it."""
SHOWN = 300
"""Characters of an exception's text that are shown."""
DETAILS = 20_000
"""Characters of a traceback that are kept: its end is the most informative."""


@dataclass(frozen=True)
class Settings:
    """The settings of all trials of a study, sent to workers; `code` is what `trials.code.checked` takes."""

    source: UserCode
    code: Mapping[str, str]
    run: str
    seed: int
    threads: int
    fixed: dict[str, Any]
    metrics: tuple[str, ...]
    constraints: tuple[str, ...]
    isolate: bool
    prunes: bool


@dataclass(frozen=True)
class Task:
    """One execution of a trial.

    Attributes:
        settings: the study's.
        number: the trial's.
        execution_id: unique in the study.
        params: the trial's hyperparameters.
        worker: address of the worker.
        scratch: a folder there.
    """

    settings: Settings
    number: int
    execution_id: str
    params: dict[str, Any]
    worker: str
    scratch: str

    def trial(self, link: Link, signal: Signal, function: Function) -> Trial:
        """Return the trial as the user's function gets it."""
        settings, by_run = self.settings, defines_by_run(function)
        return (DefineByRunTrial if by_run else Trial)(
            self.number,
            dict(settings.fixed) if by_run else {**settings.fixed, **self.params},
            seed=trial_seed(settings.seed, self.number),
            workers=(self.worker,),
            threads=settings.threads,
            link=link,
            signal=signal,
            prunes=settings.prunes,
            checkpoint=lambda: Checkpoint(
                open_storage(settings.run), self.number, self.execution_id, str(Path(self.scratch) / "trials")
            ),
        )


def run(function: Function, task: Task, link: Link, signal: Signal) -> ExecutionEnd:
    """Call the user's function, and return how that ended."""
    trial = task.trial(link, signal, function)
    end = _call(function, trial, task.settings)
    trial.send_held()
    # A fault after the driver has stopped the trial is not retried: no execution would resume from the checkpoint.
    trial.close(keep=end["state"] in RESUMABLE and signal.reason in (None, "abandoned"))
    if "error" in end:
        end["error"] = clean(end["error"])
    if "details" in end:
        end["details"] = clean(end["details"])
    return end


def _call(function: Function, trial: Trial, settings: Settings) -> ExecutionEnd:
    try:
        with no_forked_child():
            returned = function(*_arguments(function, trial))
        if trial.ended is None:  # else the function has caught `Stop`: what it returns then does not count
            values, metrics = scores(returned, settings.metrics, settings.constraints)
            trial.save()
            if not finite([*values, *(metrics[name] for name in settings.constraints)]):
                return {"state": "diverged"}
            metrics = {clean(name): value for name, value in metrics.items() if finite([value])}
            return {
                "state": "complete",
                "values": values,
                "metrics": metrics,
                "left_out": [*map(clean, left_out(returned))],
            }
    except Stop:
        pass
    except ClusterError as error:
        return {"state": "fault", "error": str(error)}
    except InputError as error:  # an error of all trials: the shipped network's --fixed
        return {"state": "broken", "error": error.text, "details": error.details}
    except BaseException as error:  # noqa: BLE001  also sys.exit() in a trial must end that trial only
        if trial.ended is None and not is_pruned(error):
            return {"state": "failed", "error": _line(error), "details": traceback.format_exc()[-DETAILS:]}
    # The function may raise trial.Stop or Optuna's TrialPruned by itself.
    return {"state": trial.ended or ("diverged" if trial.diverged else "pruned")}


def _arguments(function: Function, trial: Trial) -> tuple[Any, ...]:
    """Return the arguments of the user's function: copies, since it may change what it gets."""
    if isinstance(trial, DefineByRunTrial):
        return (trial,)
    return (dict(trial.params), trial) if wants_trial(function) else (dict(trial.params),)


def _line(error: BaseException) -> str:
    kind = type(error).__name__
    return error_first_line(error)[: len(f"{kind}: ") + SHOWN]


def clean(text: str) -> str:
    """Return a text that can be sent and written: file names may hold bytes that are not characters."""
    return text.encode("utf-8", "backslashreplace").decode()


def trial_seed(seed: int, number: int) -> int:
    """Return the seed of trial `number` of a study with `seed`."""
    # 1, for a sequence of its own: `space` has no third number, to which 0 would be equal, and `samplers` ends with 2.
    return int(np.random.SeedSequence([seed, number, 1]).generate_state(1)[0])
