"""docs/design.md says what each module is for."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def _modules() -> set[str]:
    files = (path for path in (ROOT / "jobs").rglob("*.py") if path.name != "__init__.py")
    return {path.relative_to(ROOT / "jobs").with_suffix("").as_posix() for path in files}


def _named() -> set[str]:
    text = (ROOT / "docs/design.md").read_text()
    table = text.partition("| folder | modules |")[2].partition("\n\n")[0]
    named = set()
    for folder, modules in re.findall(r"^\| `([a-z_/]+)/` \| (.*) \|$", table, re.MULTILINE):
        where = "" if folder == "jobs" else f"{folder}/"
        named |= {f"{where}{name}" for name in re.findall(r"`([a-z0-9_]+)`", modules)}
    return named


def test_the_table_of_parts_names_all_modules_and_no_other() -> None:
    """A module that is new, moved or gone shows here, so that a newcomer finds each line's room."""
    modules, named = _modules(), _named()
    assert sorted(modules - named) == []
    assert sorted(named - modules) == []
