"""The journal: what is replayed, what is dropped, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jobs.errors import InputError
from jobs.minimize import journal as journals
from jobs.minimize.journal import Journal, Record
from jobs.storage import Storage, open_storage

IDENTITY = {"l2": "0.0", "method": "L-BFGS-B"}
ROOM = 2**30


def _records(count: int, size: int = 5) -> list[Record]:
    generator = np.random.default_rng(0)
    return [Record(generator.bytes(16), 0.5 * i, generator.standard_normal(size)) for i in range(count)]


def _attempt(storage: Storage, attempt: int, records: list[Record], identity: dict[str, str] = IDENTITY) -> Journal:
    """Replay what is there, then record."""
    storage.create(f"attempts/{attempt:04d}", b"")
    journal = Journal(storage, attempt, identity, ROOM)
    for record in records:
        told = journal.next(record.key)
        if told is None:
            journal.append(record)
        else:
            assert told.seconds == record.seconds
            assert told.answer.tobytes() == record.answer.tobytes()
    journal.close()
    return journal


def test_attempts_continue_each_other(storage: Storage) -> None:
    """Each attempt replays all earlier ones in order and records what is new."""
    records = _records(9)
    for attempt, upto in enumerate((3, 3, 7, 9), start=1):
        journal = _attempt(storage, attempt, records[:upto])
    assert journal.replayed == 7
    assert _attempt(storage, 5, records).replayed == 9


def test_two_attempts_at_once_do_no_harm(storage: Storage) -> None:
    """Logs that overlap, since drivers ran side by side, are read once each record, in whatever order they ended."""
    records = _records(12)
    first = Journal(storage, 1, IDENTITY, ROOM)
    for record in records[:4]:
        assert first.next(record.key) is None
        first.append(record)
    first._log.flush()
    _attempt(storage, 2, records[:9])
    _attempt(storage, 3, records[:10])
    for record in records[4:7]:
        first.append(record)
    first.close()
    storage.create("attempts/0001", b"")
    assert _attempt(storage, 4, records).replayed == 10
    assert _attempt(storage, 5, records).replayed == 12


def test_what_is_replayed_may_be_changed(tmp_path: Path) -> None:
    """SciPy writes into the vectors it gets, so they are writable."""
    storage = open_storage(tmp_path)
    _attempt(storage, 1, _records(1))
    record = Journal(storage, 2, IDENTITY, ROOM).next(_records(1)[0].key)
    assert record is not None
    assert record.answer.flags.writeable


@pytest.mark.parametrize("kept", [0, 1, 3, 4, 10, 60])
def test_a_torn_end_is_dropped(kept: int, tmp_path: Path) -> None:
    """A log cut short anywhere, also in its header, is read as far as it is whole, and the run goes on."""
    storage = open_storage(tmp_path)
    records = _records(4)
    _attempt(storage, 1, records[:3])
    log = tmp_path / "journal/0001"
    whole = log.read_bytes()
    log.write_bytes(whole[:kept] if kept < 60 else whole[:-7])
    journal = _attempt(storage, 2, records)
    assert journal.replayed == (2 if kept == 60 else 0)
    assert _attempt(storage, 3, records).replayed == 4


def test_every_cut_is_survived(tmp_path: Path) -> None:
    """Whatever the length a crash leaves, the next attempt reads the whole records and no other."""
    records = _records(3, size=2)
    whole_storage = open_storage(tmp_path / "whole")
    _attempt(whole_storage, 1, records)
    whole = (tmp_path / "whole/journal/0001").read_bytes()
    size = len(_one_record(records[0]))
    for cut in range(len(whole)):
        storage = open_storage(tmp_path / str(cut))
        storage.write("journal/0001", whole[:cut])
        journal = Journal(storage, 2, IDENTITY, ROOM)
        expected = max(0, 3 - -(-(len(whole) - cut) // size))
        replayed = 0
        while replayed < 3 and journal.next(records[replayed].key):
            replayed += 1
        assert replayed == expected


def _one_record(record: Record) -> bytes:
    return b"0" * (journals.RECORD.size + journals.CHECKED.size + record.answer.nbytes)


def test_a_corrupt_end_is_dropped_like_a_torn_one(tmp_path: Path) -> None:
    """Garbage in the very last record may come from a crash of the machine."""
    storage = open_storage(tmp_path)
    _attempt(storage, 1, _records(3))
    log = tmp_path / "journal/0001"
    log.write_bytes(log.read_bytes()[:-1] + b"\x55")
    assert _attempt(storage, 2, _records(3)).replayed == 2


@pytest.mark.parametrize("where", ["header", "answer"])
def test_a_corrupt_middle_is_refused(where: str, tmp_path: Path) -> None:
    """A flipped byte before the last record is never taken for data."""
    storage = open_storage(tmp_path)
    _attempt(storage, 1, _records(3))
    log = tmp_path / "journal/0001"
    content = bytearray(log.read_bytes())
    size = len(_one_record(_records(1)[0]))
    content[-2 * size + (8 if where == "header" else size - 1)] ^= 1
    log.write_bytes(content)
    with pytest.raises(InputError, match=r"journal/0001 is corrupt at record 2; restore it, or delete"):
        _attempt(storage, 2, _records(3))


def test_a_corrupt_file_header_is_refused(tmp_path: Path) -> None:
    """A flipped byte in the identity is found by its checksum."""
    storage = open_storage(tmp_path)
    _attempt(storage, 1, _records(3))
    log = tmp_path / "journal/0001"
    content = bytearray(log.read_bytes())
    content[12] ^= 1
    log.write_bytes(content)
    with pytest.raises(InputError, match="corrupt in its header"):
        journals.check(storage, IDENTITY)


def test_another_runs_journal_is_refused(storage: Storage) -> None:
    """The option that differs is named with both values, before anything is replayed."""
    _attempt(storage, 1, _records(2))
    with pytest.raises(InputError, match=r"belongs to another run: l2 was 0.0, and is now 0.5; choose another run"):
        journals.check(storage, IDENTITY | {"l2": "0.5"})
    journals.check(storage, IDENTITY)


def test_another_way_is_refused(tmp_path: Path) -> None:
    """A request that is not the recorded one means that the steps differ."""
    storage = open_storage(tmp_path)
    _attempt(storage, 1, _records(2))
    journal = Journal(storage, 2, IDENTITY, ROOM)
    journal.next(_records(1)[0].key)
    with pytest.raises(InputError, match="evaluation 2 was at another point"):
        journal.next(b"x" * 16)


def test_no_journal_is_no_journal(tmp_path: Path) -> None:
    """A file that is something else is not replayed."""
    storage = open_storage(tmp_path)
    storage.create("attempts/0001", b"")
    storage.write("journal/0001", b"hello, I am a text file")
    with pytest.raises(InputError, match="is no journal: it starts with b'hell'"):
        journals.check(storage, IDENTITY)


def test_past_the_limit_nothing_more_is_recorded(tmp_path: Path) -> None:
    """A full journal says so, and stays readable."""
    storage = open_storage(tmp_path)
    records = _records(5)
    journal = Journal(storage, 1, IDENTITY, 3 * len(_one_record(records[0])))
    for record in records:
        journal.append(record)
    journal.close()
    assert journal.full
    assert _attempt(storage, 2, records).replayed == 3
