"""Whether the result of a run has the bits of another's, and if not, what else differs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from jobs.catalog.origin import differing_options, origin
from jobs.formatting import given, printable_line
from jobs.runs.folder import read_run
from jobs.sources import digest
from jobs.storage import open_storage

if TYPE_CHECKING:
    from jobs.job import Job
    from jobs.runs.folder import RunFolder
    from jobs.storage import Storage

ENTRY = "result.json:"


def verdict(job: Job, before: str, now: str) -> str:
    """Return in a sentence whether two runs ended with the same bits, and why perhaps not.

    Args:
        job: of both.
        before: the folder of the first run.
        now: that of the second, which has ended.

    Raises:
        InputError: a folder is damaged.
        ClusterError: the storage failed.
    """
    storages = open_storage(before), open_storage(now)
    runs = read_run(storages[0]), read_run(storages[1])
    if not runs[0].result:
        return f"{before} has no result to compare with: it is {runs[0].state}"
    bits = [result_bits(job, storage, run) for storage, run in zip(storages, runs, strict=True)]
    if not bits[0] or not bits[1]:
        return f"{job.name} does not say which bits its result has: compare by dask-jobs compare {before} {now}"
    changes = _changes(job, storages, runs)
    what = ", ".join(name.replace(ENTRY, "result.json's ") for name in bits[0])
    if bits[0] == bits[1]:
        also = f", though different are: {changes}" if changes else ""
        return printable_line(f"the same bits as {before} ({what}){also}")
    why = f"different are: {changes}" if changes else "though options, code, data and arithmetic are the same"
    return printable_line(f"not the bits of {before} ({what}); {why}")


def result_bits(job: Job, storage: Storage, run: RunFolder) -> dict[str, str]:
    """Return name -> digest of what has the bits of a result; without what the folder lacks."""
    found = {}
    for name in job.exact:
        if name.startswith(ENTRY):
            value = run.result.get(name.removeprefix(ENTRY))
            content = None if value is None else json.dumps(value, sort_keys=True).encode()
        else:
            try:
                content = storage.read(name)
            except FileNotFoundError:
                content = None
        if content is not None:
            found[name] = digest(content)
    return found


def _changes(job: Job, storages: tuple[Storage, Storage], runs: tuple[RunFolder, RunFolder]) -> str:
    options = differing_options(job, [run.options for run in runs])
    changes = [f"{name} ({given(old)}, now {given(new)})" for name, (old, new) in options.items()]
    old, new = (origin(storage, run) for storage, run in zip(storages, runs, strict=True))
    changes += [f"{name} ({old[name]}, now {new[name]})" for name in old if old[name] != new[name]]
    return ", ".join(changes)
