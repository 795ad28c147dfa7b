"""The network of a search's best trial: kept in the run folder at the end, and what predicts rows by it."""

from __future__ import annotations

from typing import Any

from jobs.datasets.prediction import Predictor
from jobs.errors import InputError
from jobs.keras.model_file import MODEL
from jobs.keras.model_file import predictor as of_file
from jobs.runs.checkpoint import StoredState
from jobs.runs.folder import RunFolder, readable
from jobs.runs.identity import warn_of_new_code
from jobs.runs.named_code import check_named, is_by_value
from jobs.sources import sources
from jobs.storage import Storage
from jobs.tune.options import Options
from jobs.tune.trials.checkpoint import TRIAL, state_name
from jobs.tune.trials.objective import objective_code

SHIPPED = Options.model_fields["objective"].default


def keep_network(run: Storage, best: int | None) -> dict[str, Any]:
    """Copy model.keras of the best trial's checkpoint, if it has one, into the run folder; return fields of the result.

    Args:
        run: the run folder.
        best: the trial's number; None if there is none.

    Raises:
        ClusterError: the run folder cannot be read or written.
    """
    error = ""
    try:
        if best is not None:
            stored = StoredState(run, state_name(best), "driver", TRIAL)
            if MODEL in stored.places:
                stored.copy(MODEL, MODEL)
                return {"network": best}
    except InputError as failed:  # the result must not be lost because of it
        error = str(failed)
    run.delete(MODEL)  # an earlier attempt's, of a trial that is not the best any more
    return {"network_error": error} if error else {}


def predictor(run: RunFolder, storage: Storage) -> Predictor:
    """Return what predicts rows by the best trial's network.

    Raises:
        InputError: the search has none, or it cannot be read.
    """
    with readable(run.url, "result.json"):
        number = run.result.get("network")
        error = str(run.result.get("network_error", ""))
        several = len(run.result["direction"]) > 1
    if number is None:
        raise InputError(f"{run.url} has no {MODEL}: {error or _why(several=several)}")
    code = None
    named = str(run.options.get("objective") or SHIPPED)
    if named != SHIPPED and not is_by_value(named):
        check_named(run, named)
        code = objective_code(named)  # its module may register layers
        warn_of_new_code(run, lambda: sources(*code.roots()))
    return of_file(storage, code)


def _why(*, several: bool) -> str:
    if several:
        return "a search of several metrics has a front of trials, and no best one; train one of them again by itself"
    return (
        "the best trial has left no network in its checkpoint; let the objective end with "
        f"model.save(trial.checkpoint / '{MODEL}'), and search in another run folder"
    )
