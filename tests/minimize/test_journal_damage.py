"""Journals after a kill, a loss of power, or by another's hand: resumed from the last good record, or refused."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from journals import IDENTITY, ROOM, make_attempt, make_records

from jobs.cli import main
from jobs.errors import InputError
from jobs.minimize import journal as journals
from jobs.minimize.journal import Journal
from jobs.minimize.journal_log import CHECKED, MAGIC, RECORD, pack_header
from jobs.storage import Storage, open_storage

SIZE = make_records(1)[0].nbytes


def _damage(log: Path, change: Callable[[bytearray], object]) -> None:
    content = bytearray(log.read_bytes())
    change(content)
    log.write_bytes(content)


@pytest.mark.parametrize("kept", [0, 1, 3, 4, 10, 60])
def test_a_torn_end_is_dropped(kept: int, tmp_path: Path) -> None:
    """A log cut short anywhere, also in its header, is read as far as it is whole, and the run goes on."""
    storage = open_storage(tmp_path)
    records = make_records(4)
    make_attempt(storage, 1, records[:3])
    log = tmp_path / "journal/0001"
    whole = log.read_bytes()
    log.write_bytes(whole[:kept] if kept < 60 else whole[:-7])
    journal = make_attempt(storage, 2, records)
    assert (journal.replayed, journal.dropped) == (2 if kept == 60 else 0, 0)
    assert make_attempt(storage, 3, records).replayed == 4


def test_every_cut_is_survived(tmp_path: Path) -> None:
    """Whatever the length a crash leaves, the next attempt reads the whole records and no other."""
    records = make_records(3, size=2)
    make_attempt(open_storage(tmp_path / "whole"), 1, records)
    whole = (tmp_path / "whole/journal/0001").read_bytes()
    for cut in range(len(whole)):
        storage = open_storage(tmp_path / str(cut))
        storage.write("journal/0001", whole[:cut])
        journal = Journal(storage, 2, IDENTITY, ROOM)
        expected = max(0, 3 - -(-(len(whole) - cut) // records[0].nbytes))
        replayed = 0
        while replayed < 3 and journal.next(records[replayed].key, 2, tuple):
            replayed += 1
        assert replayed == expected


def test_a_corrupt_end_is_dropped_like_a_torn_one(tmp_path: Path) -> None:
    """Garbage in the very last record may come from a crash of the machine."""
    storage = open_storage(tmp_path)
    make_attempt(storage, 1, make_records(3))
    _damage(tmp_path / "journal/0001", lambda content: content.__setitem__(-1, content[-1] ^ 1))
    journal = make_attempt(storage, 2, make_records(3))
    assert (journal.replayed, journal.dropped) == (2, 0)


@pytest.mark.parametrize(
    ("start", "stop", "replayed"),
    [
        (8, 9, 7),  # a bit in the header of a record
        (SIZE - 1, SIZE, 7),  # one in its answer
        (0, SIZE, 7),  # all of it
        (SIZE - 3, 2 * SIZE + 3, 7),  # a page, in the midst of three records
        (0, 5 * SIZE, 7),  # the end, which has its length and no bytes
    ],
)
def test_what_follows_damage_is_made_again(start: int, stop: int, replayed: int, tmp_path: Path) -> None:
    """A flipped bit or pages of zeros are never taken for data: the records before them are replayed, no others."""
    storage, records = open_storage(tmp_path), make_records(12)
    make_attempt(storage, 1, records)

    def change(content: bytearray) -> None:
        at = len(content) - 5 * SIZE
        content[at + start : at + stop] = bytes(byte ^ 1 for byte in content[at + start : at + stop])
        if stop - start > 1:
            content[at + start : at + stop] = bytes(stop - start)

    _damage(tmp_path / "journal/0001", change)
    journal = make_attempt(storage, 2, records[:9])
    assert (journal.replayed, journal.dropped) == (replayed, 5)
    again = make_attempt(storage, 3, records)
    assert (again.replayed, again.dropped) == (9, 0)
    assert make_attempt(storage, 4, records).replayed == 12


def test_damage_in_an_early_attempt(tmp_path: Path) -> None:
    """Later logs are of no use then, and do not come back when another attempt has recorded the same evaluations."""
    storage, records = open_storage(tmp_path), make_records(12)
    for attempt, upto in enumerate((4, 8, 12), start=1):
        make_attempt(storage, attempt, records[:upto])
    _damage(tmp_path / "journal/0001", lambda content: content.__setitem__(slice(-2 * SIZE, None), bytes(2 * SIZE)))
    make_attempt(storage, 4, [])  # ended before its first evaluation
    for attempt, upto, expected in ((5, 3, (2, 10)), (6, 5, (3, 0)), (7, 12, (5, 0)), (8, 12, (12, 0))):
        journal = make_attempt(storage, attempt, records[:upto])
        assert (journal.replayed, journal.dropped) == expected


@pytest.mark.parametrize("attempt", [1, 2, 3])
@pytest.mark.parametrize("zeros", [True, False], ids=["zeros", "a bit"])
def test_a_damaged_log_header(attempt: int, zeros: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """Without it nothing of the log is used, and all of the logs before it is."""
    storage, records = open_storage(tmp_path), make_records(12)
    for number, upto in enumerate((4, 8, 12), start=1):
        make_attempt(storage, number, records[:upto])
    new = bytes(20) if zeros else b"\x07"
    _damage(tmp_path / f"journal/000{attempt}", lambda content: content.__setitem__(slice(20 - len(new), 20), new))
    journals.check(storage, IDENTITY)
    journal = make_attempt(storage, 4, records[:-1])
    assert (journal.replayed, journal.dropped) == (4 * (attempt - 1), 12 - 4 * (attempt - 1))
    again = make_attempt(storage, 5, records)
    assert (again.replayed, again.dropped) == (11, 0)


def test_a_run_goes_on_after_a_loss_of_power(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It ends with the same bits, and says how much of the journal was lost, once in the log and in the summary."""
    command = ["minimize", "--workers", "0", "--max-iterations", "15", "--run"]
    assert main([*command, str(tmp_path / "whole")]) == 0
    assert main([*command, str(tmp_path / "cut")]) == 0
    (tmp_path / "cut/result.json").unlink()
    log = tmp_path / "cut/journal/0001"
    _damage(log, lambda content: content.__setitem__(slice(-12288, None), bytes(12288)))
    capsys.readouterr()
    assert main([*command, str(tmp_path / "cut")]) == 0
    shown = capsys.readouterr()
    spent = json.loads((tmp_path / "cut/result.json").read_bytes())["diagnostics"]
    assert 0 < spent["dropped"] < spent["dropped"] + spent["replayed"]
    text = f"damaged after {spent['replayed']} evaluations; the next {spent['dropped']} are computed again"
    assert shown.err.count(text) == 1
    assert f"warning: the journal was {text}" in shown.out
    assert (tmp_path / "cut/x.npy").read_bytes() == (tmp_path / "whole/x.npy").read_bytes()


def _log_header(text: bytes) -> bytes:
    return MAGIC + CHECKED.pack(len(text)) + text + CHECKED.pack(zlib.crc32(text))


def _head(size: int, answer: bytes, seconds: float = 1.0) -> bytes:
    head = RECORD.pack(MAGIC, b"k" * 16, seconds, 0.0, 0.0, 0.0, size, zlib.crc32(answer))
    return head + CHECKED.pack(zlib.crc32(head)) + answer


GOOD = pack_header(IDENTITY, 0)


@pytest.mark.parametrize(
    "content",
    [
        _log_header(b"{}"),
        _log_header(b"[]"),
        _log_header(b"not JSON"),
        _log_header(b"[" * 100_000),
        *(
            _log_header(json.dumps(header).encode())
            for header in (
                {"identity": IDENTITY},
                {"begin": 0},
                {"identity": [1], "begin": 0},
                {"identity": IDENTITY, "begin": "0"},
                {"identity": IDENTITY, "begin": -1},
                {"identity": IDENTITY, "begin": 2**63},
                {"identity": IDENTITY, "begin": 0.5},
            )
        ),
        GOOD + _head(2**63, b""),
        GOOD + _head(2**62, b"\0" * 40),
        GOOD + _head(12, b"\0" * 12),
        GOOD + _head(40, b"\0" * 40, float("nan")),
    ],
)
def test_a_forged_journal_is_refused(content: bytes, storage: Storage) -> None:
    """Checksums may be right where nothing else is: one line, and no memory is taken for sizes that are said."""
    storage.create("attempts/0001", b"")
    storage.write("journal/0001" if storage.url.startswith("/") else "journal/0001/00000001", content)
    with pytest.raises(
        InputError, match=r"journal/0001 is another version's journal: .*; choose another run"
    ) as caught:
        make_attempt(storage, 2, make_records(1))
    assert "\n" not in str(caught.value)


def test_an_answer_of_another_size_is_refused(tmp_path: Path) -> None:
    """The request's key may be right where its answer is not."""
    storage = open_storage(tmp_path)
    make_attempt(storage, 1, make_records(1, size=7))
    with pytest.raises(InputError, match="evaluation 1 was at another point"):
        Journal(storage, 2, IDENTITY, ROOM).next(make_records(1)[0].key, 5, tuple)
