"""`dask-jobs list`: a row per run folder, whatever is in it, local and in S3."""

from __future__ import annotations

import csv
import io
import json
import os
import socket
import time
from typing import Any

import pytest

from jobs.catalog.listing import rows
from jobs.catalog.numbers import numbers
from jobs.cli import main
from jobs.runs.owner import this_process
from jobs.storage import Storage, open_storage

DEEP = b"[" * 100_000


def _put(storage: Storage, name: str, content: Any) -> None:
    storage.write(name, content if isinstance(content, bytes) else json.dumps(content).encode())


def _status(state: str, updated: float, **more: Any) -> dict[str, Any]:
    return {"job": "minimize", "state": state, "attempt": 1, "updated": updated, **more}


def _runs(url: str) -> None:
    """Write a folder of runs in all states, one of them a folder deeper."""
    progress = {"done": 30, "total": 1000, "fraction": 0.03}
    done, running = open_storage(f"{url}/done"), open_storage(f"{url}/project/running")
    _put(done, "status.json", _status("done", 1000.0, progress=progress, metrics={"loss": 2.0}))
    _put(done, "result.json", {"job": "minimize", "fun": 1.25, "seconds": 61.0, "workers": 4, "success": True})
    _put(running, "status.json", _status("running", 3000.0, progress=progress, metrics={"gradient_norm": 1, "loss": 7}))
    _put(running, "attempts/0001", this_process())
    stale = open_storage(f"{url}/stale")
    _put(stale, "status.json", _status("running", 2000.0, metrics={"loss": 3.0}))
    _put(stale, "attempts/0001", {"host": socket.gethostname(), "process": 2**22 + 1, "started": 1990.0})
    search = open_storage(f"{url}/search")
    _put(search, "status.json", {**_status("failed", 2500.0), "job": "tune", "metrics": {"best": 0.5, "running": 0}})
    _put(open_storage(f"{url}/new"), "options.yaml", b"job: train\n")
    _put(open_storage(f"{url}/torn"), "status.json", b'{"job": "minim')
    _put(open_storage(f"{url}/notes"), "text/paper.txt", b"no run")


@pytest.mark.parametrize("place", ["local", "s3"])
def test_all_runs_are_listed(
    place: str, request: pytest.FixtureRequest, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The newest first, with state, progress, number and times; other folders are passed, a damaged one says so."""
    url = str(tmp_path / "runs") if place == "local" else f"{request.getfixturevalue('s3')}/runs"
    _runs(url)
    assert main(["list", url, "--output", "json"]) == 0
    found = {row["run"].removeprefix(f"{url}/"): row for row in json.loads(capsys.readouterr().out)}
    assert list(found)[:4] == ["project/running", "search", "stale", "done"]
    assert {name: row["state"] for name, row in found.items()} == {
        "project/running": "running", "search": "failed", "stale": "stale", "done": "done",
        "new": "not started", "torn": "damaged",
    }  # fmt: skip
    names = ("result", "value", "done", "workers", "seconds")
    assert [found["done"][name] for name in names] == ["loss", 1.25, 30, 4, 61]
    assert found["done"]["updated"] == "1970-01-01T00:16:40+00:00"
    assert [found["project/running"][name] for name in ("result", "value", "total")] == ["loss", 7, 1000]
    assert (found["stale"]["seconds"], found["search"]["job"], found["new"]["job"]) == (10.0, "tune", "train")
    assert "status.json of the run folder cannot be read" in found["torn"]["result"]


def test_the_table_is_for_people(tmp_path: Any, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    """`runs` is the default; columns, no blanks at line ends; filters; CSV has all digits."""
    _runs(str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    assert main(["list"]) == 0
    head, first, *rest = capsys.readouterr().out.splitlines()
    assert head.split() == ["RUN", "JOB", "STATE", "PROGRESS", "WORKERS", "WRITTEN", "TOOK", "RESULT"]
    assert first.startswith("runs/project/running  minimize  running      30/1,000 iterations")
    assert [line for line in (head, first, *rest) if line != line.rstrip()] == []
    assert [line.split()[0] for line in rest] == ["runs/search", "runs/stale", "runs/done", "runs/new", "runs/torn"]
    assert rest[2].endswith("  loss 1.25")
    assert "  1 min 1 s  " in rest[2]
    assert main(["list", "--state", "stale", "--output", "csv"]) == 0
    (only,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (only["run"], only["value"]) == ("runs/stale", "3.0")
    assert main(["list", "--job", "tune", "runs/done", "runs"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert main(["list", "nowhere"]) == 2
    assert (
        "there is no run folder in nowhere: name the folder that has them; releases: dask-jobs status"
        in capsys.readouterr().err
    )


HOSTILE = [
    b"", b"[]", b"\xff", DEEP, _status("x", -1.0), _status("done", 1e300), _status("\x1b[31m", 5.0, progress=7),
    _status("running", 1.0, progress={"done": [], "total": 1}), _status("failed", 1.0, metrics=[1]),
    {"job": {"a": 1}, "state": [1], "metrics": {"loss": {"a": ["\x1b" * 10_000]}}},
]  # fmt: skip


@pytest.mark.parametrize("content", HOSTILE)
@pytest.mark.parametrize("name", ["status.json", "result.json"])
def test_a_hostile_folder_is_a_row(name: str, content: Any, tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever one folder holds, the others are listed, and a terminal is not controlled."""
    _put(open_storage(tmp_path / "a"), name, content)
    _put(open_storage(tmp_path / "a"), "options.yaml", b"job: minimize\n")
    _put(open_storage(tmp_path / "b"), "options.yaml", b"job: minimize\n")
    for form in ("table", "json", "csv"):
        assert main(["list", str(tmp_path), "--output", form]) == 0
        out = capsys.readouterr().out
        assert f"{tmp_path}/a" in out
        assert f"{tmp_path}/b" in out
        assert form != "table" or ("\x1b" not in out and max(map(len, out.splitlines())) < 2500)


def test_few_files_are_read(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each run two files, and no listing of what may be a million checkpoints."""
    for number in range(20):
        storage = open_storage(tmp_path / f"run-{number}")
        _put(storage, "status.json", _status("done", time.time()))
        _put(storage, "result.json", {"job": "minimize", "fun": 1.0, "seconds": 1.0})
    read: list[str] = []
    kind = type(storage)
    monkeypatch.setattr(kind, "list", lambda self, prefix="": pytest.fail(f"{self.url} was listed"))
    whole = kind.read

    def counted(self: Any, name: str) -> bytes:
        read.append(name)
        return whole(self, name)

    monkeypatch.setattr(kind, "read", counted)
    assert len(rows([str(tmp_path)])) == 20
    assert len(read) == 2 * 20 + 3


def test_numbers_of_a_result() -> None:
    """By their paths; lists from their ends, all lists of a mapping by their own names."""
    result = {"fun": 1.0, "history": {"loss": [3, 2], "val_loss": [4, 5], "none": []}, "best": {"value": None}}
    declared = (
        "val=history.val_loss.-1",
        "*=history.*.-1",
        "best=best.value",
        "loss=fun",
        "x=fun.0",
        "y=best.7",
    )
    assert numbers(declared, result) == {"val": 5, "loss": 2, "val_loss": 5}


def test_folders(storage: Storage) -> None:
    """Those directly below, whatever lies deeper; an empty or missing one has none."""
    assert storage.folders() == []
    for name in ("a/x", "a/y/z", "b/c/d", "top"):
        storage.write(name, b"")
    assert storage.folders() == ["a", "b"]
    assert open_storage(f"{storage.url.rstrip('/')}/b").folders() == ["c"]
    if not storage.url.startswith("s3://"):
        os.mkdir(f"{storage.url}/empty")  # noqa: PTH102
        assert storage.folders() == ["a", "b"]


def test_show_leads_to_list_and_status(tmp_path: Any, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    """A folder of runs is listed, a release has a status: the error says which command."""
    _put(open_storage(tmp_path / "runs/a"), "options.yaml", b"job: minimize\n")
    monkeypatch.chdir(tmp_path)
    assert main(["show", "runs"]) == 2
    assert "is no run folder: " in (err := capsys.readouterr().err)
    assert err.endswith("; dask-jobs list runs lists the runs below it\n")
    assert main(["show", "fit"]) == 2
    assert capsys.readouterr().err.endswith("; dask-jobs status fit shows a release\n")
