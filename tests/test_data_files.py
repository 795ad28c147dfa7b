"""Data that changed under a run: noticed by size and time or ETag, decided by the whole content."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest

from jobs.errors import InputError, Stopped
from jobs.runs import data_files
from jobs.runs.data_files import NAME, DataFiles
from jobs.storage import Storage, open_storage

CONTENT = bytes(range(256)) * 1024  # 256 KiB: more than the first and the last 64 KiB
CHANGED = CONTENT[:130_000] + b"x" + CONTENT[130_001:]


@pytest.fixture
def run(tmp_path: Path) -> Storage:
    return open_storage(tmp_path / "the-run")


def _attempt(run: Storage, *addresses: str) -> DataFiles:
    """Do what an attempt does: compare, note, and let the digests be made."""
    data = DataFiles(run, addresses)
    data.check()
    with data:
        data.check_again()
    return data


def test_unchanged_files_are_not_read(run: Storage, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """While size and time (S3: ETag) are as noted, nothing is read again."""
    storage.write("x.npy", CONTENT)
    _attempt(run, storage.address("x.npy"))
    assert len(json.loads(run.read(NAME))[0]["digest"]) == 32
    monkeypatch.setattr(data_files, "_digest", None)
    _attempt(run, storage.address("x.npy"))


def test_a_change_in_the_middle_is_refused(run: Storage, storage: Storage) -> None:
    """One other byte in the middle of a file of the same size and path is found, and named with its times."""
    storage.write("x.npy", CONTENT)
    _attempt(run, storage.address("x.npy"))
    storage.write("x.npy", CHANGED)
    with pytest.raises(
        InputError, match=r"^data .*x.npy changed since the run in .*the-run began \(its content differs"
    ):
        DataFiles(run, [storage.address("x.npy")]).check()


def test_the_same_content_again_goes_on(run: Storage, tmp_path: Path) -> None:
    """A file that was written again with the same bytes is read once, said so, and noted anew."""
    path, said = tmp_path / "x.npy", []
    path.write_bytes(CONTENT)
    _attempt(run, str(path))
    os.utime(path, (1, 1))
    data = DataFiles(run, [str(path)])
    data.check(said.append)
    assert said == [f"{path} was written, or moved, since the run began: its content is compared"]
    with data:
        pass
    assert json.loads(run.read(NAME))[0]["stamp"] == "modified 1970-01-01 00:00:01.000000000"
    DataFiles(run, [str(path)]).check(said.append)
    assert len(said) == 1


def test_moved_data_are_compared(run: Storage, storage: Storage, tmp_path: Path) -> None:
    """Data that lie elsewhere now go on if they are the same, and are refused if not."""
    first, second = tmp_path / "x.npy", storage.address("moved.npy")
    first.write_bytes(CONTENT)
    _attempt(run, str(first))
    storage.write("moved.npy", CONTENT)
    DataFiles(run, [second]).check()
    storage.write("moved.npy", CHANGED)
    with pytest.raises(InputError, match=rf"^data {first}, now .*moved.npy, changed since the run"):
        DataFiles(run, [second]).check()


def test_without_a_digest_it_cannot_be_told(run: Storage, tmp_path: Path) -> None:
    """A run that was killed before its data were digested refuses a file that was written since."""
    path = tmp_path / "x.npy"
    path.write_bytes(CONTENT)
    _attempt(run, str(path))
    notes = json.loads(run.read(NAME))
    run.write(NAME, json.dumps([note | {"digest": ""} for note in notes]).encode())
    DataFiles(run, [str(path)]).check()
    os.utime(path, (1, 1))
    with pytest.raises(InputError, match="its old content was not noted in full"):
        DataFiles(run, [str(path)]).check()
    (tmp_path / "moved.npy").write_bytes(CHANGED)
    with pytest.raises(InputError, match="its old content was not noted in full"):
        DataFiles(run, [str(tmp_path / "moved.npy")]).check()


def test_notes_in_the_result_do_as_well(run: Storage, tmp_path: Path) -> None:
    """A run folder that was made again from its result has no data.json."""
    path = tmp_path / "x.npy"
    path.write_bytes(CONTENT)
    noted = _attempt(run, str(path)).as_result()
    run.write("result.json", json.dumps({"fun": 1.0, **noted}).encode())
    for missing in (None, b"[]"):
        path.write_bytes(CONTENT)
        run.delete(NAME) if missing is None else run.write(NAME, missing)
        DataFiles(run, [str(path)]).check()
        path.write_bytes(CHANGED)
        with pytest.raises(InputError, match="its content differs"):
            DataFiles(run, [str(path)]).check()


def test_a_folder_is_no_file(run: Storage, tmp_path: Path) -> None:
    """What is in a folder could change unseen; a pipe has no content to compare."""
    with pytest.raises(InputError, match="cannot be read"):
        DataFiles(run, [str(tmp_path)])
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="cannot be read"):
        DataFiles(run, [str(tmp_path / "pipe")])


def test_a_file_written_meanwhile_spoils_the_result(run: Storage, tmp_path: Path) -> None:
    """What changes while the job runs is found at its end; a file that is gone by then misled nobody."""
    path = tmp_path / "x.npy"
    path.write_bytes(CONTENT)
    data = DataFiles(run, [str(path)])
    with data:
        data.check_again()
        path.write_bytes(CHANGED)
        with pytest.raises(InputError, match="changed since the run"):
            data.check_again()
        path.unlink()
        data.check_again()


def test_an_attempt_that_has_ended_writes_nothing(
    run: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that ends just when the last byte was read: its folder may be another attempt's by then."""
    path, note = tmp_path / "x.npy", data_files._note
    path.write_bytes(CONTENT)
    is_read, is_over = threading.Event(), threading.Event()

    def note_at_the_end(address: str) -> data_files.Note:
        is_read.set()
        is_over.wait()
        return note(address)

    data = DataFiles(run, [str(path)])
    monkeypatch.setattr(data_files, "_note", note_at_the_end)
    with data:
        is_read.wait()
    is_over.set()
    data._thread.join()
    assert json.loads(run.read(NAME))[0]["digest"] == ""


def test_the_end_of_an_attempt_waits_for_what_is_written(
    run: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that has begun is done when the attempt is over."""
    path, write = tmp_path / "x.npy", run.write
    path.write_bytes(CONTENT)
    is_writing, written = threading.Event(), []

    def write_slowly(name: str, data: bytes) -> None:
        if threading.current_thread() is attempt._thread:  # the digests, not the first notes
            is_writing.set()
            time.sleep(0.3)
            written.append(name)
        write(name, data)

    monkeypatch.setattr(run, "write", write_slowly)
    attempt = DataFiles(run, [str(path)])
    with attempt:
        is_writing.wait()
    assert written == [NAME]


def test_a_comparison_can_be_stopped(run: Storage, tmp_path: Path) -> None:
    """Comparing a large file ends when the job is stopped."""
    path = tmp_path / "x.npy"
    path.write_bytes(CONTENT)
    _attempt(run, str(path))
    os.utime(path, (1, 1))

    def poll() -> None:
        raise Stopped("now")

    with pytest.raises(Stopped):
        DataFiles(run, [str(path)], poll).check()


@pytest.mark.parametrize("damaged", [b"{", b"[1]", b'[{"address": "x"}]'])
def test_damaged_notes_are_refused(damaged: bytes, run: Storage, tmp_path: Path) -> None:
    """Notes that cannot be read are an error in one line, not a run without notes."""
    path = tmp_path / "x.npy"
    path.write_bytes(CONTENT)
    run.write(NAME, damaged)
    with pytest.raises(InputError, match=r"data.json is damaged"):
        DataFiles(run, [str(path)]).check()


def test_missing_data_are_named(run: Storage, tmp_path: Path) -> None:
    """A file that does not exist is named before work begins."""
    with pytest.raises(InputError, match="missing.npy do not exist; check the path"):
        DataFiles(run, [str(tmp_path / "missing.npy")])
