"""The tune job: options -> study -> search on a cluster -> result, resumable from its run folder."""

from __future__ import annotations

import contextlib
import hashlib
import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import dask

from jobs.arithmetic import arithmetic
from jobs.cluster.arrival import versions
from jobs.errors import InputError, JobError, UserCodeError, argument
from jobs.formatting import plural
from jobs.parts import code_roots
from jobs.runs.attempt import Attempt, attempt_on
from jobs.runs.identity import code_of, is_same
from jobs.runs.run import Run
from jobs.tune.display.live_table import LiveTable
from jobs.tune.display.monitor import Observer
from jobs.tune.network import keep_network
from jobs.tune.options import Options
from jobs.tune.plan import Plan, plan
from jobs.tune.records import journal as journals
from jobs.tune.records.identity import codes_text
from jobs.tune.records.journal import Journal, Recorded
from jobs.tune.records.recorder import StudyRecorder, check_recorded
from jobs.tune.records.result import check_result
from jobs.tune.records.retry import reopened, retried
from jobs.tune.records.table import RUN, left_out, row
from jobs.tune.search.callbacks import Callback, Callbacks
from jobs.tune.search.executor import Pool
from jobs.tune.search.loop import Search
from jobs.tune.search.placement import Slots
from jobs.tune.search.running import Watcher
from jobs.tune.search.stopping import Limits, Rules
from jobs.tune.space.pruners import make_pruner
from jobs.tune.space.samplers import make_sampler, sampler_of
from jobs.tune.trials.checkpoint import delete_checkpoint
from jobs.tune.trials.execution import Settings

if TYPE_CHECKING:
    from distributed import Client
    from optuna.trial import FrozenTrial

SHOWN = 10
"""Numbers of trials that a line has at most."""


def run(
    options: Options,
    client: Client | None = None,
    objective: Any = None,
    callbacks: Sequence[Callback] = (),
    *,
    stop: threading.Event | None = None,
) -> dict[str, Any]:
    """Run the job on its run folder until it ends, and return the content of result.json.

    A run that has already ended with these options is not repeated: its result is returned with `already` set.

    Args:
        options: all options.
        client: a cluster to use; one is started or connected to, by the options, if there is none.
        objective: a function in the place of `options.objective`, which is then its name.
        callbacks: functions that are called here with Optuna's study and trial, when one has ended.
        stop: set to end the search with the trials that are done; the same call goes on.

    Raises:
        JobError: it failed or was stopped; the run folder has the error too.
    """
    with attempt_on("tune", options) as attempt:
        checked = plan(options, objective)
        attempt.folder.options = checked.options  # with the space itself: its file may be elsewhere, or changed, later
        if client is None:
            _check_threads(options)
        attempt.reads(checked.files)
        ended = attempt.ended(lambda result: _is_its(result, checked, attempt.folder))
        if ended and options.retry:
            ended["message"] += "; no trial has failed, so none runs again"
        return ended or _attempt(checked, attempt, client, callbacks, stop=stop or threading.Event())


def _is_its(result: Mapping[str, Any], checked: Plan, folder: Run) -> bool:
    """Return whether a result is the requested study's; False if it is except for code that is accepted.

    Also False if the search was stopped before its end, or has failed trials that are to be tried again.

    Raises:
        InputError: it is another study's, or damaged.
    """
    address = folder.storage.address("result.json")
    check_result(result, address)
    accept_new_code = checked.options.accept_new_code
    before = result["identity"]
    same = is_same(f"result {address}", "study", before, checked.identity, accept_new_code=accept_new_code)
    again = result.get("stopped") or (checked.options.retry and result["trials"].get("failed"))
    return same and not again


def _check_threads(options: Options) -> None:
    here = not (options.scheduler or dask.config.get("scheduler-address", None))
    if here and options.threads_per_trial > options.threads:
        raise InputError(
            f"{argument('threads_per_trial')} is {options.threads_per_trial}, but workers on this machine have "
            f"{options.threads} ({argument('threads')}); give them more"
        )


def read(checked: Plan, folder: Run) -> Recorded:
    """Return the journal of earlier attempts.

    Raises:
        InputError: it is another study's, or has more trials than `--trials`.
    """
    recorded = journals.read(folder.storage)
    done = check_recorded(recorded, checked.identity, accept_new_code=checked.options.accept_new_code)
    if done > checked.trials:
        what, hint = f"{argument('trials')} is {checked.trials}", "ask for more"
        if checked.trials < checked.options.trials:
            what, hint = f"the grid has {checked.trials} points", f"take another {argument('sampler')}, or more points"
        raise InputError(f"{what}, but {done:,} trials are already done in {argument('run')} {folder.url}; {hint}")
    if checked.options.retry and not recorded.lines:
        raise InputError(
            f"{argument('retry')} {checked.options.retry} runs trials of an earlier search again, but "
            f"{argument('run')} {folder.url} has none; give that search's run folder, or leave the option out"
        )
    return recorded


def _reopened(recorded: Recorded, folder: Run, reporter: LiveTable) -> Recorded:
    """Return the records of a study whose failed trials are pending once more."""
    recorded, failed = reopened(recorded)
    # Before the journal has them as pending: an attempt that is killed between the two would resume from these.
    for number in failed:
        delete_checkpoint(folder.storage, number)
    numbers = ", ".join(map(str, failed[:SHOWN])) + (", ..." if failed[SHOWN:] else "")
    what = f"{plural(len(failed), 'failed trial')} again: {numbers}" if failed else "no trial has failed"
    reporter.log("retry", message=what)
    return recorded


def _attempt(
    checked: Plan, attempt: Attempt, client: Client | None, callbacks: Sequence[Callback], *, stop: threading.Event
) -> dict[str, Any]:
    """Run one attempt: check everything, claim the folder, resume from the journal, and return the result."""
    options, folder = checked.options, attempt.folder
    reporter = attempt.show(LiveTable("tune"))
    read(checked, folder)
    if checked.unseen:
        reporter.log("data", message=checked.unseen)
    if not checked.space and options.direction == ["maximize"]:
        what = f"the largest value is the best ({argument('direction')} maximize); Optuna's own default is minimize"
        reporter.log("direction", message=what)
    attempt.check_data()
    attempt.bits.add("the driver", arithmetic())
    client = client or attempt.connect("jobs.tune.job", gpus=math.ceil(options.gpus_per_trial))
    attempt.start(*code_roots(checked.source), identity=checked.identity)
    recorded = read(checked, folder)  # again, now that no other driver appends to it
    if options.retry:
        recorded = _reopened(recorded, folder, reporter)
    recorder = attempt.stack.enter_context(open_recorder(checked, folder, recorded))
    observer = Observer(folder, reporter, recorder, checked.trials, options.max_seconds)
    search = _search(checked, attempt, client, recorder, Callbacks(observer, recorder, callbacks), stop=stop)
    with attempt.saving(observer.save):
        message = search.run()
    observer.save()
    outcome = _outcome(checked, folder, recorder, message)
    outcome |= keep_network(folder.storage, outcome["best"] and outcome["best"]["number"])
    outcome |= {"stopped": True} if stop.is_set() and recorder.done < checked.trials else {}
    outcome |= {"seconds": search.seconds, "attempt": folder.attempt, "workers": search.workers}
    outcome = folder.finish(outcome | attempt.bits.as_result() | attempt.data.as_result())
    reporter.record("done", trials=recorder.done, success=outcome["success"], seconds=round(search.seconds, 3))
    return outcome


@contextlib.contextmanager
def open_recorder(checked: Plan, folder: Run, recorded: Recorded) -> Iterator[StudyRecorder]:
    """Yield the study on this attempt's journal, which is closed at the end."""
    options = checked.options
    with contextlib.closing(Journal(folder.storage, folder.attempt, recorded)) as journal:
        recorder = StudyRecorder(
            journal,
            folder.attempt,
            identity=checked.identity,
            space=checked.space,
            seed=options.seed,
            metrics=options.metric,
            constraints=options.constraints,
        )
        sampler = make_sampler(options.sampler, checked.space, options.seed, recorder.asked, options.sampler_options)
        recorder.use(sampler, make_pruner(options.prunes, options.pruner_options))
        if not checked.space:
            recorder.source.sampler_of = partial(sampler_of, options.sampler, options.seed, options.sampler_options)
        recorder.source.enqueue(checked.enqueued, {} if checked.space else options.fixed)
        yield recorder


def _search(
    checked: Plan,
    attempt: Attempt,
    client: Client,
    recorder: StudyRecorder,
    observer: Watcher,
    *,
    stop: threading.Event,
) -> Search:
    options, folder = checked.options, attempt.folder
    settings = Settings(
        source=checked.source,
        code=checked.code,
        run=folder.storage.url,
        seed=options.seed,
        threads=options.threads_per_trial,
        fixed=options.fixed,
        metrics=tuple(options.metric),
        constraints=tuple(options.constraints),
        isolate=options.isolate,
        prunes=recorder.prunes,
    )
    study = "tune-" + hashlib.blake2b(folder.storage.url.encode(), digest_size=6).hexdigest()
    gpus, timeout = options.gpus_per_trial, options.workers_timeout
    return Search(
        recorder,
        Pool(client, study, folder.attempt, settings, gpus, timeout=timeout, poll=folder.poll, bits=attempt.bits),
        Slots(options.threads_per_trial, options.gpus_per_trial),
        rules=Rules(checked.trials, options.max_seconds, options.target, options.patience, stop),
        limits=Limits(options.trial_timeout, options.failures, options.max_losses, alike=options.max_failures is None),
        watcher=observer,
        attempt=folder.attempt,
    )


def _outcome(checked: Plan, folder: Run, recorder: StudyRecorder, message: str) -> dict[str, Any]:
    """Return the result of the study.

    Raises:
        UserCodeError: all trials have failed.
    """
    if recorder.done and recorder.counts["failed"] == recorder.done:
        text = (
            f"all {recorder.done:,} trials have failed; see failures/ in {argument('run')} {checked.options.run}; "
            f"{argument('retry')} failed runs them again when that is mended"
        )
        raise UserCodeError(text, _first_traceback(folder, recorder))
    front = [_result_of(checked, recorder, trial) for trial in recorder.front()]
    best = None if recorder.best is None else _result_of(checked, recorder, recorder.best)
    found = best is not None or bool(front)
    message += _of_new_code(checked, recorder)
    return {
        "success": found,
        "message": message if found or not recorder.done else f"{message}, but none of them counts",
        "versions": {**versions(), "optuna": version("optuna")},
        "best": best,
        **({"front": front} if recorder.directions[1:] else {}),
        "trials": recorder.counts,
        "unfinished": recorder.asked - recorder.done,
        **({"retried": again} if (again := retried(recorder.study.get_trials(deepcopy=False))) else {}),
        "lost_executions": recorder.lost_executions,
        **({"left_out": names} if (names := left_out(recorder.study.get_trials(deepcopy=False))) else {}),
        "objective": checked.options.objective,
        "sampler": checked.options.sampler,
        "pruner": checked.options.prunes,
        "direction": checked.options.direction,
        "identity": checked.identity,
        "codes": recorder.codes,
    }


def _first_traceback(folder: Run, recorder: StudyRecorder) -> str:
    """Return the traceback of the first failed trial, in case the run folder is lost."""
    number = next(row["number"] for row in recorder.rows() if row["state"] == "failed")
    with contextlib.suppress(JobError, FileNotFoundError):
        return f"trial {number}: {folder.storage.read(f'failures/{number:04d}.txt').decode(errors='replace')}"
    return ""


def _of_new_code(checked: Plan, recorder: StudyRecorder) -> str:
    """Return the remedy where new code was accepted and no trial was left for it; else nothing."""
    if not recorder.codes or code_of(checked.identity) in recorder.codes or recorder.done < checked.trials:
        return ""
    grid = checked.trials < checked.options.trials
    failed = ", --retry failed those that failed again" if recorder.counts["failed"] else ""
    return f", none of them by the new code: {'another --run' if grid else 'a larger --trials'} runs more{failed}"


def _result_of(checked: Plan, recorder: StudyRecorder, trial: FrozenTrial) -> dict[str, Any]:
    """Return a trial's fields in result.json: number, value or values, params, and code if there are several."""
    names = list(checked.space or trial.params)
    cells = row(trial, names, checked.options.metric)
    values = [float(value) for value in trial.values]
    value = (
        {"value": values[0]} if len(values) == 1 else {"values": dict(zip(checked.options.metric, values, strict=True))}
    )
    params = {name: cells[f"params_{name}"] for name in names}
    code = trial.user_attrs[RUN].get("code") if codes_text(recorder.codes, checked.identity) else None
    return {"number": trial.number, **value, "params": params, **({"code": code} if code else {})}
