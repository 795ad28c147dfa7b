"""A snapshot of a run folder; any file may still be missing."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobs.errors import DAMAGED, InputError, argument
from jobs.formatting import error_line, one_line
from jobs.options import from_yaml

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from jobs.storage import Storage

OWN_FILES = (
    "options.yaml",
    "result.json",
    "status.json",
    "data.json",
    "columns.json",
    "arithmetic.json",
    "report.html",
    "attempts/",
    "provenance/",
    "code/",
    "observers/",
    "tensorboard/",
)
"""What runs of all jobs and their reports write; a name that ends with `/` is a folder."""


class NoRunFolder(InputError):
    """A folder that has none of the files of a run."""


@dataclass(frozen=True)
class RunFolder:
    """The files of any job's run; an empty dict for a missing file."""

    url: str
    options: dict[str, Any]
    status: dict[str, Any]
    result: dict[str, Any]

    @property
    def job(self) -> str:
        """The job's name, such as `minimize`."""
        return str(self.result.get("job") or self.status.get("job") or self.options.get("job") or "job")

    @property
    def state(self) -> str:
        """`running`, `done`, `failed` or `stopped`; `not started` if no attempt has written its status yet.

        The result, which is written after the last status, decides whether a run is done.
        """
        if self.result:
            return "done"
        state = str(self.status.get("state", "not started"))
        return "running" if state == "done" else state


@contextlib.contextmanager
def readable(url: str, *names: str) -> Iterator[None]:
    """Translate errors of reading damaged files of a run folder into one line.

    Raises:
        InputError: they are damaged, or another version's.
    """
    try:
        yield
    except DAMAGED as error:
        what = " or ".join(names)
        raise InputError(f"{what} of {url} is damaged, or another version's ({error_line(error)})") from error


def read_run(storage: Storage) -> RunFolder:
    """Read the files that every job's run folder has; a job reads the rest itself.

    Raises:
        InputError: it is not a run folder (neither options.yaml nor status.json is there), or a file cannot be read.
    """
    files = {name: _read(storage, name) for name in ("options.yaml", "status.json", "result.json")}
    if files["options.yaml"] is None and files["status.json"] is None:
        raise NoRunFolder(
            f"{storage.url!r} is no run folder: it has no options.yaml; give the folder that the job had as "
            f"{argument('run')}"
        )
    return RunFolder(
        url=storage.url,
        options=_mapping("options.yaml", files["options.yaml"]),
        status=_mapping("status.json", files["status.json"]),
        result=_mapping("result.json", files["result.json"]),
    )


def glance(storage: Storage) -> RunFolder | None:
    """Read as little of a folder as shows how its run stands; None if it is no run folder.

    Options are read only where there is neither status nor result: parsing them takes longer than all else.

    Raises:
        InputError: a file cannot be read.
    """
    files = {name: _read(storage, name) for name in ("status.json", "result.json")}
    options = None if any(files.values()) else _read(storage, "options.yaml")
    if options is None and not any(files.values()):
        return None
    status, result = (_mapping(name, content) for name, content in files.items())
    return RunFolder(storage.url, _mapping("options.yaml", options), status, result)


def read_array(storage: Storage, name: str) -> NDArray[np.float64] | None:
    """Read an array of the run folder at `storage`; None if the file is missing.

    Raises:
        InputError: the file is damaged.
    """
    # Not above: the commands that look at many folders need no arrays, and rerun chooses the processor's kernels first.
    import numpy as np

    from jobs import npy

    if (content := _read(storage, name)) is None:
        return None
    try:
        return np.asarray(npy.read_array(content), dtype=np.float64)
    except ValueError as error:
        raise InputError(f"{name} of the run folder cannot be read: {error}") from error


def _read(storage: Storage, name: str) -> bytes | None:
    try:
        return storage.read(name)
    except FileNotFoundError:
        return None


def _mapping(name: str, content: bytes | None) -> dict[str, Any]:
    if content is None:
        return {}
    try:
        value = json.loads(content) if name.endswith(".json") else from_yaml(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} of the run folder cannot be read: {one_line(error)}") from error
    if not isinstance(value, dict):
        raise InputError(f"{name} of the run folder holds a {type(value).__name__}, but it must be a mapping")
    return value
