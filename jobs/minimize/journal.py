"""The journal: every evaluation's answer, in order, so that a run that was killed is resumed with the same bits.

SciPy's optimizers are deterministic: the same answers lead to the same requests. A new attempt therefore starts at x0
and replays the journal, without touching the data, until the journal ends. Each attempt writes one log of its own,
`journal/<attempt>`; together, in order, they are the sequence of all answers.

Each log's header has the number of records before it, so two attempts that ran at once recorded the same answers twice,
without harm. Nor does damage: what follows a damaged record is computed again, and the log of the attempt that does so
begins there; see `jobs.minimize.journal_log` for the bytes.

On a processor of other arithmetic SciPy's points differ in their last bits from those that were recorded. There an
answer to a point that is the same but for these is replayed all the same; once the points part, what was recorded
behind is not used.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Generator, Mapping

from jobs.errors import InputError, argument
from jobs.minimize.evaluate.request import Sketch
from jobs.minimize.journal_log import LogReader, Record, pack_header, pack_record
from jobs.runs.identity import another, differences, is_code
from jobs.storage import Storage

log = logging.getLogger(__name__)
LAST_BITS = 1e-8
"""Most by which sums over two points that are the same but for last bits differ, of the sum of absolute values; reached
after 80 (CG) to 200 evaluations on the digits, by other kernels of OpenBLAS."""
FULL = "journal-full"
"""A file of the run folder that marks a journal whose limit was passed: later answers are not recorded."""


class Journal:
    """Replays what earlier attempts recorded, then records.

    Args:
        storage: the run folder.
        attempt: the number of this attempt, from 1; logs of lower numbers are replayed.
        identity: the run's (data, regularizers, ...): name -> value, by the names in error messages.
        limit: maximum bytes; beyond them nothing more is recorded.
        elsewhere: whether an earlier attempt computed with other arithmetic.

    Attributes:
        bytes: of all records, replayed and recorded.
        replayed: how many records were replayed.
        dropped: how many records are not used, as one before them is damaged; about, where they differ in size.
        full: whether the limit is passed.

    Raises:
        InputError: a log belongs to another run, or is none.
    """

    def __init__(
        self, storage: Storage, attempt: int, identity: Mapping[str, str], limit: int, *, elsewhere: bool = False
    ) -> None:
        self._storage, self._limit, self._elsewhere = storage, limit, elsewhere
        self._identity = dict(identity)
        self._replay = self._records(attempt - 1)
        self._log = storage.append_log(_name(attempt))
        self._empty = True
        self.bytes = self.replayed = self.dropped = 0
        self.full = False

    def next(self, key: bytes, size: int, sketch: Callable[[], Sketch]) -> Record | None:
        """Return the recorded answer to the run's next request, or None when the journal has ended.

        Args:
            key: the request's.
            size: length of its answer.
            sketch: returns the request's.

        Raises:
            InputError: the recorded request differs: the journal is of a run with other options.
        """
        record = next(self._replay, None)
        if record is None:
            return None
        is_same = record.answer.size == size and (
            record.key == key or (self._elsewhere and _is_close(record.sketch, sketch()))
        )
        if not is_same and self._elsewhere:
            log.warning(
                "evaluation %d is at another point than on the processor before; from it on all are made again",
                self.replayed + 1,
            )
            self._replay.close()
            return None
        if not is_same:
            raise InputError(
                f"journal in {self._storage.url} belongs to another run: evaluation {self.replayed + 1} was "
                f"at another point (other method, options or software versions?); choose another {argument('run')}, "
                "or delete this run folder"
            )
        self.replayed += 1
        self.bytes += record.nbytes
        return record

    def append(self, record: Record) -> None:
        """Record an answer, unless the limit is passed: then `full` is set and nothing more is recorded.

        Raises:
            ClusterError: the storage fails.
        """
        if not self.full and self.bytes + record.nbytes > self._limit:
            self.full = True
        if self.full:
            return
        if self._empty:
            # With the first answer, not at the start: the number of earlier records is unknown until the replay ends.
            self._log.append(pack_header(self._identity, self.replayed))
            self._empty = False
        # In one piece: a log in S3 is cut between pieces, so that no part of it ends with half a record.
        self._log.append(pack_record(record))
        self.bytes += record.nbytes

    def close(self) -> None:
        """Flush and close the log."""
        self._log.close()

    def _records(self, attempts: int) -> Generator[Record, None, None]:
        """Yield the records of attempts 1 .. attempts, of each log those before the next one's first."""
        begins = check(self._storage, self._identity, attempts)
        position = known = 0
        for number in range(1, attempts + 1):
            end = min((begin for other, begin in begins.items() if other > number), default=None)
            with self._storage.read_log(_name(number)) as stream:
                log = LogReader(stream, self._storage.address(_name(number)))
                place = begins.get(number, position)
                # Records past the next log's beginning are of an attempt that ran beside it, or lie behind damage: the
                # same answers again.
                count = None if end is None else max(end - place, 0)
                for record in itertools.islice(log.records(), count):
                    place += 1
                    if place == position + 1:  # else some before it are damaged
                        position = place
                        yield record
                known = max(known, place + log.dropped if end is None else end)
        self.dropped = known - position


def _is_close(one: Sketch, other: Sketch) -> bool:
    """Return whether two requests are the same but for last bits."""
    return all(abs(a - b) <= LAST_BITS * one[2] for a, b in zip(one, other, strict=True))


def check(storage: Storage, identity: Mapping[str, str], attempts: int | None = None) -> dict[int, int]:
    """Check that a run folder's journal has this identity; reads the headers only.

    Returns:
        attempt -> number of records before its log, for attempts (all, or the first `attempts`) that recorded any.

    Raises:
        InputError: it is of another run, or is not a journal.
    """
    begins = {}
    for number in range(1, (len(storage.list("attempts/")) if attempts is None else attempts) + 1):
        address = storage.address(_name(number))
        with storage.read_log(_name(number)) as stream:
            log = LogReader(stream, address)
        if log.identity is not None:
            check_identity(f"journal in {address}", log.identity, identity)
            begins[number] = log.begin
    return begins


def delete(storage: Storage) -> None:
    """Delete the logs of all attempts, then the mark of a full journal."""
    for number in range(1, len(storage.list("attempts/")) + 1):
        storage.delete_log(_name(number))
    storage.delete(FULL)  # last: while there is a mark, the next attempt repeats this


def _name(attempt: int) -> str:
    return f"journal/{attempt:04d}"


def check_identity(what: str, before: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Check that the identity of stored data is that of the requested run.

    Raises:
        InputError: it is another one; names the first difference and the remedy.
    """
    for name, text in differences(before, now).items():
        raise another(
            what, "run", [text], f"choose another {argument('run')}, or delete this run folder{_advice(name)}"
        )


def _advice(name: str) -> str:
    """Return a hint for a changed source of a user's module, whose change may not matter."""
    if not is_code(name):
        return ""
    return " (an edit that does not matter counts too, unless the problem has a fingerprint() when its run begins)"
