"""The content of a tune job's report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobs.formatting import number, plural
from jobs.report.content import Content, Share
from jobs.report.html import duration
from jobs.report.page import Section
from jobs.tune.records.identity import codes_text
from jobs.tune.records.result import check_result
from jobs.tune.records.table import IDENTITY, lost_executions
from jobs.tune.report.curves import curves
from jobs.tune.report.data import Search, read_search
from jobs.tune.report.history import history
from jobs.tune.report.parallel import parallel
from jobs.tune.report.pareto_front import pareto_front
from jobs.tune.report.plots import COLOURS
from jobs.tune.report.result import best_is, best_trial, found, non_dominated, sections
from jobs.tune.report.space import importance, importances, slices
from jobs.tune.report.table import trials
from jobs.tune.report.workers import workers

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from jobs.runs.folder import RunFolder
    from jobs.storage import Storage

VERBS = {"failed": "failed", "stopped": "was stopped", "running": "is running"}
MEANINGS = {
    "complete": "returned a value",
    "pruned": "stopped early, for what they reported",
    "failed": "the function raised, took too long, or its worker was lost too often",
    "diverged": "reported or returned NaN or infinity",
    "running": "not ended yet",
}


def content(run: RunFolder, storage: Storage) -> Content:
    """Return the content of a tune job's report, from its journal in its present state.

    Raises:
        InputError: the journal or the result is damaged.
    """
    search = read_search(storage)
    title = f"{run.job} · {run.options.get('objective')} · {_how(run)}"
    if run.result:
        check_result(run.result, storage.address("result.json"))
    if run.result and (search is None or not search.trials):
        rest = f"The table of trials is not in this folder.{_by_code(run.result['codes'], run.result['identity'])}"
        return Content(title, f"{_ended(run.result)}. {found(run.result)} {rest}", sections(run.result), __package__)
    if search is None or not search.trials:
        return Content(title, f"The search {_verb(run)}; no trial has begun.", [])
    return Content(title, _summary(run, search), _sections(search), __package__)


def _how(run: RunFolder) -> str:
    pruner = run.options.get("pruner") or ("none" if len(run.options.get("metric", ())) > 1 else "asha")
    return f"{run.options.get('sampler')}, {pruner}"


def _verb(run: RunFolder) -> str:
    return f"{VERBS.get(run.state, 'has not begun')} in attempt {run.status.get('attempt', 1)}"


def _summary(run: RunFolder, search: Search) -> str:
    """Return one sentence on how the search ended, or its progress, and another on what it found."""
    if run.result:
        sentence = _ended(run.result)
    else:
        ended = len(search.trials) - search.counts["running"]
        sentence = f"The search {_verb(run)} after {plural(ended, 'trial')}"
    return f"{sentence}. {_found(search)}{_by_code(search.codes, search.study.user_attrs[IDENTITY])}"


def _by_code(codes: dict[str, int], identity: dict[str, Any]) -> str:
    text = codes_text(codes, identity)
    return f" Trials ended by different codes: {text}." if text else ""


def _ended(result: dict[str, Any]) -> str:
    work = f"{duration(result['seconds'])} on {plural(result['workers'], 'worker')}"
    message = str(result["message"])
    return f"{message[:1].upper()}{message[1:]}: {work}, in {plural(result['attempt'], 'attempt')}"


def _found(search: Search) -> str:
    if len(search.metrics) > 1:
        return non_dominated(len(search.pareto_front), search.metrics)
    if (best := search.best) is not None:
        return best_is(search.extreme(0), search.metrics[0], best.values[0], best.number)
    if (best := search.best_reported) is not None:
        last = f"{number(best.intermediate_values[best.last_step or 0])} at step {best.last_step}"
        what = f"the best ({search.extreme(0)}) last report"
        return f"No trial counts as best yet; {what} is {last}, of trial {best.number}."
    return "No trial has come to a value."


def _sections(search: Search) -> list[Section]:
    """Return the sections of a search with at least one trial, without those that would be empty."""
    shares = importances(search)
    several = len(search.metrics) > 1
    parts = [
        _best(search),
        _counts(search),
        pareto_front(search) if several else history(search),
        None if several else curves(search),
        importance(search, shares),
        slices(search, shares),
        parallel(search),
        workers(search),
        trials(search),
    ]
    return [section for section in parts if section is not None]


def _best(search: Search) -> Section | None:
    """Return the best trial, its hyperparameters ready to be copied."""
    trial = search.best or search.best_reported
    if trial is None:
        return None
    values = {name: trial.params[name] for name in search.space if name in trial.params}
    complete = trial is search.best
    which = f"{search.extreme(0)} {search.metrics[0]}"
    title = f"Best trial ({which}): {trial.number}" if complete else f"Best trial so far, not complete: {trial.number}"
    return best_trial(title, values, _facts(search, trial))


def _facts(search: Search, trial: FrozenTrial) -> list[tuple[str, Any]]:
    """Return a trial's fields beside its hyperparameters, as rows of a table."""
    row = search.rows[trial.number]
    facts: dict[str, Any] = {search.metrics[0]: row["last"] if row["value"] is None else row["value"]}
    facts |= {
        name: value for name, value in trial.user_attrs.get("run", {}).get("metrics", {}).items() if name not in facts
    }
    facts |= {name: row.get(name) for name in ("steps", "seconds", "worker", "failures", "code")}
    return [(name, value) for name, value in facts.items() if value is not None]


def _counts(search: Search) -> Section:
    """Return the counts of outcomes, as a bar and a table."""
    total = len(search.trials)
    parts = [
        Share(state, COLOURS[state], f"{count:,}", count / total, MEANINGS[state])
        for state, count in search.counts.items()
        if count
    ]
    lost = lost_executions(search.trials)
    note = f"Retried because a worker was lost: {plural(lost, 'execution')}." if lost else ""
    data = {"text": "", "note": note, "head": ("State", "Trials", "Share", ""), "parts": parts}
    return Section("How the trials ended", "report/shares.html", data)
