"""The recorded situations: objects of real releases, from record.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jobs.release.api.objects import Objects, Run, present_run
from jobs.release.status.state import Release, release_state

FOLDER = Path(__file__).parent / "situations"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


def objects(name: str) -> Objects:
    """Return the objects of a situation, as they were read from the API."""
    return of(json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")))


def of(content: dict[str, Any]) -> Objects:
    """Return the objects in the content of such a file."""
    logs = {(log["pod"], log["container"]): log["text"] for log in content.pop("logs")}
    lists = {key: tuple(value) for key, value in content.items() if isinstance(value, list)}
    return Objects(**{**content, **lists}, logs=logs)


def run(name: str) -> Run:
    """Return the present run of a situation."""
    found = present_run(objects(name))
    assert found is not None
    return found


def state(name: str) -> Release:
    """Return the state of the release in a situation."""
    return release_state(objects(name), run(name))
