"""A trial's folder on the worker's disk, and its copy in the run folder, which is always one complete state."""

from __future__ import annotations

import contextlib
import errno
import shutil
import tempfile
from pathlib import Path, PurePosixPath

from jobs.runs.checkpoint import StoredState, delete_state
from jobs.storage import Storage

TRIAL = "trial"
"""The owner of a checkpoint, for messages."""
_NO_NAME = (errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EILSEQ)
"""Errors of a file name in a state that is not possible on this machine, or beside the others."""


def delete_checkpoint(storage: Storage, number: int) -> None:
    """Delete what an ended trial has stored, so that it begins anew."""
    delete_state(storage, state_name(number))


def state_name(number: int) -> str:
    """Return the name of a trial's checkpoint in the run folder."""
    return f"checkpoints/{number:04d}"


class Checkpoint:
    """The folder of one execution of one trial; `folder` is where its function reads and writes.

    Args:
        storage: the run folder.
        number: the trial.
        execution_id: the execution's; no two of them write the same name.
        scratch: a folder on this machine.

    Raises:
        ClusterError: the run folder cannot be read.
        InputError: the stored state is damaged, or names files of others; no file of these is read or written.
    """

    def __init__(self, storage: Storage, number: int, execution_id: str, scratch: str) -> None:
        self._stored = StoredState(storage, state_name(number), execution_id, TRIAL)
        Path(scratch).mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix=f"trial-{number:04d}-", dir=scratch))
        try:
            for name in self._stored.places:
                self._restore(name)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        self._seen = self._file_states()

    def _restore(self, name: str) -> None:
        data = self._stored.read(name)
        path = self.folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        except OSError as error:
            if error.errno not in _NO_NAME:
                raise
            raise self._stored.damaged(str(error)) from error

    def _file_states(self) -> dict[str, tuple[int, int]]:
        """Return name -> (size in bytes, time of change) of all files in the folder."""
        found = {}
        for path in sorted(self.folder.rglob("*")):
            with contextlib.suppress(FileNotFoundError):  # a temporary file of another thread
                if path.is_file():
                    about = path.stat()
                    found[_name(path, self.folder)] = (about.st_size, about.st_mtime_ns)
        return found

    def save(self) -> None:
        """Store the files that have changed since the last time.

        Raises:
            ClusterError: the run folder cannot be written.
        """
        now = self._file_states()
        if now == self._seen:
            return
        unchanged = [name for name in now if name in self._stored.places and now[name] == self._seen.get(name)]
        self._stored.save(unchanged, now.keys() - set(unchanged), lambda name: (self.folder / name).read_bytes())
        # As they were before they were read: a file that has changed meanwhile is stored again.
        self._seen = now

    def close(self, *, keep: bool) -> None:
        """Remove the local folder, and the copy if it is not to be kept; a failure to do so ends no trial."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if not keep:
            with contextlib.suppress(Exception):
                self._stored.delete()


def _name(path: Path, folder: Path) -> str:
    return str(PurePosixPath(path.relative_to(folder)))
