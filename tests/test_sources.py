"""The digests of the user's source: which modules are followed, what they are called, and which text counts."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.errors import InputError
from jobs.minimize.softmax import Softmax
from jobs.sources import check_sources, sources

FILES = {
    "followed_main.py": (
        "import numpy\nfrom followed_part import loss\nimport followed_package.inner\nclass Problem: ...\n"
    ),
    "followed_part.py": "import json\nimport followed_main\ndef loss():\n    import followed_late\n    return 1\n",
    "followed_late.py": "from followed_package import deeper\n",
    "followed_package/__init__.py": "# a package\n",
    "followed_package/inner.py": (
        "def f():\n    from . import beside\n    from .. import nothing\n    import followed_alone, followed_missing\n"
    ),
    "followed_package/beside.py": "def broken(:\n",
    "followed_package/deeper/__init__.py": "from ..other import x\n",
    "followed_package/other.py": "x = 1\n",
    "followed_alone.py": "# held by another\n",
    "followed_unused.py": "# held by none\n",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "followed_package/deeper").mkdir(parents=True)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("followed_")]:
        del sys.modules[name]


def test_the_users_modules_are_followed(folder: Path) -> None:
    """All of the user's modules that one imports count, in functions and in circles too, but not what is not there.

    Modules that are imported late, in a function, are found without importing them.
    """
    module = importlib.import_module("followed_main")
    found = sources(module)
    assert [name.removeprefix("source of ") for name in found] == [
        "followed_alone.py",
        "followed_late.py",
        "followed_main.py",
        "followed_package/__init__.py",
        "followed_package/beside.py",
        "followed_package/deeper/__init__.py",
        "followed_package/inner.py",
        "followed_package/other.py",
        "followed_part.py",
    ]
    assert "followed_late" not in sys.modules
    assert "followed_package.deeper" not in sys.modules
    importlib.import_module("followed_package.deeper")
    assert sources(module) == found


def test_a_digest_changes_with_its_file(folder: Path) -> None:
    """Another text is another digest of that file alone, in another process."""
    before = _in_a_process(folder)
    (folder / "followed_part.py").write_text(FILES["followed_part.py"].replace("1", "22"))
    after = _in_a_process(folder)
    assert {name for name in before if before[name] != after[name]} == {"source of followed_part.py"}


def test_code_that_is_loaded_is_what_counts(folder: Path) -> None:
    """A process that has imported a module runs that source, whatever is in the file later, until it is reloaded."""
    module = importlib.import_module("followed_main")
    before = sources(module)
    (folder / "followed_part.py").write_text(FILES["followed_part.py"].replace("1", "22"))
    assert sources(module) == before
    importlib.invalidate_caches()
    importlib.reload(sys.modules["followed_part"])
    assert sources(module) != before


def test_a_worker_with_other_code_is_told(folder: Path) -> None:
    """The first file that differs is named."""
    module = importlib.import_module("followed_main")
    driver = sources(module)
    check_sources(driver, module)
    with pytest.raises(InputError, match="this worker has another followed_part.py than the driver: another file, or"):
        check_sources(driver | {"source of followed_part.py": "0"}, module)


def _in_a_process(folder: Path) -> dict[str, str]:
    code = "import json, followed_main; from jobs.sources import sources; print(json.dumps(sources(followed_main)))"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_a_shipped_objective_is_its_own_module() -> None:
    """Of this package only the module that is named counts, not all that it imports: another release is no change."""
    assert list(sources(Softmax)) == ["source of jobs/minimize/softmax.py"]


def test_what_has_no_source_is_left_out() -> None:
    """Modules without a file of Python, and objects without a module, have no digest."""
    assert sources(sys, 3) == {}
