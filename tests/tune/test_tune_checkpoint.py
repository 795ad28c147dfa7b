"""Checkpoints: one complete state in the run folder, local and in S3, whatever happens in between."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from jobs.errors import ClusterError, InputError
from jobs.storage import Storage, open_storage
from jobs.tune.trials.checkpoint import Checkpoint


def _open(storage: Storage, go: str, scratch: Path) -> Checkpoint:
    return Checkpoint(storage, 7, go, str(scratch))


def _content(checkpoint: Checkpoint) -> dict[str, bytes]:
    folder = checkpoint.folder
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_next_try_finds_the_last_saved_state(storage: Storage, tmp_path: Path) -> None:
    """New, changed and removed files are as at the last save; what came after it is not there."""
    first = _open(storage, "1-7-1", tmp_path / "a")
    assert _content(first) == {}
    (first.folder / "deep").mkdir()
    (first.folder / "deep/weights").write_bytes(b"1")
    (first.folder / "gone").write_bytes(b"x")
    first.save()
    (first.folder / "deep/weights").write_bytes(b"22")
    (first.folder / "gone").unlink()
    first.save()
    (first.folder / "deep/weights").write_bytes(b"333")
    second = _open(storage, "1-7-2", tmp_path / "b")
    assert _content(second) == {"deep/weights": b"22"}
    assert len(storage.list("checkpoints/")) == 2


def test_nothing_changed_writes_nothing(storage: Storage, tmp_path: Path) -> None:
    """Saving again, or after a restore, is free; one changed file does not store the others again."""
    first = _open(storage, "1-7-1", tmp_path / "a")
    for name in ("large", "small"):
        (first.folder / name).write_bytes(name.encode())
    first.save()
    names = storage.list()
    first.save()
    second = _open(storage, "1-7-2", tmp_path / "b")
    second.save()
    assert storage.list() == names
    (second.folder / "small").write_bytes(b"other")
    second.save()
    assert "checkpoints/0007-1-7-1-1-0" in storage.list()
    assert _content(_open(storage, "1-7-3", tmp_path / "c")) == {"large": b"large", "small": b"other"}


def test_a_save_that_breaks_off_leaves_the_state_before(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between a file and the state that names it, the earlier state is what the next try finds."""
    first = _open(storage, "1-7-1", tmp_path / "a")
    (first.folder / "weights").write_bytes(b"1")
    first.save()
    (first.folder / "weights").write_bytes(b"22")
    write = type(storage).write

    def killed(self: Storage, name: str, data: bytes) -> None:
        if name.endswith("0007.json"):
            raise KeyboardInterrupt
        write(self, name, data)

    with monkeypatch.context() as patch:
        patch.setattr(type(storage), "write", killed)
        with pytest.raises(KeyboardInterrupt):
            first.save()
    assert _content(_open(storage, "1-7-2", tmp_path / "b")) == {"weights": b"1"}


def test_closing(storage: Storage, tmp_path: Path) -> None:
    """The local folder goes; the copy in the run folder only where it is not to be kept."""
    for keep in (True, False):
        checkpoint = _open(storage, f"1-7-{keep}", tmp_path / "a")
        (checkpoint.folder / "weights").write_bytes(b"1")
        checkpoint.save()
        checkpoint.close(keep=keep)
        assert not checkpoint.folder.exists()
        assert bool(storage.list("checkpoints/")) == keep


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ("{", "Expecting"),
        ("[]", "it holds list"),
        ("null", "it holds NoneType"),
        ('{"weights": 1}', "1 is no place"),
        ('{"weights": null}', "None is no place"),
        ('{"/nowhere/victim": "checkpoints/0007-1-7-1-1-0"}', "'/nowhere/victim' is no name"),
        ('{"../victim": "checkpoints/0007-1-7-1-1-0"}', "'../victim' is no name"),
        ('{"a/../../victim": "checkpoints/0007-1-7-1-1-0"}', "is no name"),
        ('{"": "checkpoints/0007-1-7-1-1-0"}', "'' is no name"),
        ('{"a\\u0000": "checkpoints/0007-1-7-1-1-0"}', "is no name"),
        ('{"weights": "/nowhere/file"}', "'/nowhere/file' is no place"),
        ('{"weights": "../../secret"}', "is no place"),
        ('{"weights": "options.yaml"}', "is no place"),
        ('{"weights": "checkpoints/0008-1-8-1-1-0"}', "is no place"),
        ('{"weights": "checkpoints/0007-/../../secret"}', "is no place"),
        (f'{{"weights": "checkpoints/0007-{"a" * 300}"}}', "is no place"),
        ('{"weights": "checkpoints/0007-\\ud800"}', "is no place"),
        ("[" * 100_000, "recursion"),
        (f'{{"{"a" * 300}": "checkpoints/0007-1-7-1-1-0"}}', "File name too long"),
        ('{"a": "checkpoints/0007-1-7-1-1-0", "a/b": "checkpoints/0007-1-7-1-1-0"}', "File exists|Not a directory"),
        ('{"a/b": "checkpoints/0007-1-7-1-1-0", "a": "checkpoints/0007-1-7-1-1-0"}', "Is a directory"),
        ('{"\\ud800a": "checkpoints/0007-1-7-1-1-0"}', "is no name of a file"),
    ],
)
def test_a_damaged_state_is_told(storage: Storage, tmp_path: Path, state: str, why: str) -> None:
    """A state that is no mapping of plain names to places of this very trial is named, and nothing comes of it."""
    storage.write("checkpoints/0007-1-7-1-1-0", b"payload")
    storage.write("checkpoints/0007.json", state.encode())
    with pytest.raises(InputError, match=rf"checkpoints/0007\.json is damaged \(.*{why}.*; remove it, and the trial"):
        _open(storage, "1-7-1", tmp_path / "a")
    assert not list(tmp_path.glob("a/*"))


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("checkpoints/0007-x", "secret"),
        ("checkpoints/0007.json", "secret"),
        ("checkpoints/0007.json", "nowhere"),
        ("checkpoints", "folder"),
    ],
)
def test_links_that_lead_out_are_not_followed(link: str, target: str, tmp_path: Path) -> None:
    """A symbolic link below the run folder is refused before anything behind it is read or written."""
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints/0007.json").write_text('{"weights": "checkpoints/0007-x"}')
    (tmp_path / "secret").write_text('{"stolen": "checkpoints/0007-x"}')
    (tmp_path / "folder").mkdir()
    if link == "checkpoints":
        shutil.rmtree(run / link)
    (run / link).unlink(missing_ok=True)
    (run / link).symlink_to(tmp_path / target)
    with pytest.raises(InputError, match=rf"run/{link} is a symbolic link, but .* remove it"):
        _open(open_storage(run), "1-7-1", tmp_path / "a")
    assert not list(tmp_path.glob("a/*"))
    assert not list((tmp_path / "folder").iterdir())


def test_a_link_that_comes_later(tmp_path: Path) -> None:
    """A save into a folder that has become a link fails as a storage does; the run folder may be one."""
    (tmp_path / "real").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "real")
    first = _open(open_storage(tmp_path / "run"), "1-7-1", tmp_path / "a")
    (first.folder / "weights").write_bytes(b"1")
    first.save()
    shutil.move(tmp_path / "real/checkpoints", tmp_path / "victim")
    (tmp_path / "real/checkpoints").symlink_to(tmp_path / "victim")
    before = {path: path.read_bytes() for path in (tmp_path / "victim").iterdir()}
    (first.folder / "weights").write_bytes(b"22")
    with pytest.raises(ClusterError, match=r"run/checkpoints is a symbolic link"):
        first.save()
    first.close(keep=False)
    assert {path: path.read_bytes() for path in (tmp_path / "victim").iterdir()} == before


def test_a_file_that_another_try_has_replaced(storage: Storage, tmp_path: Path) -> None:
    """A file that a state names and that is gone is a fault of the storage, after which the trial is tried again."""
    storage.write("checkpoints/0007.json", b'{"weights": "checkpoints/0007-1-7-1-1-0"}')
    with pytest.raises(ClusterError, match="checkpoints/0007-1-7-1-1-0"):
        _open(storage, "1-7-2", tmp_path / "a")
