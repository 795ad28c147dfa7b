"""The journal: every evaluation's answer, in order, so that a run that was killed is resumed with the same bits.

SciPy's optimizers are deterministic: the same answers lead to the same requests. A new attempt therefore starts at x0
and replays the journal, without touching the data, until the journal ends. Each attempt writes one log of its own,
`journal/<attempt>`; together, in order, they are the sequence of all answers.

A log is a file header (magic, then as JSON the run's identity and the number of records before this log's) and records.
Two attempts that ran at once recorded the same answers twice, without harm: each log's header has its position.
A record is

    4 s  magic              16 s  key of the request (`Request.key`)
    d    seconds of the run so far
    Q    bytes of the answer    I  CRC-32 of the answer    I  CRC-32 of this header
    and the answer, float64, little-endian.
"""

from __future__ import annotations

import itertools
import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from jobs.errors import InputError, argument
from jobs.runs.identity import another, differences, is_code
from jobs.storage import Storage

Vector = NDArray[np.float64]
MAGIC = b"DJJ1"
RECORD = struct.Struct("<4s16sdQI")
FULL = "journal-full"
"""A file of the run folder that marks a journal whose limit was passed: later answers are not recorded."""
CHECKED = struct.Struct("<I")


@dataclass(frozen=True)
class Record:
    """One evaluation: the request's key, the run's seconds when it was answered, and the answer (size,) float64."""

    key: bytes
    seconds: float
    answer: Vector


class Journal:
    """Replays what earlier attempts recorded, then records.

    Args:
        storage: the run folder.
        attempt: the number of this attempt, from 1; logs of lower numbers are replayed.
        identity: the run's (data, regularizers, ...): name -> value, by the names in error messages.
        limit: maximum bytes; beyond them nothing more is recorded.

    Raises:
        InputError: a log belongs to another run, or is corrupt in its middle.
    """

    def __init__(self, storage: Storage, attempt: int, identity: Mapping[str, str], limit: int) -> None:
        self._storage, self._limit = storage, limit
        self._identity = dict(identity)
        self._replay = self._records(attempt - 1)
        self._log = storage.append_log(_name(attempt))
        self._empty = True
        self.bytes = 0
        self.replayed = 0
        self.full = False

    def next(self, key: bytes) -> Record | None:
        """Return the recorded answer to the run's next request, or None when the journal has ended.

        Raises:
            InputError: the recorded request differs: the journal is of a run with other options.
        """
        record = next(self._replay, None)
        if record is None:
            return None
        if record.key != key:
            raise InputError(
                f"journal in {self._storage.url} belongs to another run: evaluation {self.replayed + 1} was "
                f"at another point (other method, options or software versions?); choose another {argument('run')}, "
                "or delete this run folder"
            )
        self.replayed += 1
        self.bytes += RECORD.size + CHECKED.size + record.answer.nbytes
        return record

    def append(self, record: Record) -> None:
        """Record an answer, unless the limit is passed: then `full` is set and nothing more is recorded.

        Raises:
            ClusterError: the storage fails.
        """
        answer = np.ascontiguousarray(record.answer, dtype="<f8")
        size = RECORD.size + CHECKED.size + answer.nbytes
        if not self.full and self.bytes + size > self._limit:
            self.full = True
        if self.full:
            return
        header = RECORD.pack(MAGIC, record.key, record.seconds, answer.nbytes, zlib.crc32(answer.data))
        if self._empty:
            # With the first answer, not at the start: the number of earlier records is unknown until the replay ends.
            self._log.append(_file_header(self._identity, self.replayed))
            self._empty = False
        # In one piece: a log in S3 is cut between pieces, so that no part of it ends with half a record.
        self._log.append(header + CHECKED.pack(zlib.crc32(header)) + answer.tobytes())
        self.bytes += size

    def close(self) -> None:
        """Flush and close the log."""
        self._log.close()

    def _records(self, attempts: int) -> Iterator[Record]:
        """Yield the records of attempts 1 .. attempts, of each log those before the next one's first."""
        begins = check(self._storage, self._identity, attempts)
        for number, begin in begins.items():
            end = min((later for other, later in begins.items() if other > number), default=None)
            name = _name(number)
            with self._storage.read_log(name) as stream:
                _read_file_header(stream, self._storage.address(name), self._identity)
                records = _read_records(stream, self._storage.address(name))
                # Records past the next log's beginning are of an attempt that ran beside it: the same answers again.
                yield from itertools.islice(records, None if end is None else max(end - begin, 0))


def check(storage: Storage, identity: Mapping[str, str], attempts: int | None = None) -> dict[int, int]:
    """Check that a run folder's journal has this identity; reads the headers only.

    Returns:
        attempt -> number of records before its log, for attempts (all, or the first `attempts`) that recorded any.

    Raises:
        InputError: it is of another run, or is not a journal.
    """
    begins = {}
    for number in range(1, (len(storage.list("attempts/")) if attempts is None else attempts) + 1):
        with storage.read_log(_name(number)) as stream:
            begin = _read_file_header(stream, storage.address(_name(number)), identity)
        if begin is not None:
            begins[number] = begin
    return begins


def delete(storage: Storage) -> None:
    """Delete the logs of all attempts, then the mark of a full journal."""
    for number in range(1, len(storage.list("attempts/")) + 1):
        storage.delete_log(_name(number))
    storage.delete(FULL)  # last: while there is a mark, the next attempt repeats this


def _name(attempt: int) -> str:
    return f"journal/{attempt:04d}"


def _file_header(identity: Mapping[str, str], begin: int) -> bytes:
    text = json.dumps({"identity": identity, "begin": begin}, sort_keys=True).encode()
    return MAGIC + CHECKED.pack(len(text)) + text + CHECKED.pack(zlib.crc32(text))


def _read_file_header(stream: BinaryIO, where: str, identity: Mapping[str, str]) -> int | None:
    """Check that a log is of this run and return the number of records before it; None for an empty or torn header."""
    start = stream.read(len(MAGIC) + CHECKED.size)
    if not MAGIC.startswith(start[: len(MAGIC)]):  # of a torn header there may be a part only
        raise InputError(
            f"{where} is no journal: it starts with {start[:4]!r}; choose another {argument('run')}, or delete it"
        )
    size = CHECKED.unpack(start[len(MAGIC) :])[0] if len(start) == len(MAGIC) + CHECKED.size else 0
    text, check = stream.read(size), stream.read(CHECKED.size)
    if not size or len(check) < CHECKED.size:
        return None
    if zlib.crc32(text) != CHECKED.unpack(check)[0]:
        raise InputError(f"{where} is corrupt in its header; delete the run folder and start again")
    header = json.loads(text)
    check_identity(f"journal in {where}", header["identity"], identity)
    return int(header["begin"])


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


def _read_records(stream: BinaryIO, where: str) -> Iterator[Record]:
    """Yield the records of a log; a torn record at its end, of a process that was killed, is dropped.

    Raises:
        InputError: a record that is not the last one is corrupt.
    """
    number = 0
    while len(header := stream.read(RECORD.size + CHECKED.size)) == RECORD.size + CHECKED.size:
        number += 1
        magic, key, seconds, size, check = RECORD.unpack(header[: RECORD.size])
        intact = magic == MAGIC and zlib.crc32(header[: RECORD.size]) == CHECKED.unpack(header[RECORD.size :])[0]
        answer = stream.read(size) if intact else b""
        if not intact or len(answer) < size or zlib.crc32(answer) != check:
            if stream.read(1):  # more follows: not a torn end, but damage in the middle
                raise InputError(
                    f"{where} is corrupt at record {number}; restore it, or delete the run folder and start again"
                )
            return
        # A copy: an array on bytes cannot be written into, and a Hessian product goes to SciPy as it is.
        yield Record(key, seconds, np.frombuffer(answer, dtype="<f8").astype(np.float64, copy=True))
