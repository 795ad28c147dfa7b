"""arithmetic.json: what the processes of each attempt computed with, so that a later one elsewhere notices it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from jobs.cluster.bits import Bits
from jobs.runs.encoding import as_json
from jobs.storage import Storage

NAME = "arithmetic.json"


class ArithmeticFile:
    """The file of one run folder.

    Args:
        storage: the folder.
        bits: of this attempt's processes; those of earlier ones are added to it.
        attempt: this one's number.
    """

    def __init__(self, storage: Storage, bits: Bits, attempt: int) -> None:
        self._storage, self._bits, self._attempt = storage, bits, attempt
        self._attempts = _read(storage)
        for number, kinds in self._attempts.items():
            for found in kinds:
                bits.add(f"attempt {number}", found, is_here=False)

    def write(self) -> None:
        """Write what this attempt's processes compute with, if that is not written yet.

        Raises:
            ClusterError: the storage failed.
        """
        here = self._bits.here
        if self._attempts.get(str(self._attempt)) != here:
            self._attempts[str(self._attempt)] = [dict(found) for found in here]
            self._storage.write(NAME, as_json(self._attempts))


def _read(storage: Storage) -> dict[str, list[dict[str, str]]]:
    """Return attempt -> each arithmetic once; nothing of a damaged file, since it decides about a warning alone."""
    with contextlib.suppress(FileNotFoundError, ValueError, RecursionError):
        content = json.loads(storage.read(NAME))
        if isinstance(content, dict):
            return {number: _texts(kinds) for number, kinds in content.items() if number.isdecimal()}
    return {}


def _texts(kinds: Any) -> list[dict[str, str]]:
    found = [kind for kind in kinds if isinstance(kind, Mapping)] if isinstance(kinds, list) else []
    return [{str(name): str(value) for name, value in kind.items()} for kind in found]
