"""A trial's folder on the worker's disk, and its copy in the run folder, which is always one complete state.

`checkpoints/0007.json`, the state, names the files and where their bytes lie (`checkpoints/0007-...`); it is replaced
last, atomically. Bytes that a state no longer names are deleted after that.
"""

from __future__ import annotations

import contextlib
import errno
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from jobs.errors import ClusterError, InputError
from jobs.storage import Storage, is_plain

_NO_NAME = (errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EILSEQ)
"""Errors of a file that cannot have the name that a state gives it, on this machine or beside the others."""


@contextlib.contextmanager
def _storage_faults() -> Iterator[None]:
    """Make what the storage calls the user's mistake a fault: the folder could be used before work began.

    So is a file that is gone: another try, which was taken for lost, may have stored another state meanwhile.
    """
    try:
        yield
    except (InputError, FileNotFoundError) as error:
        raise ClusterError(str(error)) from error


class Checkpoint:
    """The folder of one try of one trial; `folder` is where its function reads and writes.

    Args:
        storage: the run folder.
        number: the trial.
        go: which try of it this is; tries never write the same name.
        scratch: a folder on this machine.

    Raises:
        ClusterError: the run folder cannot be read.
        InputError: the stored state is damaged, or of somebody who wants other files; no file of these is read or
            written.
    """

    def __init__(self, storage: Storage, number: int, go: str, scratch: str) -> None:
        self._storage, self._go = storage, go
        self._top = f"checkpoints/{number:04d}"
        self._saves = 0
        self._stored = self._read_state()
        Path(scratch).mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix=f"trial-{number:04d}-", dir=scratch))
        try:
            for name, where in self._stored.items():
                self._restore(name, where)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        self._seen = self._look()

    def _restore(self, name: str, where: str) -> None:
        self._storage.check_inside(where)
        with _storage_faults():
            data = self._storage.read(where)
        path = self.folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        except (OSError, UnicodeEncodeError) as error:
            if isinstance(error, OSError) and error.errno not in _NO_NAME:
                raise
            raise self._damaged(str(error)) from error

    def _read_state(self) -> dict[str, str]:
        self._storage.check_inside(f"{self._top}.json")
        with _storage_faults():
            try:
                data = self._storage.read(f"{self._top}.json")
            except FileNotFoundError:
                return {}
        try:
            state = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise self._damaged(str(error)) from error
        if not isinstance(state, dict):
            raise self._damaged(f"it holds {type(state).__name__}, but must hold name: place")
        for name, place in state.items():
            if not is_plain(name):
                raise self._damaged(f"{name!r} is no name of a file in the trial's folder")
            if not self._is_place(place):
                raise self._damaged(f"{place!r} is no place of this trial's files, {self._top}-...")
        return state

    def _is_place(self, place: Any) -> bool:
        return isinstance(place, str) and bool(re.fullmatch(rf"{self._top}-[\w.-]{{1,200}}", place, re.ASCII))

    def _damaged(self, why: str) -> InputError:
        address = f"{self._storage.address(self._top)}.json"
        return InputError(f"checkpoint {address} is damaged ({why}); remove it, and the trial begins anew")

    def _look(self) -> dict[str, tuple[int, int]]:
        """Return name -> (size in bytes, time of change) of all files in the folder."""
        found = {}
        for path in sorted(self.folder.rglob("*")):
            with contextlib.suppress(FileNotFoundError):  # a temporary file of another thread
                if path.is_file():
                    about = path.stat()
                    found[_name(path, self.folder)] = (about.st_size, about.st_mtime_ns)
        return found

    @_storage_faults()
    def save(self) -> None:
        """Store what has changed since the last time.

        Raises:
            ClusterError: the run folder cannot be written.
        """
        now = self._look()
        if now == self._seen:
            return
        self._saves += 1
        state = {name: self._stored[name] for name in now if name in self._stored and now[name] == self._seen.get(name)}
        self._check_alone()
        for index, name in enumerate(sorted(now.keys() - state.keys())):
            state[name] = f"{self._top}-{self._go}-{self._saves}-{index}"
            self._storage.write(state[name], (self.folder / name).read_bytes())
        self._storage.write(f"{self._top}.json", json.dumps(state).encode())
        old, self._stored, self._seen = self._stored, state, now
        for where in set(old.values()) - set(state.values()):
            self._storage.delete(where)

    def _check_alone(self) -> None:
        """Refuse to write over what another try has stored since: this one was taken for lost.

        Raises:
            ClusterError: there is another state.
        """
        if self._read_state() != self._stored:
            raise ClusterError(f"another try of the trial has stored {self._top}.json")

    def close(self, *, keep: bool) -> None:
        """Remove the local folder, and the copy if it is not to be kept; a failure to do so ends no trial."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if not keep:
            with contextlib.suppress(Exception):
                self._check_alone()
                self._storage.delete(f"{self._top}.json")
                for name in self._storage.list(f"{self._top}-"):
                    self._storage.delete(name)


def _name(path: Path, folder: Path) -> str:
    return str(PurePosixPath(path.relative_to(folder)))
