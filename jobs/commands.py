"""The commands of jobs and of run folders, as the command line and a release's driver run them."""

from __future__ import annotations

import dataclasses
import functools
import re
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jobs import registry
from jobs.code_files import add_current_folder
from jobs.errors import AccessError, InputError, UserCodeError, argument, print_note
from jobs.formatting import printable

if TYPE_CHECKING:
    from jobs.job import Job
    from jobs.options import JobOptions
    from jobs.runs.folder import RunFolder
    from jobs.storage import Storage

RELEASE_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
STREAMS_SECONDS = 0.1
"""Delay that keeps the order of lines on a container's two streams, which its runtime reads separately."""


def run_job(name: str, arguments: Sequence[str], *, log_result: bool = False) -> int:
    """Run a job to its end, print its result, and return 0.

    Args:
        name: the job's name.
        arguments: the command's.
        log_result: log the result as one line too, since a release's run folder may be gone later.

    Raises:
        JobError: it failed, or was stopped.
    """
    from jobs import cpu
    from jobs.options import parse

    began = time.monotonic()
    add_current_folder()
    job = registry.find(name)
    options = parse(job.load_options(), f"dask-jobs {name}", arguments)
    cpu.use(options.cpu)  # before the job is loaded, and with it NumPy
    if options.run is None:
        options = options.model_copy(update={"run": f"runs/{name}-{time.strftime('%Y%m%d-%H%M%S')}"})
    _run(job, options, (name, *arguments), began, log_result=log_result)
    return 0


def rerun(url: str, arguments: Sequence[str]) -> int:
    """Run the job of the run at `url` again in a new folder, print its result and whether it has the same bits.

    Args:
        url: the run folder.
        arguments: options in the place of the run's, `--run` and `--code` among them.

    Raises:
        JobError: it is not a run folder, an option is wrong, or the job failed or was stopped.
    """
    from jobs import cpu
    from jobs.catalog.rerun import code_on_path, plan_rerun
    from jobs.runs.folder import read_run
    from jobs.storage import open_storage

    began = time.monotonic()
    add_current_folder()
    storage = open_storage(url)
    run = read_run(storage)
    if run.job not in registry.names():
        raise InputError(f"{url} is no run of {' or '.join(registry.names())}: it says {run.job!r}")
    job = registry.find(run.job)
    again = plan_rerun(job, run, url, arguments)
    cpu.use(again.options.cpu)
    with code_on_path(again, run, storage):
        print_note(f"run folder {again.options.run}; --run {again.options.run} would resume it")
        _run(job, again.options, ("rerun", url, *arguments), began)
    from jobs.catalog.verdict import verdict

    sys.stdout.write(verdict(job, url, str(again.options.run)) + "\n")
    return 0


def _run(job: Job, options: JobOptions, command: Sequence[str], began: float, *, log_result: bool = False) -> None:
    """Run a job to its end, and print its result; `began` is when the command did, by `time.monotonic`.

    Raises:
        JobError: it failed, or was stopped.
    """
    from jobs.runs.display.show import COMMAND_SECONDS, show_result
    from jobs.runs.provenance.record import typed
    from jobs.runs.run import NOT_OBSERVED

    name = job.name
    try:
        with typed("dask-jobs", *command):
            result = job.load_run()(options)
        if log_result:
            from jobs.runs.display.log import log
            from jobs.runs.run import as_yaml

            log(name, "result", run=str(options.run), options=as_yaml(name, options), result=result)
            # The line is on standard error, the summary on standard output: a flush does not order two pipes.
            time.sleep(STREAMS_SECONDS)
        show = job.load_show()
        show = functools.partial(show_result, show) if result.get("already") else show
        # Not in a pod: `wait` compares this text with the one that it makes of the result's line.
        whole = {} if log_result else {COMMAND_SECONDS: time.monotonic() - began}
        show(result | whole, str(options.run))
        if wrong := result.get(NOT_OBSERVED):
            sys.stderr.write(f"dask-jobs: warning: {printable(wrong)}\n")
    except SystemExit as end:
        raise UserCodeError(f"the user's code ended this process by sys.exit({end.code!r})") from end


def show(url: str) -> int:
    """Print the state of the run at `url`; return 0 if it is done, else its exit code, or 4 while it has none.

    Raises:
        InputError: it is not a run folder, or its job is not installed here.
    """
    from jobs.runs.display.show import show_provenance, show_result, show_status
    from jobs.runs.folder import NoRunFolder, read_run
    from jobs.runs.owner import dead_driver
    from jobs.storage import open_storage

    storage = open_storage(url)
    dead = dead_driver(storage)  # first: what it has written by then, it may have ended well
    try:
        folder = read_run(storage)
    except NoRunFolder as error:
        other = f"dask-jobs list {url} lists the runs below it"
        if RELEASE_NAME.fullmatch(url) and not storage.folders():
            other = f"dask-jobs status {url} shows a release"
        raise InputError(f"{error.text}; {other}") from error
    if folder.job not in registry.names():
        raise InputError(f"{url} is no run of {' or '.join(registry.names())}: it says {folder.job!r}")
    if folder.state != "done":
        code = show_status(folder, url, dead)
    else:
        show_result(registry.find(folder.job).load_show(), folder.result, url)
        code = 0
    show_provenance(storage)
    return code


def list_runs(folders: Sequence[str], output: str, *, state: str | None = None, job: str | None = None) -> None:
    """Print the runs in some folders and below them.

    Args:
        folders: paths or URLs.
        output: table, json or csv.
        state: only runs of this state.
        job: only runs of this job.

    Raises:
        InputError: a folder cannot be listed, or holds no run.
        ClusterError: the storage failed.
    """
    from jobs.catalog import output as tables
    from jobs.catalog.listing import rows
    from jobs.catalog.show_list import for_people, for_programs

    found = rows(folders)
    if not found:
        where = ", ".join(folders)
        raise InputError(
            f"there is no run folder in {where}: name the folder that has them; releases: dask-jobs status"
        )
    kept = [row for row in found if state in (None, row.state) and job in (None, row.job)]
    sys.stdout.write(for_people(kept) if output == "table" else tables.for_programs(output, for_programs(kept)))


def compare(urls: Sequence[str], output: str) -> None:
    """Print a comparison of runs.

    Args:
        urls: run folders.
        output: table, json, csv or html.

    Raises:
        InputError: one is not a run folder, or a file of it cannot be read; or there is only one.
        ClusterError: the storage failed.
    """
    from jobs.catalog import output as tables
    from jobs.catalog.compare import for_people, for_programs, read_runs

    if len(urls) < 2:
        raise InputError(f"{urls[0]} is one run: give at least two, or dask-jobs show {urls[0]}")
    runs = read_runs(urls)
    if output == "html":
        from jobs.catalog.page import comparison_page

        sys.stdout.write(comparison_page(runs))
    elif output == "table":
        sys.stdout.write(for_people(runs))
    else:
        sys.stdout.write(tables.for_programs(output, for_programs(runs)))


def write_report(storage: Storage) -> str:
    """Write report.html into the run folder at `storage`, from a snapshot of the folder.

    Returns:
        The report's path or URL.

    Raises:
        InputError: it is not a run folder, a file of it cannot be read, or its job is not installed here.
        ClusterError: the storage failed.
    """
    from jobs import report
    from jobs.runs.folder import read_run

    run = read_run(storage)
    if run.job not in registry.names():
        known = ", ".join(registry.names())
        raise InputError(f"{storage.url}: its job is {run.job!r}, but a report can be made for {known}")
    return report.write_report(run, storage, registry.find(run.job).load_report())[0]


def check(arguments: Sequence[str]) -> None:
    """Try what a command line names, by the job that is named first, or else the first that can.

    Raises:
        InputError: no job can, an option is wrong, or something breaks its contract.
        UserCodeError: the user's code raised.
    """
    can = {job.name: job for job in registry.jobs() if job.check}
    name = arguments[0] if arguments and not arguments[0].startswith("-") else min(can)
    if name not in can:
        raise InputError(f"job {name!r} has nothing to check before a run; {', '.join(can)} has")
    add_current_folder()
    can[name].load_check()(arguments[arguments[:1] == [name] :])


def predict(url: str, files: Sequence[str] = (), *, data: str | None = None, output: str | None = None) -> None:
    """Print or write what the model of the run at `url` predicts, for the rows of a data set or for files.

    Args:
        url: the run folder.
        files: images, for a job that takes them.
        data: a data set, as of `open_dataset`.
        output: the CSV file; standard output if None.

    Raises:
        InputError: it is not a run folder, has no model, or data or a file cannot be used.
        UserCodeError: the user's code raised.
        ClusterError: the storage failed.
    """
    from jobs.runs.folder import read_run
    from jobs.storage import open_storage

    if data is None and output is not None:
        raise InputError(f"{argument('output')} {output} is for the rows of {argument('data')}, which is missing")
    if data is not None and files:
        raise InputError(f"{argument('data')} {data} and the file {files[0]}: give one of them")
    storage = open_storage(url)
    run = read_run(storage)
    job = registry.find(run.job) if run.job in registry.names() else None
    if job is None or not job.predict:
        can = ", ".join(job.name for job in registry.jobs() if job.predict)
        raise InputError(f"{url}: its job is {run.job!r}, which predicts nothing; runs of {can} do")
    if data is None:
        if not files:
            images = ", or images: FILE..." if job.predict_files else ""
            raise InputError(f"{url}: there is nothing to predict: give {argument('data')} DATA{images}")
        if not job.predict_files:
            raise InputError(f"{url}: runs of {job.name!r} take no files: give {argument('data')}")
        job.load_predict_files()(run, storage, files)
        return
    if not run.result:
        why = f": {error}" if (error := run.status.get("error")) else ""
        raise InputError(f"{url} has no model yet, since its run has not ended; it is {run.state}{why}")
    _predict_rows(job, run, storage, data, output)


def _predict_rows(job: Job, run: RunFolder, storage: Storage, data: str, output: str | None) -> None:
    from jobs.datasets.prediction import check_output, open_rows, write_predictions
    from jobs.datasets.tables.kept import kept_columns
    from jobs.runs.folder import OWN_FILES

    add_current_folder()
    try:
        columns = kept_columns(storage)
        rows = open_rows(data, columns)
    except InputError as error:
        if not job.predict_files or isinstance(error, AccessError):
            raise
        raise InputError(
            f"{error.text}; or give images: dask-jobs predict {run.url} FILE..., which takes any size"
        ) from error
    if output is not None:
        saved = given if isinstance(given := run.result.get("saved"), list) else []
        own = (storage.address(str(name)) for name in (*OWN_FILES, *job.files, *saved))
        check_output(output, [*rows.files(), *own])
    predictor = job.load_predict()(run, storage)
    if columns is not None and columns.class_names and not predictor.names:
        predictor = dataclasses.replace(predictor, names=columns.class_names)
    write_predictions(predictor, rows, output)
