"""Journals of a few records, as tests make them."""

from __future__ import annotations

import numpy as np

from jobs.minimize.journal import Journal
from jobs.minimize.journal_log import Record
from jobs.storage import Storage

IDENTITY = {"l2": "0.0", "method": "L-BFGS-B"}
ROOM = 2**30


def make_records(count: int, size: int = 5) -> list[Record]:
    generator = np.random.default_rng(0)
    return [
        Record(generator.bytes(16), 0.5 * i, generator.standard_normal(size), (1.0 + i, 2.0, 4.0)) for i in range(count)
    ]


def make_attempt(storage: Storage, attempt: int, records: list[Record], identity: dict[str, str] = IDENTITY) -> Journal:
    """Replay what is there, then record."""
    storage.create(f"attempts/{attempt:04d}", b"")
    journal = Journal(storage, attempt, identity, ROOM)
    for record in records:
        told = journal.next(record.key, record.answer.size, lambda record=record: record.sketch)
        if told is None:
            journal.append(record)
        else:
            assert told.seconds == record.seconds
            assert told.answer.tobytes() == record.answer.tobytes()
    journal.close()
    return journal
