"""One log of the journal: its file header and its records as bytes, and where it is damaged.

A log is a file header (magic, then as JSON the run's identity and the number of records before this log's) and records.
A record is

    4 s  magic              16 s  key of the request (`Request.key`)
    d    seconds of the run so far
    3 d  sketch of the request (`Request.sketch`)
    Q    bytes of the answer    I  CRC-32 of the answer    I  CRC-32 of this header
    and the answer, float64, little-endian.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from jobs.errors import InputError, argument
from jobs.minimize.evaluate.request import Sketch

Vector = NDArray[np.float64]
MAGIC = b"DJJ2"
RECORD = struct.Struct("<4s16sd3dQI")
CHECKED = struct.Struct("<I")
HEAD = RECORD.size + CHECKED.size
"""Bytes of a record before its answer."""
MAX_HEADER, MAX_ANSWER = 1 << 24, 1 << 40
"""More bytes than the identity of a run, or an answer, has."""
_PIECE = 8 << 20


@dataclass(frozen=True)
class Record:
    """One evaluation: the request's key, the run's seconds when it was answered, and the answer (size,) float64.

    `sketch` is the request's too, by which it is known where the key is another one in last bits.
    """

    key: bytes
    seconds: float
    answer: Vector
    sketch: Sketch

    @property
    def nbytes(self) -> int:
        """Bytes of the record in a log."""
        return HEAD + self.answer.nbytes


def pack_record(record: Record) -> bytes:
    """Return a record's bytes."""
    answer = np.ascontiguousarray(record.answer, dtype="<f8")
    header = RECORD.pack(MAGIC, record.key, record.seconds, *record.sketch, answer.nbytes, zlib.crc32(answer.data))
    return header + CHECKED.pack(zlib.crc32(header)) + answer.tobytes()


def pack_header(identity: Mapping[str, str], begin: int) -> bytes:
    """Return the bytes of a log's header."""
    text = json.dumps({"identity": identity, "begin": begin}, sort_keys=True).encode()
    return MAGIC + CHECKED.pack(len(text)) + text + CHECKED.pack(zlib.crc32(text))


class LogReader:
    """Reads one log from its beginning, up to the first record that is damaged.

    Args:
        stream: the log, not read yet.
        where: its address, for messages.

    Attributes:
        identity: of its run; None if the log is empty, or damaged in its header.
        begin: number of records before its first.
        dropped: number of records from the first damaged one on, by their sizes; known once all others are read. A
            torn one at the end, of a process that was killed, does not count.

    Raises:
        InputError: it is no journal, or another version's.
    """

    def __init__(self, stream: BinaryIO, where: str) -> None:
        self._stream, self._where = stream, where
        self.identity: dict[str, Any] | None = None
        self.begin = self.dropped = 0
        if (text := self._header_text()) is not None:
            self.identity, self.begin = self._parsed(text)

    def records(self) -> Iterator[Record]:
        """Yield the records before the first damaged one."""
        unit = 0
        while self.identity is not None and (head := self._stream.read(HEAD)):
            record, used = self._record(head)
            if record is None:
                if rest := _skip(self._stream):  # else it is the last one
                    self.dropped = -(-(used + rest) // (unit or used + rest))
                return
            unit = record.nbytes
            yield record

    def _header_text(self) -> bytes | None:
        """Return the JSON of the log's header; None if that is torn, or damaged."""
        start = self._stream.read(len(MAGIC) + CHECKED.size)
        magic = start[: len(MAGIC)]
        if not MAGIC.startswith(magic) and magic.strip(b"\0"):  # zeros: a loss of power left a file without its bytes
            raise InputError(
                f"{self._where} is no journal: it starts with {magic!r}; choose another {argument('run')}, or delete it"
            )
        if len(start) < len(MAGIC) + CHECKED.size:
            return None
        size = CHECKED.unpack(start[len(MAGIC) :])[0]
        text = _read(self._stream, size) if size <= MAX_HEADER else b""
        check = self._stream.read(CHECKED.size)
        if len(text) < size <= MAX_HEADER or len(check) < CHECKED.size:
            return None  # torn
        if zlib.crc32(text) == CHECKED.unpack(check)[0] and magic == MAGIC:
            return text
        self.dropped = _count_heads(text + check, self._stream)
        return None

    def _parsed(self, text: bytes) -> tuple[dict[str, Any], int]:
        try:
            header = json.loads(text)
            identity, begin = header["identity"], header["begin"]
        except (ValueError, TypeError, KeyError, RecursionError):
            identity = begin = None
        if not isinstance(identity, dict) or type(begin) is not int or not 0 <= begin < 2**53:
            raise self._other_version("its header lacks the run's identity, or the number of records before it")
        return identity, begin

    def _record(self, head: bytes) -> tuple[Record | None, int]:
        """Return the record that begins with `head`, None if it is damaged, and how many bytes were read."""
        if len(head) < HEAD or not _is_head(head):
            return None, len(head)
        _, key, seconds, *sketch, size, check = RECORD.unpack(head[: RECORD.size])
        if size % 8 or size > MAX_ANSWER or not math.isfinite(seconds):
            raise self._other_version(f"a record is of {size:,} bytes, at {seconds} s")
        answer = _read(self._stream, size)
        if len(answer) < size or zlib.crc32(answer) != check:
            return None, HEAD + len(answer)
        # A copy: an array on bytes cannot be written into, and a Hessian product goes to SciPy as it is.
        numbers = np.frombuffer(answer, dtype="<f8").astype(np.float64, copy=True)
        return Record(key, seconds, numbers, (sketch[0], sketch[1], sketch[2])), HEAD + size

    def _other_version(self, why: str) -> InputError:
        return InputError(f"{self._where} is another version's journal: {why}; choose another {argument('run')}")


def _is_head(head: bytes) -> bool:
    return head.startswith(MAGIC) and zlib.crc32(head[: RECORD.size]) == CHECKED.unpack(head[RECORD.size :])[0]


def _read(stream: BinaryIO, size: int) -> bytes:
    """Return the next `size` bytes, fewer at the end of the log; no more memory is taken than it has bytes."""
    pieces = []
    while size and (piece := stream.read(min(size, _PIECE))):
        pieces.append(piece)
        size -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _skip(stream: BinaryIO) -> int:
    """Read to the end of the log, and return how many bytes that were."""
    return sum(len(piece) for piece in iter(lambda: stream.read(_PIECE), b""))


def _count_heads(start: bytes, stream: BinaryIO) -> int:
    """Return how many records begin in `start` and what follows in the log, wherever they lie."""
    count, rest = 0, start
    for piece in iter(lambda: stream.read(_PIECE), b""):
        data, place = rest + piece, -1
        while (place := data.find(MAGIC, place + 1)) >= 0:
            head = data[place : place + HEAD]
            if len(head) < HEAD:
                break  # found again with the next piece
            count += _is_head(head)
        rest = data[1 - HEAD :]
    return count
