"""A result is never shown as that of another problem, other data or other options."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from changing import TEXT

from jobs.errors import InputError
from jobs.minimize.job import run
from jobs.minimize.options import Options
from jobs.storage import Storage, open_storage

MAIN = "import sys; from jobs.cli import main; sys.exit(main())"


def _dask_jobs(folder: Path, *arguments: str) -> tuple[int, str, str]:
    command = [sys.executable, "-B", "-c", MAIN, "minimize", "--workers", "0", *arguments]
    done = subprocess.run(command, cwd=folder, env=os.environ, capture_output=True, text=True, check=False, timeout=240)
    return done.returncode, done.stdout, done.stderr


def test_an_edited_problem_is_not_the_old_result(tmp_path: Path) -> None:
    """F2: a run that has ended, its loss edited, the same command: code 2, what changed, and what to do."""
    module, arguments = tmp_path / "edited.py", ["--problem", "edited:problem", "--run", "run"]
    module.write_text(TEXT.format(more=""))
    assert _dask_jobs(tmp_path, *arguments)[0] == 0
    assert "converged earlier" in _dask_jobs(tmp_path, *arguments)[1]
    before = (tmp_path / "run/result.json").read_bytes()
    module.write_text(TEXT.format(more="+ 3"))
    code, out, err = _dask_jobs(tmp_path, *arguments)
    assert (code, out) == (2, "")
    last = err.splitlines()[-1]
    assert "the result in run belongs to another run: source of edited.py was " in last
    assert "; choose another --run, or delete this run folder (an edit that does not matter counts too, " in last
    assert (tmp_path / "run/result.json").read_bytes() == before


def test_an_edited_helper_counts_too(tmp_path: Path) -> None:
    """What the problem's module imports of the user's is part of the problem."""
    (tmp_path / "edited_helper.py").write_text(TEXT.format(more=""))
    (tmp_path / "edited_factory.py").write_text("from edited_helper import Parabola\nproblem = Parabola\n")
    arguments = ["--problem", "edited_factory:problem", "--run", "run"]
    assert _dask_jobs(tmp_path, *arguments)[0] == 0
    (tmp_path / "edited_helper.py").write_text(TEXT.format(more="+ 3"))
    code, _, err = _dask_jobs(tmp_path, *arguments)
    assert (code, "source of edited_helper.py was" in err) == (2, True), err


PARTS = {
    "edited_factory.py": "import edited_make\nproblem = edited_make.make({more})\n",
    "edited_make.py": "import functools\nfrom edited_helper import Parabola\nfrom edited_constant import K\n"
    "def make(more):\n    return functools.partial(Parabola)\n",
    "edited_constant.py": "K = {{'more': {more}}}\n",
}


@pytest.mark.parametrize("changed", PARTS)
def test_each_module_on_the_way_counts(changed: str, tmp_path: Path) -> None:
    """The module that is named, constants that are imported, what makes the factory: all are the problem."""
    (tmp_path / "edited_helper.py").write_text(TEXT.format(more=""))
    for name, text in PARTS.items():
        (tmp_path / name).write_text(text.format(more=1))
    arguments = ["--problem", "edited_factory:problem", "--run", "run"]
    assert _dask_jobs(tmp_path, *arguments)[0] == 0
    (tmp_path / changed).write_text(PARTS[changed].format(more=22) + "# edited\n")
    code, _, err = _dask_jobs(tmp_path, *arguments)
    assert (code, f"source of {changed} was" in err) == (2, True), err


def _data(storage: Storage, middle: float = 0.0) -> str:
    """Write 512 KiB of float64 rows; `middle` is one number in their midst."""
    x = np.linspace(0, 1, 65_536).reshape(-1, 16)
    x[2048, 3] += middle
    for name, array in (("x.npy", x), ("y.npy", np.arange(len(x)) % 3)):
        path = Path(os.environ["PYTEST_SCRATCH"], name)
        np.save(path, array)
        storage.write(name, path.read_bytes())
    return f"npy:{storage.url}"


@pytest.fixture(autouse=True)
def _scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("PYTEST_SCRATCH", str(tmp_path / "scratch"))


def _options(data: str, folder: Path, **more: Any) -> Options:
    return Options(data=data, workers=0, run=str(folder), **{"max_iterations": 3, **more})


def test_data_that_changed_are_not_the_old_result(storage: Storage, tmp_path: Path) -> None:
    """One number in the middle of a data set, local or in S3: an ended run refuses it, and one that goes on as well."""
    data, folder = _data(storage), tmp_path / "the-run"
    first = run(_options(data, folder))
    assert run(_options(data, folder))["already"]
    _data(storage, 0.5)
    for options in (_options(data, folder), _options(data, folder, max_iterations=5)):
        with pytest.raises(InputError, match=r"^data .*x.npy changed since the run in .* began \(its content differs"):
            run(options)
    assert json.loads((folder / "result.json").read_text())["fun"] == first["fun"]
    _data(storage)
    assert run(_options(data, folder))["already"]
    assert run(_options(data, folder, max_iterations=5))["diagnostics"]["replayed"] == first["nfev"]


def test_a_fetched_result_is_not_overwritten(tmp_path: Path) -> None:
    """A folder with a result and no journal, as `fetch` brings it, goes on with the same run only."""
    folder = tmp_path / "run"
    run(_options("digits", folder))
    for log in (folder / "journal").iterdir():
        log.unlink()
    before = (folder / "result.json").read_bytes()
    with pytest.raises(InputError, match="the result in .* belongs to another run: l2 was 0.0, and is now 2.0"):
        run(_options("digits", folder, l2=2.0))
    assert (folder / "result.json").read_bytes() == before
    assert run(_options("digits", folder, max_iterations=5))["nit"] == 5


def test_data_moved_to_s3_go_on(tmp_path: Path, s3: str) -> None:
    """The identity of data is their content: a run on local files goes on with the same ones in S3."""
    folder = tmp_path / "the-run"
    first = run(_options(_data(open_storage(tmp_path / "data")), folder))
    moved = _options(_data(open_storage(f"{s3}/data")), folder, max_iterations=5)
    assert run(moved)["diagnostics"]["replayed"] == first["nfev"]


def test_files_of_a_problem_of_ones_own(tmp_path: Path) -> None:
    """A problem that names its files is refused when one has changed."""
    module, arguments = tmp_path / "edited.py", ["--problem", "edited:problem", "--run", "run"]
    module.write_text(TEXT.format(more="") + f"\nParabola.files = lambda self: [{str(tmp_path / 'own.txt')!r}]\n")
    (tmp_path / "own.txt").write_text("1")
    assert _dask_jobs(tmp_path, *arguments)[0] == 0
    (tmp_path / "own.txt").write_text("2")
    code, _, err = _dask_jobs(tmp_path, *arguments)
    assert (code, f"data {tmp_path / 'own.txt'} changed since" in err) == (2, True), err
