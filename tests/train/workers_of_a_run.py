"""Records of workers as a run of two attempts has them: a join, a loss, a spare, a slow one."""

from __future__ import annotations

from jobs.train.loop.timeline import Record


def spent(part: float, exchange: float, parts: int = 1000) -> dict[str, float]:
    """Return where a worker's time went: seconds of a part, and of exchanging in all."""
    seconds = parts * part
    return {"data": 0.1 * seconds, "compute": 0.9 * seconds, "exchange": exchange, "apply": 1.0, "parts": parts}


RECORDS = [
    Record("tcp://10.0.0.1:40001", 1, spans=[[0.5, 20.0, 4]], spent=spent(0.01, 8.0)),
    Record("tcp://10.0.0.2:40002", 1, gone=True, spans=[[0.5, 20.0, 4]]),
    Record(
        "tcp://10.0.0.3:40003", 2, spans=[[20.5, 33.0, 4], [33.0, 34.0, 8], [34.0, 60.0, 4]], spent=spent(0.01, 9.0)
    ),
    Record("tcp://10.0.0.4:40004", 2, gone=True, spans=[[20.5, 33.0, 4]], spent=spent(0.009, 3.0)),
    Record("tcp://10.0.0.5:40005", 2, joined=True, spans=[[34.0, 60.0, 4]], spent=spent(0.02, 1.0)),
    Record("tcp://10.0.0.6:40006", 2, joined=True, spans=[[45.0, 60.0, 0]]),
]
