"""Putting a run folder here: only a run's folder is replaced, and never before the new one is in its place."""

from __future__ import annotations

import errno
import os
from functools import partial
from pathlib import Path

import pytest
from drivers import MINIMIZE, TUNE, driver_of

from jobs.commands import write_report
from jobs.errors import InputError
from jobs.release.actions.destination import beside, check, put, target_of
from jobs.storage import open_storage


def _folder(path: Path, **files: str) -> Path:
    path.mkdir(parents=True)
    for name, text in files.items():
        (path / name.replace("__", ".")).write_text(text)
    return path


def _put(target: Path) -> None:
    with beside(target) as part:
        (part / "new").write_text("new")
        put(part, target, partial(check, target=target, new=part, force=True))


@pytest.mark.parametrize("name", ["", ".", "..", "/", "../other", "a/../b", "a/.."])
def test_names_that_lead_elsewhere(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty name, the current folder or one above it is refused as a target, also with --force."""
    monkeypatch.chdir(_folder(tmp_path / "home", result__json='{"job": "tune"}'))
    with pytest.raises(InputError, match=r"must be the name of a folder of its own, without '\.\.'"):
        target_of(name, force=True)


@pytest.mark.parametrize(
    "files",
    [
        {"photo": "p"},
        {"options__yaml": "service: web\n"},
        {"options__yaml": "job: deploy\n"},
        {"result__json": "[1, 2]"},
        {"status__json": "{"},
        {"options__yaml": "*x"},
    ],
)
def test_only_run_folders_are_replaced(files: dict[str, str], tmp_path: Path) -> None:
    """--force does not replace a folder with files in which no file names a job of ours."""
    mine = _folder(tmp_path / "mine", **files)
    with pytest.raises(InputError, match="holds files, but no run .* --force replaces run folders alone"):
        target_of(str(mine), force=True)


@pytest.mark.parametrize(
    "files",
    [{"options__yaml": "job: tune\n"}, {"result__json": '{"job": "minimize"}'}, {"status__json": '{"job": "tune"}'}],
)
def test_run_folders_are_replaced(files: dict[str, str], tmp_path: Path) -> None:
    """A folder in which one file names a job is replaced as a whole, and nothing stays beside it."""
    target = target_of(str(_folder(tmp_path / "a" / "run", **files)), force=True)
    _put(target)
    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in target.parent.iterdir()] == ["run"]


def test_new_and_empty_folders_are_filled(tmp_path: Path) -> None:
    """A folder that is not there, or is empty, needs no --force."""
    for target in (tmp_path / "a/b/new", _folder(tmp_path / "empty")):
        _put(target_of(str(target), force=False))
        assert (target / "new").read_text() == "new"


def test_a_file_of_mine_among_a_runs(tmp_path: Path) -> None:
    """Beside the files of attempts, which have numbers, one of another name is named and kept."""
    target = _folder(tmp_path / "run", result__json='{"job": "tune"}')
    _folder(target / "attempts", **{"0001": "", "thesis__tex": "mine"})
    with pytest.raises(InputError, match="holds 'attempts/thesis.tex', which no run has made"):
        _put(target)
    assert (target / "attempts/thesis.tex").read_text() == "mine"


def test_links_are_not_followed(tmp_path: Path) -> None:
    """A target that is a link is refused: what it leads to is not touched."""
    _folder(tmp_path / "run", result__json='{"job": "tune"}')
    (tmp_path / "link").symlink_to(tmp_path / "run")
    with pytest.raises(InputError, match="is a link, but must be a folder"):
        target_of(str(tmp_path / "link"), force=True)


@pytest.mark.parametrize("fails", ["old", "new"])
def test_what_was_there_outlives_a_move_that_fails(fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the old or the new folder cannot be moved (a mount point), the old one is there as before, alone."""
    target = _folder(tmp_path / "run", result__json='{"job": "tune"}')
    moves = Path.replace

    def replace(path: Path, to: Path) -> Path:
        if (path == target) == (fails == "old") and "-old-" not in path.name:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        return moves(path, to)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(InputError, match="cannot be written .*busy.*; nothing there was changed"):
        _put(target)
    assert {path.name: path.read_text() for path in target.iterdir()} == {"result.json": '{"job": "tune"}'}
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_an_interrupt_between_the_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C after the old folder was moved aside, and before the new one is in its place, brings the old one back."""
    target = _folder(tmp_path / "run", result__json='{"job": "tune"}')
    moves = Path.replace

    def replace(path: Path, to: Path) -> Path:
        moved = moves(path, to)
        if path == target:
            raise KeyboardInterrupt
        return moved

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        _put(target)
    assert [path.name for path in target.iterdir()] == ["result.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_what_turns_up_at_the_last_moment_is_moved_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that comes just before the old folder is moved aside is found there, and the old folder comes back."""
    target = _folder(tmp_path / "run", result__json='{"job": "tune"}')
    moves = Path.replace

    def replace(path: Path, to: Path) -> Path:
        if path == target:
            (path / "mine").write_text("mine")
        return moves(path, to)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(InputError, match=f"{target} holds 'mine', which no run has made"):
        _put(target)
    assert sorted(path.name for path in target.iterdir()) == ["mine", "result.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_all_that_a_run_makes_is_known(tmp_path: Path) -> None:
    """--force replaces whatever the jobs themselves have written, with a report, a warm start and all."""
    for job, options in (("minimize", MINIMIZE), ("tune", TUNE)):
        folder = driver_of(tmp_path / job, job, **options).folder
        write_report(open_storage(str(folder)))
        for name in ("warm.npy", "journal-full", "failures/0001.txt", "checkpoints/0001.json", ".tmp-0123"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).touch()
        _put(target_of(str(folder), force=True))
        assert [path.name for path in folder.iterdir()] == ["new"]
