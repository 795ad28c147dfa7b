"""Runs side by side: the options in which they differ, their results, and what they were made of."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from jobs import registry
from jobs.catalog.numbers import numbers
from jobs.catalog.origin import differing_options, origin
from jobs.catalog.output import in_columns, iso, local
from jobs.errors import DAMAGED, InputError
from jobs.formatting import duration, printable, short
from jobs.runs.folder import read_run, readable
from jobs.runs.owner import dead_driver, state_of
from jobs.runs.provenance.reading import Provenance, read_provenance
from jobs.storage import open_storage

if TYPE_CHECKING:
    from jobs.job import Job
    from jobs.runs.folder import RunFolder
    from jobs.storage import Storage

DIGITS, MAX_VALUE = 10, 200
MAX_PACKAGES = 40
"""Maximum packages of which the versions are shown, where they differ."""
ABSENT = "-"
Table = dict[str, list[Any]]
"""Name -> the value of each run."""


@dataclass(frozen=True)
class ComparedRun:
    """A run that is compared."""

    url: str
    storage: Storage
    run: RunFolder
    job: Job
    state: str

    @cached_property
    def numbers(self) -> dict[str, Any]:
        """What its job shows of its result, or without one its last metrics."""
        found = numbers(self.job.results, self.run.result)
        metrics = self.run.status.get("metrics")
        return found or (dict(metrics) if isinstance(metrics, Mapping) else {})

    @cached_property
    def provenance(self) -> Provenance | None:
        """What it was made of; None where the folder does not say it."""
        try:
            return read_provenance(self.storage)
        except InputError:
            return None


def read_runs(urls: Sequence[str]) -> list[ComparedRun]:
    """Return the runs at some folders.

    Raises:
        InputError: one is not a run folder, its job is not installed, or a file cannot be read.
    """
    return [_read(url) for url in urls]


def _read(url: str) -> ComparedRun:
    storage = open_storage(url)
    dead = dead_driver(storage)
    run = read_run(storage)
    if run.job not in registry.names():
        raise InputError(f"{url} is no run of {' or '.join(registry.names())}: it says {run.job!r}")
    return ComparedRun(url, storage, run, registry.find(run.job), state_of(run, dead))


def tables(runs: Sequence[ComparedRun]) -> dict[str, Table]:
    """Return title -> rows of names, with the value of each run; values are as the folders have them.

    Raises:
        InputError: a file of a folder is damaged.
    """
    with readable(", ".join(one.url for one in runs), "result.json", "status.json"):
        return {
            "Runs": _standing(runs),
            "Options that differ": _options(runs),
            "Results": _of_each(runs, lambda one: one.numbers),
            "Made of": _of_each(runs, _made_of),
            "Packages that differ": _packages(runs),
        }


def _standing(runs: Sequence[ComparedRun]) -> Table:
    return {
        "job": [one.job.name for one in runs],
        "state": [one.state for one in runs],
        "attempt": [one.run.status.get("attempt") for one in runs],
        "workers": [one.run.result.get("workers") for one in runs],
        "seconds": [one.run.result.get("seconds") for one in runs],
        "bits": [one.run.result.get("bits") for one in runs],
        "written": [one.run.status.get("updated") for one in runs],
    }


def _options(runs: Sequence[ComparedRun]) -> Table:
    if len({one.job.name for one in runs}) > 1:
        return {}
    return differing_options(runs[0].job, [one.run.options for one in runs])


def _of_each(runs: Sequence[ComparedRun], found_of: Callable[[ComparedRun], Mapping[str, Any]]) -> Table:
    """Return the rows of all names that any run has, in the order of their first run."""
    found = [found_of(one) for one in runs]
    return {name: [one.get(name) for one in found] for name in dict.fromkeys(name for one in found for name in one)}


def _made_of(one: ComparedRun) -> dict[str, Any]:
    known, code = one.provenance, one.provenance.code if one.provenance else None
    commit = f"{code.git.describe}{', changed since' if code.git.changed else ''}" if code and code.git else None
    more = {"python": known.python, "platform": known.platform, "image": known.image or None} if known else {}
    return {**origin(one.storage, one.run), "commit": commit, **more, "command": known.command_line if known else None}


def _packages(runs: Sequence[ComparedRun]) -> Table:
    found = [one.provenance.packages if one.provenance else None for one in runs]
    known = [packages for packages in found if packages is not None]
    names = sorted(
        name for name in {name for one in known for name in one} if len({one.get(name) for one in known}) > 1
    )
    return {name: [one.get(name) if one else None for one in found] for name in names[:MAX_PACKAGES]}


def shown(name: str, value: Any) -> str:
    """Return a value of a table for people."""
    if value is None:
        return ABSENT
    try:
        if name == "seconds":
            return duration(float(value), digits=3)
        if name == "written":
            return local(float(value))
    except (*DAMAGED, OSError):
        pass
    text = short(value, DIGITS) if not isinstance(value, dict | list) else printable(json.dumps(value))
    return text[:MAX_VALUE]


def for_people(runs: Sequence[ComparedRun]) -> str:
    """Return the comparison as text: tables one below the other.

    Raises:
        InputError: a file of a folder is damaged.
    """
    urls = [one.url for one in runs]
    parts = [
        in_columns([title, *urls], [(name, *(shown(name, value) for value in values)) for name, values in rows.items()])
        for title, rows in tables(runs).items()
        if rows
    ]
    return "\n".join(parts)


def for_programs(runs: Sequence[ComparedRun]) -> list[dict[str, Any]]:
    """Return a row for each run, whose names are those of the tables after that of their table: `results.loss`.

    Raises:
        InputError: a file of a folder is damaged.
    """
    prefixes = {"Runs": "", "Options that differ": "option.", "Results": "result.", "Made of": "made_of."}
    named = {
        f"{prefixes.get(title, 'package.')}{name}": values
        for title, rows in tables(runs).items()
        for name, values in rows.items()
    }
    with readable(", ".join(one.url for one in runs), "status.json"):
        named["written"] = [None if value is None else iso(float(value)) for value in named["written"]]
    return [{"run": one.url, **{name: values[at] for name, values in named.items()}} for at, one in enumerate(runs)]
