"""What a tracker must know to go on with its own run in a later attempt: a file of the run folder."""

from __future__ import annotations

import json
from typing import Any

from jobs.runs.encoding import as_json
from jobs.storage import Storage


def read_kept(storage: Storage, tracker: str) -> dict[str, Any]:
    """Return what a tracker has kept; nothing if there is none, or it is damaged."""
    try:
        kept = json.loads(storage.read(_name(tracker)))
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    return kept if isinstance(kept, dict) else {}


def keep(storage: Storage, tracker: str, kept: dict[str, Any]) -> None:
    """Write what a tracker must know in a later attempt."""
    storage.write(_name(tracker), as_json(kept))


def _name(tracker: str) -> str:
    return f"observers/{tracker}.json"
