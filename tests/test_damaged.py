"""Run folders whose files are damaged, or whose attempt ended in the midst of a write: one line, or it goes on."""

from __future__ import annotations

import io
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from jobs.cli import main
from jobs.commands import show
from jobs.errors import InputError
from jobs.minimize.job import run
from jobs.minimize.options import Options
from jobs.release.actions.archive import pack
from jobs.release.actions.destination import is_run_folder
from jobs.runs.run import Run
from jobs.storage import open_storage

MAIN = "import sys; from jobs.cli import main; sys.exit(main())"
DEEP = b"[" * 100_000
LAUGHS = b"a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"a%d: &a%d [%s]\n" % (level, level, b", ".join([b"*a%d" % (level - 1)] * 9)) for level in range(1, 12)
)
"""Less than a kilobyte, in which `*a11` is 9 ** 12 values."""
CHAIN = b"a0: &a0 [x]\n" + b"".join(b"a%d: &a%d [*a%d]\n" % (level, level, level - 1) for level in range(1, 3000))
"""One value in 3,000 lists in each other, none of which is written in another."""
NO_YAML = [
    b"job: 2020-13-45",
    b"job: [",
    b"job: !!bool abc",
    b"job: !!timestamp abc",
    b"job: !!float abc",
    b"job: " + b"7" * 5000,
    b"? {}\n: 1",
    DEEP,
    b"\xff",
]
DAMAGED = [b"", b"{", b"[]", b"{}", b"null", b"7", b"\xff", b'{"process": "x"}', b'{"process": -1}', DEEP]

PROGRESS = re.compile(r"\d\d:\d\d:\d\d ")


@pytest.fixture
def ended(tmp_path: Path) -> Path:
    """Return the folder of a run that has ended."""
    run(_options(tmp_path / "run"))
    return tmp_path / "run"


def _options(folder: Path, **more: Any) -> Options:
    return Options(workers=0, run=str(folder), **{"max_iterations": 2, **more})


@pytest.mark.parametrize("content", DAMAGED)
def test_an_attempt_that_cannot_be_read_is_not_seen_to_live(content: bytes, ended: Path) -> None:
    """A damaged file of an attempt does not keep a run from going on."""
    (ended / "attempts/0001").write_bytes(content)
    assert run(_options(ended, max_iterations=3))["attempt"] == 2


def _without(*names: str, **changes: Any) -> Any:
    def change(result: dict[str, Any]) -> bytes:
        return json.dumps({k: v for k, v in result.items() if k not in names} | changes).encode()

    return change


@pytest.mark.parametrize(
    "change",
    [
        _without("diagnostics"),
        _without("success"),
        _without(fun="[x]"),
        _without(x="abc"),
        _without(names=[1, 2]),
        _without(diagnostics=[]),
        lambda _: b'{"a": 1}',
        lambda _: DEEP,
    ],
)
def test_a_damaged_result_is_one_line(change: Any, ended: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever is in result.json: the same command, `show` and `report` say that it is damaged, or show it."""
    result = json.loads((ended / "result.json").read_bytes())
    (ended / "result.json").write_bytes(change(result))
    again = ["minimize", "--workers", "0", "--max-iterations", "2", "--run", str(ended)]
    for command in (["show", str(ended)], ["report", str(ended)], again):
        capsys.readouterr()
        assert main(command) in (0, 2)
        assert [line for line in capsys.readouterr().err.splitlines() if not PROGRESS.match(line)][1:] == []


@pytest.mark.parametrize(("name", "value"), [("size", []), ("size", "7"), ("size", None), ("stamp", 1), ("digest", {})])
def test_damaged_notes_of_data_are_one_line(name: str, value: Any, ended: Path) -> None:
    """Notes of the data's files whose values have other types are refused, not compared."""
    notes = json.loads((ended / "data.json").read_bytes())
    notes[0][name] = value
    (ended / "data.json").write_text(json.dumps(notes))
    with pytest.raises(InputError, match=r"data.json is damaged \(a note of a file must be its address, size"):
        run(_options(ended, max_iterations=3))


def test_an_empty_result_is_none(ended: Path) -> None:
    """An unfinished run with an empty result goes on."""
    (ended / "result.json").write_bytes(b"{}")
    assert run(_options(ended))["attempt"] == 2


def test_another_programs_result_is_not_run(ended: Path) -> None:
    """The job's name in a folder leads to no module but the jobs' own."""
    (ended / "result.json").write_text('{"job": "../evil"}')
    with pytest.raises(InputError, match=r"is no run of alexnet or minimize or train or tune: it says '../evil'"):
        show(str(ended))


@pytest.mark.parametrize("content", [LAUGHS + b"job: *a11\n", LAUGHS + b"job: minimize\nl2: *a11\n", CHAIN])
def test_anchors_that_stand_for_billions_are_one_line(
    content: bytes, ended: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Aliases of aliases take no memory until they are shown: all that reads a run folder, or options, refuses them."""
    (ended / "options.yaml").write_bytes(content)
    again = ["minimize", "--workers", "0", "--run", str(ended)]
    for command in (
        ["show", str(ended)],
        ["report", str(ended)],
        again,
        [*again, "--config", str(ended / "options.yaml")],
    ):
        capsys.readouterr()
        assert main(command) == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if not PROGRESS.match(line)]
        assert len(line) < 300
    assert not is_run_folder(ended / "attempts")
    (ended / "result.json").unlink()
    (ended / "status.json").unlink()
    assert not is_run_folder(ended)
    pack(open_storage(ended), io.BytesIO(), journal=False)


@pytest.mark.parametrize("content", NO_YAML)
def test_a_folder_with_damaged_options_is_packed(content: bytes, ended: Path) -> None:
    """What the pod sends of it is all of it: it is looked at here."""
    (ended / "options.yaml").write_bytes(content)
    pack(open_storage(ended), out := io.BytesIO(), journal=False)
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as tar:
        assert "options.yaml" in tar.getnames()


@pytest.mark.parametrize("content", NO_YAML)
def test_damaged_options_are_one_line(content: bytes, ended: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Options that are no YAML are refused, by all that read them."""
    (ended / "options.yaml").write_bytes(content)
    with pytest.raises(InputError, match=r"its options.yaml is no YAML; choose another folder"):
        run(_options(ended))
    for command in ("show", "report"):
        assert main([command, str(ended)]) == 2
        assert capsys.readouterr().err.startswith("dask-jobs: error: options.yaml of the run folder cannot be read: ")


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04", b"\x93NUMPY\x01\x00"])
def test_a_damaged_warm_start_is_one_line(content: bytes, ended: Path) -> None:
    """An array of the run folder that cannot be read is refused, as is a start that is none."""
    (ended / "warm.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"warm.npy is damaged"):
        run(_options(ended))
    with pytest.raises(InputError, match=r"x0 .*warm.npy: cannot be read as .npy"):
        run(_options(ended.parent / "new", x0=str(ended / "warm.npy")))


def test_an_attempt_that_ended_before_its_options_were_written(tmp_path: Path) -> None:
    """A disk that is full between the first two files of a run: with room the same command begins it."""

    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))

    command = [sys.executable, "-c", MAIN, "minimize", "--workers", "0", "--run", str(tmp_path / "run")]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False, preexec_fn=small_files)
    assert done.returncode == 3, done.stderr
    assert [path.name for path in (tmp_path / "run").rglob("*") if path.is_file()] == ["0001"]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_foreign_folder_is_still_refused(tmp_path: Path) -> None:
    """Files that are no run's are not written beside."""
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(InputError, match="is no run folder: it holds 'photo.jpg'"):
        Run(str(tmp_path), "minimize", _options(tmp_path))


@pytest.mark.parametrize("name", ["a[/x]", "[bold]b", "\udcff"])
def test_odd_names_of_folders_are_shown(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder's name is no markup, and may hold bytes that are no characters."""
    command = [sys.executable, "-c", MAIN, "minimize", "--workers", "0", "--max-iterations", "1", "--run"]
    done = subprocess.run([*command, str(tmp_path / name)], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (b"\\udcff" if name == "\udcff" else name.encode()) in done.stdout
