"""A study's table of trials, from the driver's study or from a run folder's journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import FrozenTrial, TrialState

from jobs.errors import InputError
from jobs.runs.identity import code_of
from jobs.storage import Storage
from jobs.tune.records import journal as journals
from jobs.tune.records.outcome import RESERVED
from jobs.tune.space.dimensions import listed_choices

IDENTITY = "identity"
"""The study's user attribute with its identity, by name: objective, space, seed, ..."""
RUN = "run"
"""A trial's user attribute for which Optuna has no field: how, where and how long it ran."""
LOSSES = "losses"
"""That of how often it was lost while it ran alone on a worker."""
EARLIER = "earlier"
"""That of one that was tried again after it had failed: `RUN` of each time that it failed before."""


class _Recorded(BaseJournalBackend):
    """A journal that is only read."""

    def __init__(self, recorded: journals.Recorded) -> None:
        self._lines: list[bytes] = list(recorded.lines)

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        return journals.Recorded(tuple(self._lines[log_number_from:])).records()

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        raise NotImplementedError("this study is only read")


def load_study(storage: Storage) -> optuna.Study:
    """Return the study in a run folder in its present state, for reading only; also while a driver works on it.

    Raises:
        InputError: there is none, or its journal is damaged.
    """
    if (study := find_study(storage)) is None:
        raise InputError(f"{storage.url}: holds no study yet")
    return study


def find_study(storage: Storage) -> optuna.Study | None:
    """Return the same as `load_study`, but None if there is no study yet.

    Raises:
        InputError: its journal is damaged.
    """
    recorded = journals.read(storage)
    if not recorded.lines:
        return None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with listed_choices():
            return optuna.load_study(study_name=None, storage=JournalStorage(_Recorded(recorded)))
    # As in `StudyRecorder`: Optuna replays records unchecked.
    except (KeyError, ValueError, TypeError, AttributeError, AssertionError) as error:
        raise InputError(f"journal {recorded.address} makes no study ({type(error).__name__}: {error})") from error


def rows(study: optuna.Study) -> list[dict[str, Any]]:
    """Return the table of a study's trials, a dict each, by their numbers; see `row`.

    User attributes are columns `user_attrs_NAME`. Where a study has had more than one code, `code` is the one by which
    a trial ended; where failed trials were tried again, `failures` is how often a trial had failed before.
    """
    identity, trials = study.user_attrs[IDENTITY], study.get_trials(deepcopy=False)
    names = names_of(trials, identity)
    attributes = list(dict.fromkeys(name for trial in trials for name in trial.user_attrs if name not in RESERVED))
    metrics, mixed = identity["metric"], is_mixed(trials, identity)
    again = any(EARLIER in trial.user_attrs for trial in trials)
    return [
        row(trial, names, metrics)
        | {f"user_attrs_{name}": trial.user_attrs.get(name) for name in attributes}
        | ({"failures": len(trial.user_attrs.get(EARLIER, ()))} if again else {})
        | ({"code": _run(trial).get("code")} if mixed else {})
        for trial in trials
    ]


def names_of(trials: Sequence[FrozenTrial], identity: Mapping[str, Any]) -> list[str]:
    """Return the names of a study's hyperparameters; of those that the objective asks for, all that any trial has."""
    return list(identity["space"] or dict.fromkeys(name for trial in trials for name in trial.params))


def _run(trial: FrozenTrial) -> dict[str, Any]:
    run: dict[str, Any] = trial.user_attrs.get(RUN, {})
    return run


def codes(trials: Sequence[FrozenTrial]) -> dict[str, int]:
    """Return code -> number of trials that have ended by it, in the order of their first ends."""
    ended = sorted((run["at"], run["code"]) for trial in trials if "code" in (run := _run(trial)))
    return dict(Counter(code for _, code in ended))


def is_mixed(trials: Sequence[FrozenTrial], identity: Mapping[str, Any]) -> bool:
    """Return whether a study has had more than one code."""
    return len({*codes(trials), code_of(identity)}) > 1


def feasible(trial: FrozenTrial) -> bool:
    """Return whether a trial keeps all constraints."""
    return all(value <= 0 for value in trial.constraints.values())


def rank(trial: FrozenTrial, *, maximize: bool) -> tuple[float, int]:
    """Return the sort key of complete trials of one objective, the best first: value, then number for equal ones."""
    value = float(trial.values[0])
    return (-value if maximize else value), trial.number


def pareto_front(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials on the Pareto front, by their numbers; none for a single objective."""
    return sorted(study.best_trials, key=lambda trial: trial.number) if len(study.directions) > 1 else []


def state_of(trial: FrozenTrial) -> Any:
    """Return complete, pruned, failed or diverged; running for a trial that has not ended."""
    if not trial.state.is_finished():
        return "running"
    default = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
    return trial.user_attrs.get(RUN, {}).get("state") or default[trial.state]


def lost_executions(trials: Sequence[FrozenTrial]) -> int:
    """Return the number of executions that were retried because their worker was lost, of trials that have ended."""
    return sum(trial.user_attrs.get(RUN, {}).get("lost_executions", 0) for trial in trials)


def left_out(trials: Sequence[FrozenTrial]) -> list[str]:
    """Return what objectives have returned beside numbers, and no table has: `NAME (TYPE)`."""
    return sorted({name for trial in trials for name in _run(trial).get("left_out", ())})


def row(trial: FrozenTrial, names: Sequence[str], metrics: Sequence[str]) -> dict[str, Any]:
    """Return a trial as a row, with columns as in Optuna's table: number, state, value, params_NAME, and how it ran.

    `at` is when it ended, in seconds of the study; several objectives have a column values_NAME each.
    """
    run = trial.user_attrs.get(RUN, {})
    complete = trial.state == TrialState.COMPLETE
    columns = [f"values_{name}" for name in metrics] if len(metrics) > 1 else ["value"]
    values = list(trial.values) if complete else [None] * len(columns)
    return {
        "number": trial.number,
        "state": state_of(trial),
        **dict(zip(columns, values, strict=True)),
        **{f"params_{name}": trial.params.get(name) for name in names},
        "steps": trial.last_step,
        "last": trial.intermediate_values[trial.last_step] if trial.last_step is not None else None,
        "seconds": run.get("seconds"),
        "at": run.get("at"),
        "worker": run.get("worker"),
        "tries": run.get("tries"),
        "error": run.get("error"),
    }
