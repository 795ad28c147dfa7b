"""minimize's journals that are damaged: answers as they were recorded, up to the damage, or one line."""

from __future__ import annotations

from pathlib import Path

from journals import IDENTITY, ROOM, make_attempt, make_records
from mutations import damaged
from seeds import seeded, times

from jobs.errors import InputError
from jobs.minimize.journal import Journal
from jobs.storage import open_storage


def test_no_answer_is_another_one(tmp_path: Path) -> None:
    """Of three attempts' logs one or two are damaged: what is replayed has the recorded bits, in the recorded order."""
    records, storage = make_records(12), open_storage(tmp_path)
    for attempt, count in enumerate((4, 8, 12), start=1):
        make_attempt(storage, attempt, records[:count])
    logs = {name: storage.read(name) for name in storage.list("journal/")}
    replayed, refused = set(), 0
    for number in range(times(400)):
        random = seeded(f"journal-{number}")
        for name, content in logs.items():
            storage.write(name, content)
        for name in random.sample(sorted(logs), random.randint(1, 2)):
            storage.write(name, damaged(logs[name], random))
        try:
            replayed.add(_replayed(tmp_path, records))
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017
            refused += 1
    assert {0, 12} < replayed
    assert refused < times(400)


def _replayed(folder: Path, records: list) -> int:
    """Replay all that is there, and return how many answers that are."""
    journal = Journal(open_storage(folder), 4, IDENTITY, ROOM)
    count = 0
    for record in records:
        told = journal.next(record.key, record.answer.size, tuple)
        if told is None:
            break
        assert told.answer.tobytes() == record.answer.tobytes()
        count += 1
    journal.close()
    return count
