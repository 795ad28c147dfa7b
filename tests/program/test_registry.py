"""How jobs are found: by entry points, all parts where they are said to be, and one that is broken for itself alone."""

from __future__ import annotations

import contextlib
import inspect
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs import program, registry
from jobs.cli import main
from jobs.errors import InputError
from jobs.job import COMMANDS, Job
from jobs.options import JobOptions

ENTRY = """from jobs.job import COMMANDS, Job
JOB = Job(name="odd", summary='odd things', steps="steps", options="jobs.tune.options:Options", run="jobs.tune.job:run",
          show="jobs.tune.summary:show", content="jobs.tune.report.content:content")
"""
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
    for module in [name for name, one in sys.modules.items() if str(tmp_path) in str(getattr(one, "__file__", ""))]:
        del sys.modules[module]


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
        ("odd = interrupts_at_once:JOB", "cannot be loaded from interrupts_at_once:JOB of odd: KeyboardInterrupt:"),
        ("odd = ends_at_once:JOB", "cannot be loaded from ends_at_once:JOB of odd: GeneratorExit:"),
        (
            "odd = no_text:JOB",
            "cannot be loaded from no_text:JOB of odd: TypeError: summary is None, but must be text",
        ),
    ],
)
def test_a_broken_package_is_one_line_of_its_own_command(
    entry: str, why: str, install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The help says in one line why a job cannot be loaded, its command ends with code 2, and all others work."""
    (tmp_path / "leaves_at_once.py").write_text("import sys\nsys.exit(3)\n")
    (tmp_path / "interrupts_at_once.py").write_text("raise KeyboardInterrupt\n")
    (tmp_path / "ends_at_once.py").write_text("raise GeneratorExit\n")
    (tmp_path / "no_text.py").write_text(ENTRY.replace("'odd things'", "None"))
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
    with pytest.raises(
        InputError, match=r"^'minimise' is no job; did you mean 'minimize'\? \(jobs: alexnet, minimize, train, tune\)$"
    ):
        registry.find("minimise")
    assert [registry.known(name) for name in ("minimise", ["minimize"], None)] == [None] * 3
    assert isinstance(registry.known("minimize"), Job)


@pytest.mark.parametrize("name", [*sorted(COMMANDS), "-h"])
def test_a_job_has_the_name_of_no_command(
    name: str, install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that is installed with such a name is an error of its own, and takes no command over."""
    (tmp_path / "odd_entry.py").write_text(ENTRY.replace('"odd"', repr(name)))
    install("odd", f"{name} = odd_entry:JOB")
    why = f"job {name!r} cannot be loaded from odd_entry:JOB of odd: dask-jobs has a command or an option of this name"
    with pytest.raises(InputError, match=f"^{why}"):
        registry.find(name)
    assert main(["--help"]) == 0
    assert f" {name} {why}" in " ".join(capsys.readouterr().out.split())
    with contextlib.suppress(SystemExit):
        assert main([name, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: dask-jobs {'COMMAND' if name == '-h' else name}")
    assert main(["show", str(tmp_path)]) == 2
    assert "is no run folder" in capsys.readouterr().err


def test_the_names_of_commands() -> None:
    """Those that no job may have are those that there are."""
    assert {name for group in program.COMMANDS.values() for name in group} == COMMANDS


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"[dask_jobs]\ngarbage without equals\n", "TypeError: "),
        (b"[dask_jobs]\n\xff = x:y\n", "UnicodeDecodeError: "),
    ],
)
def test_a_package_that_cannot_be_read_is_a_warning(
    content: bytes, why: str, install: Install, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its jobs are left out, and all others are there."""
    before = registry.names()
    install("odd", "odd = odd_entry:JOB")
    (tmp_path / "odd-1.dist-info/entry_points.txt").write_bytes(content)
    install("other", "other = nowhere:JOB")
    assert registry.names() == sorted([*before, "other"])
    (record,) = caplog.records
    assert record.getMessage().startswith(
        f"dask-jobs: warning: package odd: its entry_points.txt cannot be read ({why}"
    )


def test_a_package_without_a_name(install: Install, tmp_path: Path) -> None:
    """Without METADATA its jobs are there, and their errors say so."""
    install("odd", "odd = nowhere:JOB")
    install("other", "odd = nowhere:JOB")
    (tmp_path / "odd-1.dist-info/METADATA").unlink()
    with pytest.raises(
        InputError, match=r"in several packages \((an unknown package, other|other, an unknown package)\)"
    ):
        registry.find("odd")
    (tmp_path / "other-1.dist-info/entry_points.txt").unlink()
    install("third", "third = nowhere:JOB")
    with pytest.raises(InputError, match=r"cannot be loaded from nowhere:JOB of an unknown package: ModuleNotFound"):
        registry.find("odd")


def test_a_package_that_is_on_the_path_twice(install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one counts, as for imports: also where it has no job any more."""
    install("odd", "odd = nowhere:JOB")
    shutil.copytree(tmp_path / "odd-1.dist-info", tmp_path / "first/odd-2.dist-info")
    monkeypatch.syspath_prepend(tmp_path / "first")
    install("other", "other = nowhere:JOB")
    assert len(registry._entries()["odd"]) == 1
    (tmp_path / "first/odd-2.dist-info/entry_points.txt").unlink()
    install("third", "third = nowhere:JOB")
    assert "odd" not in registry.names()


@pytest.mark.parametrize(
    ("part", "location", "why"),
    [
        ("options", "nomod:O", "ModuleNotFoundError: No module named 'nomod'"),
        ("options", "", "ValueError: invalid format: ''"),
        ("options", "jobs.errors:nearest", "it must be a subclass of jobs.options.JobOptions"),
        ("run", "leaves_at_once:run", "SystemExit: 3"),
        ("run", "jobs.tune.options:SEARCH", "it is of type str, but must be a function"),
        ("show", "jobs.tune.summary:nothing", "AttributeError: "),
        ("content", "interrupts_at_once:content", "KeyboardInterrupt:"),
        ("estimate", "nomod:e", "ModuleNotFoundError: No module named 'nomod'"),
        ("logged", "nomod:l", "ModuleNotFoundError: No module named 'nomod'"),
    ],
)
def test_a_part_that_cannot_be_loaded(part: str, location: str, why: str, install: Install, tmp_path: Path) -> None:
    """It is one line with the job, the part and the package."""
    (tmp_path / "leaves_at_once.py").write_text("import sys\nsys.exit(3)\n")
    (tmp_path / "interrupts_at_once.py").write_text("raise KeyboardInterrupt\n")
    (tmp_path / "odd_entry.py").write_text(
        f"{ENTRY}import dataclasses\nJOB = dataclasses.replace(JOB, {part}={location!r})\n"
    )
    install("odd", "odd = odd_entry:JOB")
    job = registry.find("odd")
    load = {"content": job.load_report}.get(part) or getattr(job, f"load_{part}")
    with pytest.raises(InputError) as raised:
        load()
    assert str(raised.value).startswith(f"job 'odd' of odd: {part}={location!r} cannot be loaded: {why}")


def test_ctrl_c_while_a_package_is_loaded(install: Install, tmp_path: Path) -> None:
    """It is no error of the package's."""
    (tmp_path / "slow_entry.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    install("odd", "odd = slow_entry:JOB")
    with pytest.raises(KeyboardInterrupt):
        registry.find("odd")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
