"""How jobs are found: by entry points, all parts where they are said to be, and one that is broken for itself alone."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs import registry
from jobs.cli import main
from jobs.errors import InputError
from jobs.job import Job
from jobs.options import JobOptions

HEAVY = "{'bokeh', 'dask', 'distributed', 'numpy', 'optuna', 'pydantic', 'scipy', 'tensorflow'}"
Install = Callable[[str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Return what installs a package with one entry point; it is there until the test ends."""
    caches = (registry._entries, registry._load)
    monkeypatch.syspath_prepend(tmp_path)

    def package(name: str, entry: str) -> None:
        about = tmp_path / f"{name}-1.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (about / "entry_points.txt").write_text(f"[dask_jobs]\n{entry}\n")
        for cache in caches:
            cache.cache_clear()

    yield package
    for cache in caches:
        cache.cache_clear()


@pytest.mark.parametrize("name", registry.names())
def test_parts_are_where_they_are_said_to_be(name: str) -> None:
    """Each part of each job that is installed can be imported, and takes what it is given."""
    job = registry.find(name)
    assert issubclass(job.load_options(), JobOptions)
    assert job.load_report().options is job.load_options()
    parts = [job.load_show(), job.load_estimate(), job.load_logged(), job.load_report().content]
    assert [len(inspect.signature(part).parameters) for part in parts] == [2, 4, 1, 2]
    assert "options" in inspect.signature(job.load_run()).parameters


def test_listing_jobs_imports_none() -> None:
    """The help of all commands, and the version, come without any of the large libraries."""
    code = f"import sys; from jobs.cli import main; main([sys.argv[1]]); sys.exit(str({HEAVY} & sys.modules.keys()))"
    for argument in ("--help", "--version"):
        done = subprocess.run([sys.executable, "-c", code, argument], capture_output=True, text=True, check=False)
        assert done.stderr == "set()\n"


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (
            "odd = nowhere:JOB",
            "cannot be loaded from nowhere:JOB of odd: ModuleNotFoundError: No module named 'nowhere'",
        ),
        ("odd = leaves_at_once:JOB", "cannot be loaded from leaves_at_once:JOB of odd: SystemExit: 3"),
        ("odd = jobs.errors:nearest", "cannot be loaded from jobs.errors:nearest of odd: it is of type function"),
        ("odd = jobs.tune.entry:JOB", "cannot be loaded from jobs.tune.entry:JOB of odd: its name is 'tune'"),
    ],
)
def test_a_broken_package_is_one_line_of_its_own_command(
    entry: str, why: str, install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The help says in one line why a job cannot be loaded, its command ends with code 2, and all others work."""
    (tmp_path / "leaves_at_once.py").write_text("import sys\nsys.exit(3)\n")
    install("odd", entry)
    assert main(["--help"]) == 0
    assert f" odd job 'odd' {why}" in " ".join(capsys.readouterr().out.split())
    assert main(["odd"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"dask-jobs: error: job 'odd' {why}")
    assert said.count("\n") == 1
    assert registry.known("odd") is None
    assert [job.name for job in registry.jobs()] == [name for name in registry.names() if name != "odd"]
    assert main(["show", str(tmp_path / "nothing")]) == 2
    assert "is no run folder" in capsys.readouterr().err


def test_a_name_is_one_packages(install: Install) -> None:
    """Where two packages have a job of one name, neither runs in the other's place."""
    install("first", "twice = jobs.tune.entry:JOB")
    install("second", "twice = jobs.tune.entry:JOB")
    with pytest.raises(InputError, match=r"^job 'twice' is in several packages \((first, second|second, first)\)"):
        registry.find("twice")


def test_an_unknown_job_is_one_line() -> None:
    """A mistyped name leads to the nearest one; what a file or a log tells need not be a name."""
    with pytest.raises(InputError, match=r"^'minimise' is no job; did you mean 'minimize'\? \(jobs: minimize, tune\)$"):
        registry.find("minimise")
    assert [registry.known(name) for name in ("minimise", ["minimize"], None)] == [None] * 3
    assert isinstance(registry.known("minimize"), Job)
