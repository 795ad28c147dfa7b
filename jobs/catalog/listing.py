"""The run folders below some folders, and how each run stands: a row each."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from jobs import registry
from jobs.catalog.numbers import numbers
from jobs.errors import InputError, print_note
from jobs.runs.folder import glance, readable
from jobs.runs.owner import dead_driver, last_owner, state_of
from jobs.storage import open_storage

if TYPE_CHECKING:
    from jobs.job import Job
    from jobs.runs.folder import RunFolder
    from jobs.storage import Storage

DAMAGED = "damaged"
LEVELS = 2
"""Folders in folders that are looked through: runs/a, runs/project/a."""
MAX_FOLDERS = 10_000
REQUESTS = 24
"""Maximum requests to S3 at a time."""
MAX_SECONDS = 1e11
"""The year 5138."""
LEADING = ("best", "val_loss", "loss")
"""The metrics of a run that goes on of which the first is shown."""


@dataclass(frozen=True)
class Row:
    """How a run stands; None for what its folder does not say."""

    run: str
    job: str
    state: str
    result: str | None = None
    """The name of the first number, or of a damaged folder what is wrong with it."""
    value: Any = None
    done: int | None = None
    total: int | None = None
    steps: str = ""
    workers: int | None = None
    updated: float | None = None
    """When its status was written last, in seconds of the epoch."""
    seconds: float | None = None


def rows(urls: Sequence[str]) -> list[Row]:
    """Return the runs at some folders and below them, the newest first; a damaged folder is a row that says so.

    Raises:
        InputError, ClusterError: a folder cannot be listed.
    """
    with ThreadPoolExecutor(REQUESTS) as pool:
        found = [row for url in urls for row in _rows(pool, url)]
    return sorted(found, key=lambda row: row.updated or 0.0, reverse=True)


def _rows(pool: ThreadPoolExecutor, url: str) -> list[Row]:
    level, found = [url], []
    for depth in range(LEVELS + 1):
        read = list(_each(pool, level, _row))
        found += [row for row in read if row]
        others = [one for one, row in zip(level, read, strict=True) if row is None]
        if depth == LEVELS or not others:
            break
        below = (folder for several in _each(pool, others, _folders) for folder in several)
        level = list(islice(below, MAX_FOLDERS + 1))
        if len(level) > MAX_FOLDERS:
            level.pop()
            print_note(
                f"{url} has more than {MAX_FOLDERS:,} folders: the first of them are listed; name a folder below it"
            )
    return found


def _each(pool: ThreadPoolExecutor, urls: Sequence[str], function: Any) -> Iterator[Any]:
    """Yield what a function returns of each folder: of S3 several at a time, each of which is a wait."""
    return iter(pool.map(function, urls) if urls and urls[0].startswith("s3://") else map(function, urls))


def _folders(url: str) -> list[str]:
    names = open_storage(url).folders()
    return [f"{url.rstrip('/')}/{name}" for name in names if not name.startswith(".")]


def _row(url: str) -> Row | None:
    """Return how the run at a folder stands; None if it is no run folder."""
    storage = open_storage(url)
    try:
        run = glance(storage)
        if run is None:
            return None
        with readable(url, "result.json", "status.json"):
            return _read_row(url, storage, run)
    except InputError as error:
        return Row(url, "", DAMAGED, str(error))


def _read_row(url: str, storage: Storage, run: RunFolder) -> Row:
    job, dead = registry.known(run.job), None
    progress, updated = run.status.get("progress"), run.status.get("updated")
    seconds = run.result.get("seconds")
    if not run.result:
        dead = dead_driver(storage) if run.state == "running" else None
        seconds = _seconds(storage, time.time() if run.state == "running" and not dead else updated)
    name, value = _score(job, run)
    return Row(
        run=url,
        job=run.job,
        state=state_of(run, dead),
        result=name,
        value=value,
        done=int(progress["done"]) if progress else None,
        total=int(progress["total"]) if progress else None,
        steps=job.steps if job else "",
        workers=run.result.get("workers"),
        updated=_checked(updated),
        seconds=_checked(seconds),
    )


def _checked(seconds: Any) -> float | None:
    """Return seconds as a number that a clock can show; raises ValueError, as of a damaged file, for any other."""
    if seconds is None:
        return None
    if not 0 <= (checked := float(seconds)) < MAX_SECONDS:
        raise ValueError(f"{checked} is no number of seconds")
    return checked


def _seconds(storage: Storage, until: Any) -> float | None:
    """Return for how long the last attempt has run; None if that is not known."""
    owner = last_owner(storage) if until is not None else None
    return None if owner is None else max(0.0, float(until) - float(owner.started))


def _score(job: Job | None, run: RunFolder) -> tuple[str | None, Any]:
    """Return the name and value of the number that says most; that of a search with its direction."""
    found = numbers(job.results, run.result) if job and run.result else {}
    if not found:
        metrics = dict(run.status.get("metrics") or {})
        found = {name: metrics[name] for name in LEADING if name in metrics}
    return next(iter(found.items()), (None, None))
