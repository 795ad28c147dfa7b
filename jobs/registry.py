"""The jobs that are installed: each is an entry point of the group `dask_jobs`, of this or any other package.

    [project.entry-points.dask_jobs]
    minimize = "jobs.minimize.entry:JOB"

An entry point that cannot be loaded is an error of its own job alone, as is one with the name of a command; a package
whose entry points cannot be read is a warning.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from importlib.metadata import Distribution, EntryPoint, distribution, distributions

from jobs.errors import InputError, nearest
from jobs.formatting import error_line
from jobs.job import COMMANDS, Job, loaded

GROUP = "dask_jobs"
FILE = "entry_points.txt"
"""A package's file of entry points."""
UNNAMED = "an unknown package"


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
    for entry in sorted(_installed(), key=lambda entry: entry.name):
        found.setdefault(entry.name, []).append(entry)
    return found


def _installed() -> Iterator[EntryPoint]:
    """Yield the entry points of the group, as `importlib.metadata.entry_points` does, which one bad package breaks."""
    seen = set()
    for package in distributions():
        try:
            text = package.read_text(FILE) or ""
            entries = package.entry_points.select(group=GROUP) if GROUP in text else ()
        except Exception as error:  # noqa: BLE001  undecodable, or lines that are none
            import logging

            # By the log, which a release's pods write as JSON; on a command line it is a line on standard error.
            logging.getLogger(__name__).warning(
                "dask-jobs: warning: package %s: its %s cannot be read (%s), so its jobs are left out; install it anew",
                _name(package),
                FILE,
                error_line(error),
            )
            continue
        if entries and (key := (_name(package), text)) not in seen and _is_first(*key):
            seen.add(key)
            yield from entries


def _is_first(name: str, text: str) -> bool:
    """Return whether a package's entry points are those of the first one of its name on Python's path."""
    try:
        return distribution(name).read_text(FILE) == text
    except Exception:  # noqa: BLE001  it has no name, and is not found by it
        return True


def _name(package: Distribution | None) -> str:
    try:
        return (package and package.name) or UNNAMED
    except Exception:  # noqa: BLE001  its METADATA are missing or undecodable
        return UNNAMED


@functools.cache
def _load(name: str) -> Job:
    entry, *others = _entries()[name]
    package = _name(entry.dist)
    if others:
        packages = ", ".join([package, *(_name(one.dist) for one in others)])
        raise InputError(f"job {name!r} is in several packages ({packages}): uninstall all but one")
    where = f"job {name!r} cannot be loaded from {entry.value} of {package}"
    if name in COMMANDS or name.startswith("-"):
        raise InputError(f"{where}: dask-jobs has a command or an option of this name; the job needs another one")
    job = loaded(where, entry.load)
    if not isinstance(job, Job):
        raise InputError(f"{where}: it is of type {type(job).__name__}, but must be a jobs.job.Job")
    if job.name != name:
        raise InputError(f"{where}: its name is {job.name!r}, but must be that of its entry point")
    return dataclasses.replace(job, package=package)
