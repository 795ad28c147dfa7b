"""provenance/NNNN.json: command line, software, code and identity of each attempt, written when it has its number."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.formatting import without_credentials
from jobs.runs.encoding import as_json
from jobs.runs.provenance.code import FOLDER as CODE
from jobs.runs.provenance.code import keep, modules_of, name_of
from jobs.runs.provenance.git import commit_of
from jobs.runs.provenance.packages import packages
from jobs.runs.provenance.reading import FOLDER

if TYPE_CHECKING:
    from jobs.options import JobOptions
    from jobs.sources import Source
    from jobs.storage import Storage

PLACE = {"image": "DASK_JOBS_IMAGE", "release": "DASK_JOBS_RELEASE", "namespace": "POD_NAMESPACE"}
"""What is known of a pod -> the environment variable by which its chart passes it."""
_command: ContextVar[tuple[str, ...]] = ContextVar("command", default=())


@contextlib.contextmanager
def typed(*command: str) -> Iterator[None]:
    """Name the command line by which all attempts within are started; from Python there is none."""
    token = _command.set(command)
    try:
        yield
    finally:
        _command.reset(token)


def write(
    storage: Storage, attempt: int, options: JobOptions, identity: Mapping[str, Any], roots: Sequence[Any]
) -> None:
    """Write the provenance of an attempt, and copy the user's code; some 50 ms, mostly of git and of syncing.

    Args:
        storage: the run folder.
        attempt: its number.
        options: all of the job's.
        identity: of the run, as far as it is known at the start.
        roots: of the user's code, as of `jobs.sources.sources`.

    Raises:
        ClusterError: the storage failed.
    """
    modules = modules_of(roots)
    content = {
        "attempt": attempt,
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "command": [without_credentials(word) for word in _command.get()],
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{name: value for name, variable in PLACE.items() if (value := os.environ.get(variable))},
        **{name: value for name in ("seed", "space") if (value := getattr(options, name, None)) is not None},
        "identity": _without_credentials(identity),
        **({"code": _code(storage, modules)} if modules else {}),
        "packages": packages(),
    }
    storage.write(f"{FOLDER}{attempt:04d}.json", as_json(content))


def _code(storage: Storage, modules: Sequence[Source]) -> dict[str, Any]:
    digests = {one.label: one.digest for one in sorted(modules, key=lambda one: one.label)}
    name = name_of(digests)
    left_out = keep(storage, f"{CODE}{name}/", modules)
    commit = commit_of(str(Path(modules[0].file).parent))
    return {"name": name, "sources": digests, "left_out": left_out, **({"git": commit} if commit else {})}


def _without_credentials(identity: Mapping[str, Any]) -> dict[str, Any]:
    return {name: without_credentials(value) if isinstance(value, str) else value for name, value in identity.items()}
