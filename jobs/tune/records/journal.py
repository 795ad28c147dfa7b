"""The study's journal: Optuna's records, one JSON object per line, in a log of the run folder.

`journal/0002.log` is attempt 2's, and holds all earlier records: an attempt first copies those that it found, without a
torn end, then writes its mark, and then deletes older logs. So the newest log with its own mark is the whole study; a
local one is one plain file, as Optuna's `JournalFileBackend` and optuna-dashboard read it; and a superseded driver
writes to a log that is never read. In S3 a log is parts, as `jobs.storage` lays them out.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import FrozenTrial, TrialState

from jobs.errors import InputError, JobError, argument
from jobs.storage import Storage

LOG = re.compile(r"journal/(\d{4,})\.log(/\d{8})?")
ATTEMPT = "attempt"
"""The study's user attribute that marks a log as complete: the attempt that wrote it."""
OPERATION = {"study attribute": 2, "end": 6, "report": 7}
"""What some records do -> its number, of `optuna.storages.journal`."""
SAVED_SHARE = 0.01
SAVED_SECONDS = 10.0


@dataclass(frozen=True)
class Recorded:
    """The records of an earlier attempt: complete lines, and the log they are from (for messages)."""

    lines: tuple[bytes, ...] = ()
    address: str = ""

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the records, read one by one."""
        return (json.loads(line) for line in self.lines)


def name(attempt: int) -> str:
    """Return the name of an attempt's log."""
    return f"journal/{attempt:04d}.log"


def read(storage: Storage) -> Recorded:
    """Return the newest complete log of a run folder; nothing if there is none.

    Raises:
        InputError: a record is damaged that is not the last one.
    """
    for attempt in sorted(_attempts(storage), reverse=True):  # the newest may have been cut off before its mark
        found = _read(storage, attempt)
        if found:
            return found
    return Recorded()


def _attempts(storage: Storage) -> set[int]:
    return {int(match[1]) for file in storage.list("journal/") if (match := LOG.fullmatch(file))}


def _read(storage: Storage, attempt: int) -> Recorded | None:
    address, marked = storage.address(name(attempt)), False
    lines: list[bytes] = []
    with storage.read_log(name(attempt)) as stream:
        content = stream.read().splitlines(keepends=True)
    for number, line in enumerate(content, start=1):
        record = _record(line)
        if record is None:
            if number == len(content):
                break  # torn when the process was killed
            raise InputError(f"journal {address} is damaged: line {number} is no record of Optuna's; restore it, or "
                             f"choose another {argument('run')}")  # fmt: skip
        # The mark of this very log: it has those of earlier attempts too, copied with their records.
        marked = marked or record.get("user_attr") == {ATTEMPT: attempt}
        lines.append(line)
    return Recorded(tuple(lines), address) if marked else None


@contextlib.contextmanager
def replayed() -> Iterator[None]:
    """Translate what damaged records raise, which are read unchecked, by Optuna too: it depends on which one it is.

    Raises:
        InputError: they make no study.
    """
    try:
        yield
    except JobError:
        raise
    except (LookupError, ValueError, TypeError, AttributeError, AssertionError, OverflowError) as error:
        raise InputError(f"the journal's records make no study ({type(error).__name__}: {error})") from error


def _record(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("op_code"), int) else None


class Journal(BaseJournalBackend):
    """The backend of `optuna.storages.JournalStorage`: this attempt's log, which it alone writes.

    Records are buffered until `commit`, which appends all of them in one piece: records that belong together are all
    there or none of them, except for a torn end.

    Args:
        storage: the run folder.
        attempt: this attempt.
        recorded: the records that it resumes from.
    """

    def __init__(self, storage: Storage, attempt: int, recorded: Recorded) -> None:
        self._storage, self._attempt = storage, attempt
        storage.delete_log(name(attempt))
        self._log = storage.append_log(name(attempt))
        self._lines = list(recorded.lines)  # not yet read by Optuna
        self._read = 0
        self._pending: list[bytes] = [b"".join(recorded.lines)] if recorded.lines else []
        self._unsaved = self._worked = 0.0

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Return the records from a number on; Optuna reads each once, in order."""
        # Kept no longer: Optuna has them now, and a study may be long.
        lines, self._lines = self._lines[log_number_from - self._read :], []
        self._read = log_number_from + len(lines)
        return (json.loads(line) for line in lines)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Buffer records, to be written by the next `commit`."""
        # As Optuna's own backend writes them.
        lines = [json.dumps(log, separators=(",", ":")).encode() + b"\n" for log in logs]
        self._lines += lines
        self._pending += lines

    def commit(self, worked: float = 0.0) -> None:
        """Write all buffered records; they survive the end of the process, in S3 within 30 seconds.

        Where the trials recorded since the last `flush` took more than 10 s and 1 % of the study's work, it is
        flushed: no more than that is repeated after a loss of power, or in S3 after a kill.

        Args:
            worked: seconds of the trials that have just ended.

        Raises:
            ClusterError: they cannot be written.
        """
        if self._pending:
            self._log.append(b"".join(self._pending))
            self._pending = []
        self._unsaved += worked
        self._worked += worked
        if self._unsaved > max(SAVED_SECONDS, SAVED_SHARE * self._worked):
            self.flush()

    def flush(self) -> None:
        """Write all buffered records, durably."""
        if self._pending:
            self.commit()
        self._log.flush()
        self._unsaved = 0.0

    def supersede(self) -> None:
        """Delete the logs of earlier attempts, once this one's has all their records."""
        # Flushed first: a kill between the two leaves two complete logs, and the newer one is read.
        self.flush()
        for attempt in _attempts(self._storage):
            if attempt < self._attempt:
                with contextlib.suppress(InputError):  # parts that a superseded driver has written since: they stay
                    self._storage.delete_log(name(attempt))

    def close(self) -> None:
        """Write all buffered records, and close the log."""
        try:
            if self._pending:
                self.commit()
        finally:
            self._log.close()


class RecordStorage(JournalStorage):
    """Optuna's storage on a `Journal`.

    Attributes:
        waiting: whether a trial is enqueued.
    """

    waiting = False

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,  # noqa: FBT001, FBT002  Optuna's signature
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """Return a study's trials in some states."""
        # Asked at each new trial, by a look at all that there are: after some thousand of them most of its time.
        if states == (TrialState.WAITING,) and not self.waiting:
            return []
        return super().get_all_trials(study_id, deepcopy, states)
