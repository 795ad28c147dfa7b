"""The digests of the user's source: which modules are followed, and what they are called."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.minimize.softmax import Softmax
from jobs.usercode import sources

FILES = {
    "followed_main.py": (
        "import numpy\nfrom followed_part import loss\nimport followed_package.inner\nclass Problem: ...\n"
    ),
    "followed_part.py": "import json\nimport followed_main\ndef loss(): return 1\n",
    "followed_package/__init__.py": "# a package\n",
    "followed_package/inner.py": "import followed_alone\n",
    "followed_alone.py": "# held by another\n",
    "followed_unused.py": "# held by none\n",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "followed_package").mkdir()
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("followed_")]:
        del sys.modules[name]


def test_the_users_modules_are_followed(folder: Path) -> None:
    """All of the user's modules that one holds or uses something of count, round in circles too; libraries do not."""
    module = importlib.import_module("followed_main")
    assert list(sources(module.Problem)) == [
        "source of followed_alone.py",
        "source of followed_main.py",
        "source of followed_package/__init__.py",
        "source of followed_package/inner.py",
        "source of followed_part.py",
    ]


def test_a_digest_changes_with_its_file(folder: Path) -> None:
    """Another text is another digest of that file alone."""
    before = sources(importlib.import_module("followed_main"))
    (folder / "followed_part.py").write_text(FILES["followed_part.py"].replace("1", "2"))
    after = sources(importlib.import_module("followed_main"))
    assert {name for name in before if before[name] != after[name]} == {"source of followed_part.py"}


def test_a_shipped_objective_is_its_own_module() -> None:
    """Of this package only the module that is named counts, not all that it imports: another release is no change."""
    assert list(sources(Softmax)) == ["source of jobs/minimize/softmax.py"]


def test_what_has_no_source_is_left_out() -> None:
    """Modules without a file of Python, and objects without a module, have no digest."""
    assert sources(sys, 3) == {}
