"""`file.py:name` in the place of `module:name`, what is missing where it is imported, and a foreign package `jobs`."""

from __future__ import annotations

import importlib
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from jobs import connect
from jobs.errors import InputError
from jobs.minimize import Objective
from jobs.sources import check_sources, sources
from jobs.train.data.open import Data
from jobs.usercode import UserCode, load

PROBLEM = """import numpy as np
class Parabola:
    rows, block_rows = 8, 2
    def x0(self): return np.zeros(2)
    def load(self, start, stop): return np.arange(start, stop)
    def value_and_grad(self, theta, rows):
        return float((theta - SHIFT) @ (theta - SHIFT)) * len(rows), 2 * (theta - SHIFT) * len(rows)
SHIFT = 3
def problem(): return Parabola()
def score(parameters): return parameters["x"]
def data(): return np.ones((4, 2)), np.ones(4)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield the current folder, with a file in a folder of it; modules and Python path are put back."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models/by_its_file.py").write_text(PROBLEM)
    monkeypatch.chdir(tmp_path)
    path, modules = sys.path.copy(), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in sys.modules.keys() - modules:
        if not str(getattr(sys.modules[name], "__file__", None)).startswith(str(tmp_path)):
            continue
        del sys.modules[name]


def test_a_file_is_the_module_that_it_is(folder: Path) -> None:
    """From any folder, with its name, its source and its identity; also where a package has it."""
    code = UserCode("problem", "./models/by_its_file.py:problem", "my_model:problem")
    assert code.load()().rows == 8
    assert code.spec == code.name == "by_its_file:problem"
    assert code.load() is load("problem", "by_its_file:problem", "my_model:problem")
    assert Objective(None, "./models/by_its_file.py:problem").identity == Objective(None, code.spec).identity
    (folder / "models/__init__.py").touch()
    assert UserCode("problem", "models/by_its_file.py:problem", "").spec == "models.by_its_file:problem"


def test_train_takes_a_file_as_its_data(folder: Path) -> None:
    """It is told from the specs of data sets."""
    data = Data("data", str(folder / "models/by_its_file.py") + ":data")
    assert (data.text, data.open().rows) == ("by_its_file:data", 4)  # type: ignore[union-attr]


def test_a_file_is_sent_where_it_is_missing(folder: Path) -> None:
    """A worker elsewhere has the driver's text, with the same digest, and after an edit the new one."""
    path = folder / "models/by_its_file.py"
    code = UserCode("problem", str(path) + ":problem", "")
    code.load()
    sent, digests = pickle.dumps(code), sources(*code.roots())
    path.write_text(PROBLEM.replace("SHIFT = 3", "SHIFT = 4"))
    edited = pickle.dumps(UserCode("problem", str(path) + ":problem", ""))
    path.unlink()
    del sys.modules["by_its_file"]
    for data, shift in ((sent, 3), (sent, 3), (edited, 4)):
        there: UserCode = pickle.loads(data)
        assert there.load().__globals__["SHIFT"] == shift
        assert pickle.loads(pickle.dumps(there.load())) is there.load()
        if shift == 3:
            check_sources(digests, *there.roots())


def test_workers_that_were_started_before(folder: Path) -> None:
    """Workers have the file by its path, or by its text where it was moved since."""
    with connect(workers=1) as client:
        path = folder / "models/by_its_file.py"
        with Objective(client, f"{path}:problem") as objective:
            path.rename(folder / "moved.py")
            assert objective.loss(np.zeros(2)) == 8 * 18


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (
            "models/by_its_fil.py:problem",
            "problem models/by_its_fil.py: No such file or directory; did you mean 'by_its_f",
        ),
        ("models/by_its_file.py:problm", "module 'by_its_file' has no 'problm'; did you mean 'problem'?"),
        (
            "models/by_its_file:problem",
            "must be 'module:function' or 'file.py:function', such as 'my_model:problem'",
        ),
        ("./models/by_its_file.py:", "but must be 'module:function' or 'file.py:function'"),
        (
            "models/needs.py:problem",
            "it imports 'no_such_package', which is missing here: install it for",
        ),
        ("models/json.py:problem", "json.py cannot be imported as 'json', which is another module"),
    ],
)
def test_mistakes(folder: Path, spec: str, text: str) -> None:
    """One line each, with what to do."""
    (folder / "models/needs.py").write_text("import no_such_package.part\n")
    (folder / "models/json.py").write_text(PROBLEM)
    with pytest.raises(InputError) as caught:
        UserCode("problem", spec, "my_model:problem").load()
    assert text in str(caught.value)
    assert json is importlib.import_module("json")


def _command(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-c", "import sys; from jobs.cli import main; sys.exit(main())", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_jobs_by_their_files(folder: Path) -> None:
    """minimize and tune take a file as the module that it is: workers have it, and a run goes on by the other form."""
    done = _command("minimize", "--problem", "./models/by_its_file.py:problem", "--workers", "1", "--run", "fit")
    assert done.returncode == 0, done.stderr
    result = json.loads((folder / "fit/result.json").read_text())
    assert np.allclose(result["x"], 3)
    assert result["identity"]["problem"] == "by_its_file:problem"
    (folder / "space.yaml").write_text(yaml.safe_dump({"x": {"uniform": [0, 1]}}))
    search = ["tune", "--space", "space.yaml", "--direction", "minimize", "--workers", "1", "--run", "search"]
    done = _command(*search, "--objective", "models/by_its_file.py:score", "--trials", "1")
    assert done.returncode == 0, done.stderr
    (folder / "by_its_file.py").write_text(PROBLEM)
    done = _command(*search, "--objective", "by_its_file:score", "--trials", "2")
    assert done.returncode == 0, done.stderr


def test_a_foreign_package_called_jobs(folder: Path) -> None:
    """It is named as the cause, before a worker would import it; a folder that is no package hides nothing."""
    (folder / "jobs").mkdir()
    options = ("minimize", "--problem", "./models/by_its_file.py:problem", "--workers", "1", "--run", "fit")
    done = _command(*options, "--max-iterations", "0")
    assert "hides" not in done.stderr
    (folder / "jobs/__init__.py").touch()
    done = _command(*options)
    assert done.returncode == 2
    assert done.stderr == (
        "dask-jobs: error: ./jobs hides dask-jobs' own package, which is called jobs too, from the workers: start "
        "elsewhere, or rename it\n"
    )
    sys.path.insert(0, str(folder))
    with pytest.raises(InputError, match=r"^\./jobs hides dask-jobs' own package"):
        connect(workers=1)
