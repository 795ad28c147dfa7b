"""The journal: what is replayed, what is dropped, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from journals import IDENTITY, ROOM, make_attempt, make_records

from jobs.errors import InputError
from jobs.minimize import journal as journals
from jobs.minimize.journal import Journal
from jobs.minimize.journal_log import Record
from jobs.storage import Storage, open_storage


def test_attempts_continue_each_other(storage: Storage) -> None:
    """Each attempt replays all earlier ones in order and records what is new."""
    records = make_records(9)
    for attempt, upto in enumerate((3, 3, 7, 9), start=1):
        journal = make_attempt(storage, attempt, records[:upto])
    assert journal.replayed == 7
    assert make_attempt(storage, 5, records).replayed == 9


def test_two_attempts_at_once_do_no_harm(storage: Storage) -> None:
    """Logs that overlap, since drivers ran side by side, are read once each record, in whatever order they ended."""
    records = make_records(12)
    first = Journal(storage, 1, IDENTITY, ROOM)
    for record in records[:4]:
        assert first.next(record.key, record.answer.size, tuple) is None
        first.append(record)
    first._log.flush()
    make_attempt(storage, 2, records[:9])
    make_attempt(storage, 3, records[:10])
    for record in records[4:7]:
        first.append(record)
    first.close()
    storage.create("attempts/0001", b"")
    assert make_attempt(storage, 4, records).replayed == 10
    assert make_attempt(storage, 5, records).replayed == 12


def test_what_is_replayed_may_be_changed(tmp_path: Path) -> None:
    """SciPy writes into the vectors it gets, so they are writable."""
    storage = open_storage(tmp_path)
    make_attempt(storage, 1, make_records(1))
    record = Journal(storage, 2, IDENTITY, ROOM).next(make_records(1)[0].key, 5, tuple)
    assert record is not None
    assert record.answer.flags.writeable


def test_another_runs_journal_is_refused(storage: Storage) -> None:
    """The option that differs is named with both values, before anything is replayed."""
    make_attempt(storage, 1, make_records(2))
    with pytest.raises(InputError, match=r"belongs to another run: l2 was 0.0, and is now 0.5; choose another run"):
        journals.check(storage, IDENTITY | {"l2": "0.5"})
    journals.check(storage, IDENTITY)


def test_another_way_is_refused(tmp_path: Path) -> None:
    """A request that is not the recorded one means that the steps differ."""
    storage = open_storage(tmp_path)
    make_attempt(storage, 1, make_records(2))
    journal = Journal(storage, 2, IDENTITY, ROOM)
    journal.next(make_records(1)[0].key, 5, tuple)
    with pytest.raises(InputError, match="evaluation 2 was at another point"):
        journal.next(b"x" * 16, 5, tuple)


def test_elsewhere_last_bits_may_differ(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """On other arithmetic the recorded answer is that of a point nearby; once points part, all are computed again."""
    storage, records = open_storage(tmp_path), make_records(4)
    make_attempt(storage, 1, records)
    journal = Journal(storage, 2, IDENTITY, ROOM, elsewhere=True)
    near, far = (1.0 + 3e-8, 2.0, 4.0 - 3e-8), (2.0 + 1e-7, 2.0, 4.0)
    told = journal.next(b"x" * 16, 5, lambda: near)
    assert told is not None
    assert told.answer.tobytes() == records[0].answer.tobytes()
    assert journal.next(b"x" * 16, 5, lambda: far) is None
    assert journal.next(records[2].key, 5, tuple) is None, "it is not taken up again"
    assert "evaluation 2 is at another point than on the processor before" in caplog.text
    journal.append(Record(b"y" * 16, 9.0, records[1].answer, far))
    journal.close()
    assert journal.replayed == 1
    storage.create("attempts/0002", b"")
    again = Journal(storage, 3, IDENTITY, ROOM)
    assert [again.next(key, 5, tuple) is not None for key in (records[0].key, b"y" * 16, records[2].key)] == [
        True,
        True,
        False,
    ]


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
    records = make_records(5)
    journal = Journal(storage, 1, IDENTITY, 3 * records[0].nbytes)
    for record in records:
        journal.append(record)
    journal.close()
    assert journal.full
    assert make_attempt(storage, 2, records).replayed == 3
