"""Comparison of a run's data files with their state when it began.

`data.json` has for each file its address, size, modification time (S3: ETag), and a digest of its whole content, which
is computed beside the run: it is missing only if the run ended before the file was read once. While size and time are
the same nothing is read; where they differ, the digest decides.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from jobs.errors import InputError, JobError, argument
from jobs.storage import Storage, locate

NAME = "data.json"
RESULT = "data"
"""The notes' name in result.json."""
WAIT_SECONDS = 10.0
"""Maximum wait at the end of a run for digests that are not complete."""


@dataclass(frozen=True)
class Note:
    """The record of a file: its address, size in bytes and stamp, and a digest, 32 hex digits, empty if unknown."""

    address: str
    size: int
    stamp: str
    digest: str = ""

    def __post_init__(self) -> None:
        """Check the types, since notes are read from files.

        Raises:
            TypeError: one is wrong.
        """
        if type(self.size) is not int or not all(
            isinstance(one, str) for one in (self.address, self.stamp, self.digest)
        ):
            raise TypeError("a note of a file must be its address, size, stamp and digest")

    def same(self, other: Note) -> bool:
        """Return whether address, size and stamp are the same: then nothing was written since."""
        return (self.address, self.size, self.stamp) == (other.address, other.size, other.stamp)


class DataFiles:
    """The files of one run's data; a context manager that digests them in a background thread.

    Args:
        run: the run folder.
        addresses: paths or s3:// URLs of the files; any number, always in the same order.
        poll: called while a file is compared; what it raises ends that.

    Raises:
        InputError: a file is missing, or cannot be read.
    """

    def __init__(self, run: Storage, addresses: Sequence[str], poll: Callable[[], None] = lambda: None) -> None:
        self._run, self._poll = run, poll
        try:
            self._notes = [_note(address) for address in dict.fromkeys(addresses)]  # one .npz has several columns
        except FileNotFoundError as error:
            raise InputError(f"data {error.filename} do not exist; check the path") from error
        self._stop, self._writing = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._digest_all, name="dask-jobs-data", daemon=True)

    def check(self, notify: Callable[[str], None] = lambda _: None) -> None:
        """Compare the files with their notes in the run folder, if any: the first start writes them.

        Args:
            notify: called with a sentence when a file has to be read.

        Raises:
            InputError: one has other content, or may have: it was written since, and there is no earlier digest.
        """
        before = self._before()
        if len(before) != len(self._notes):  # none yet, or other data, which the run's identity names
            return
        for index, (old, new) in enumerate(zip(before, self._notes, strict=True)):
            if old.same(new):
                digest = old.digest
            else:
                notify(f"{new.address} was written, or moved, since the run began: its content is compared")
                digest = self._compared(old, new)
            self._notes[index] = replace(new, digest=digest)

    def check_again(self) -> None:
        """Compare the files with themselves at the start of this attempt.

        Raises:
            InputError: one was written meanwhile, so that the result may be of both contents.
        """
        if self._thread.is_alive():  # one that was never started cannot be joined
            self._thread.join(WAIT_SECONDS)
        for old in self._notes:
            # A file that was deleted is not an error: no other content was there to be read.
            with contextlib.suppress(FileNotFoundError):
                new = _note(old.address)
                if not old.same(new):
                    self._compared(old, new)

    def _compared(self, old: Note, new: Note) -> str:
        """Return the digest of a file's content, which is unchanged.

        Raises:
            InputError: it has changed, or that is unknown.
        """
        what = f"data {new.address}" if old.address == new.address else f"data {old.address}, now {new.address},"
        if old.digest and old.size == new.size and (digest := _digest(new, self._poll)) == old.digest:
            return digest
        known = "its content differs" if old.digest or old.size != new.size else "its old content was not noted in full"
        raise InputError(
            f"{what} changed since the run in {self._run.url} began ({known}; {new.size:,} bytes, {new.stamp}; it was "
            f"{old.size:,} bytes, {old.stamp}): bring the old file back, choose another {argument('run')}, or delete "
            "this run folder"
        )

    def _before(self) -> list[Note]:
        """Return the notes of data.json or, in a run folder that was rebuilt from its result, of result.json."""
        for name in (NAME, "result.json"):
            try:
                content = json.loads(self._run.read(name))
                if notes := content.get(RESULT, []) if isinstance(content, dict) else content:
                    return [Note(**note) for note in notes]
            except FileNotFoundError:
                continue
            except (ValueError, TypeError, RecursionError) as error:
                raise InputError(
                    f"{self._run.address(name)} is damaged ({error}); choose another {argument('run')}"
                ) from error
        return []

    def as_result(self) -> dict[str, Any]:
        """Return the notes for result.json; call it after `check_again`."""
        return {RESULT: [asdict(note) for note in self._notes]} if self._notes else {}

    def __enter__(self) -> Self:
        """Write the notes to the run folder, and begin to digest the files."""
        if self._notes:
            self._write()
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._writing:  # without a join: the thread is in a read that may last, and writes nothing from now on
            self._stop.set()

    def _write(self) -> None:
        self._run.write(NAME, json.dumps([asdict(note) for note in self._notes], indent=1).encode())

    def _digest_all(self) -> None:
        """Digest the files without a digest; those that cannot be read now are left to the next attempt."""
        try:
            for index, note in enumerate(self._notes):
                if not note.digest:
                    digest = _digest(note, self._check_running)
                    # A digest of a file that was written while it was read would be of neither content.
                    if note.same(_note(note.address)):
                        self._notes[index] = replace(note, digest=digest)
            with self._writing:  # else the attempt could end between this check and the write
                self._check_running()
                self._write()
        except (_Ended, JobError, OSError):
            return

    def _check_running(self) -> None:
        if self._stop.is_set():
            raise _Ended


class _Ended(Exception):
    """The attempt has ended; its run folder may be another driver's by now."""


def _digest(note: Note, poll: Callable[[], None]) -> str:
    """Return the digest (BLAKE2b, 32 hex digits) of a file's content as stored; what `poll` raises ends that."""
    digest = hashlib.blake2b(digest_size=16)
    storage, name = locate(note.address)
    for chunk in storage.stream(name):
        digest.update(chunk)
        poll()
    return digest.hexdigest()


def _note(address: str) -> Note:
    storage, name = locate(address)
    return Note(storage.address(name), *storage.stamp(name))
