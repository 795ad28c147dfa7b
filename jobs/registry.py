"""The jobs that are installed: each is an entry point of the group `dask_jobs`, of this or any other package.

    [project.entry-points.dask_jobs]
    minimize = "jobs.minimize.entry:JOB"

An entry point that cannot be loaded is an error of its own job alone.
"""

from __future__ import annotations

import functools
from importlib.metadata import EntryPoint, entry_points

from jobs.errors import InputError, nearest
from jobs.formatting import error_line
from jobs.job import Job

GROUP = "dask_jobs"


def names() -> list[str]:
    """Return the names of all jobs, sorted; none is loaded."""
    return list(_entries())


def find(name: str) -> Job:
    """Return a job by its name.

    Raises:
        InputError: there is none, or its package cannot be loaded.
    """
    if name not in _entries():
        raise InputError(f"{name!r} is no job{nearest(name, names())} (jobs: {', '.join(names())})")
    return _load(name)


def known(name: object) -> Job | None:
    """Return the job with a name from a run, a release or a log; None if it cannot be loaded here."""
    try:
        return find(name) if isinstance(name, str) else None
    except InputError:
        return None


def jobs() -> list[Job]:
    """Return all jobs that can be loaded."""
    return [job for name in names() if (job := known(name))]


def summaries() -> dict[str, str]:
    """Return name -> summary of all jobs; the error's text for one that cannot be loaded."""
    found = {}
    for name in names():
        try:
            found[name] = find(name).summary
        except InputError as error:
            found[name] = str(error)
    return found


@functools.cache
def _entries() -> dict[str, list[EntryPoint]]:
    found: dict[str, list[EntryPoint]] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        found.setdefault(entry.name, []).append(entry)
    return found


@functools.cache
def _load(name: str) -> Job:
    entry, *others = _entries()[name]
    if others:
        packages = ", ".join(_package(one) for one in (entry, *others))
        raise InputError(f"job {name!r} is in several packages ({packages}): uninstall all but one")
    where = f"job {name!r} cannot be loaded from {entry.value} of {_package(entry)}"
    try:
        job = entry.load()
    except (Exception, SystemExit) as error:
        raise InputError(f"{where}: {error_line(error)}") from error
    if not isinstance(job, Job):
        raise InputError(f"{where}: it is of type {type(job).__name__}, but must be a jobs.job.Job")
    if job.name != name:
        raise InputError(f"{where}: its name is {job.name!r}, but must be that of its entry point")
    return job


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else "an unknown package"
