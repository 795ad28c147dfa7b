"""What decides the result of a run, as name -> text: of two runs it says in what they differ."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jobs.errors import DAMAGED, InputError
from jobs.options import COMMON_OPTIONS
from jobs.runs.provenance.reading import read_provenance
from jobs.sources import digest

if TYPE_CHECKING:
    from jobs.job import Job
    from jobs.runs.folder import RunFolder
    from jobs.storage import Storage

CODE, DATA, ARITHMETIC = "code", "data", "arithmetic"
UNKNOWN = "unknown"


def differing_options(job: Job, runs: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return name -> each run's value of the options that differ, but for where and how long the runs ran."""
    model = job.load_options()
    defaults = {name: field.get_default(call_default_factory=True) for name, field in model.model_fields.items()}
    left_out = (COMMON_OPTIONS - {"cpu"}) | set(model.RESUMES) | {"job"}
    names = sorted({str(name) for run in runs for name in run} - left_out)
    values = {name: [run.get(name, defaults.get(name)) for run in runs] for name in names}
    return {name: each for name, each in values.items() if any(one != each[0] for one in each)}


def origin(storage: Storage, run: RunFolder) -> dict[str, str]:
    """Return the names of a run's code, data and arithmetic, in this order; `unknown` where the folder does not say."""
    return {CODE: code_of(storage), DATA: data_of(storage, run), ARITHMETIC: arithmetic_of(storage)}


def code_of(storage: Storage) -> str:
    """Return the name of the user's code; `none` of a run without any."""
    try:
        found = read_provenance(storage)
    except InputError:
        return UNKNOWN
    return UNKNOWN if found is None else found.code.name if found.code else "none"


def data_of(storage: Storage, run: RunFolder) -> str:
    """Return a digest of the data's files, in their order, wherever they lie."""
    notes = _read(storage, "data.json", run.result.get("data"))
    try:
        digests = [str(note["digest"]) for note in notes]
    except DAMAGED:
        return UNKNOWN
    return digest(" ".join(digests).encode()) if digests and all(digests) else UNKNOWN if digests else "no files"


def arithmetic_of(storage: Storage) -> str:
    """Return a digest of what all attempts computed with; `mixed` where that was not the same."""
    attempts = _read(storage, "arithmetic.json", {})
    try:
        kinds = {json.dumps(kind, sort_keys=True) for found in attempts.values() for kind in found}
    except DAMAGED:
        return UNKNOWN
    return "mixed" if len(kinds) > 1 else digest(kinds.pop().encode()) if kinds else UNKNOWN


def _read(storage: Storage, name: str, missing: Any) -> Any:
    try:
        return json.loads(storage.read(name))
    except FileNotFoundError:
        return [] if missing is None else missing
    except (ValueError, RecursionError):
        return None
