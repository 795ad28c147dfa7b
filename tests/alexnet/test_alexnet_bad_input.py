"""Images that the job alexnet cannot use: one line, exit code 2, before anything is trained."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
from commands import run_here
from job_tars import CLASSES, SMALL

from jobs.alexnet.demo.images import demo_images


def _empty(folder: Path) -> None:
    (folder / "000.tar").write_bytes(b"\0" * 10240)


def _cut(folder: Path) -> None:
    (folder / "000.tar").write_bytes((folder / "000.tar").read_bytes()[:100_000])


def _zipped(folder: Path) -> None:
    with zipfile.ZipFile(folder / "000.tar", "w") as file:
        file.writestr("a.JPEG", "x")


def _unlabelled(folder: Path) -> None:
    lines = (folder / "labels.txt").read_text().splitlines(keepends=True)
    (folder / "labels.txt").write_text("".join(lines[1:]))


def _no_labels(folder: Path) -> None:
    (folder / "labels.txt").unlink()


def _many_bad(folder: Path) -> None:
    with tarfile.open(folder / "999.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("bad.JPEG"))
    with (folder / "labels.txt").open("a") as file:
        file.write("bad.JPEG 0\n")


def _nothing(folder: Path) -> None:
    """The options are what cannot be used."""


def _no_tars(folder: Path) -> None:
    for path in folder.glob("*.tar"):
        path.unlink()


def test_no_image_can_be_read(tars, tmp_path):
    """Where that is allowed, too few are left: one line, before the shuffle."""
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        for image in demo_images(60, CLASSES):
            tar.addfile(tarfile.TarInfo(image.name))
    given = ["--data", str(tmp_path), "--label-file", str(tars / "labels.txt"), *SMALL, "--max-bad", "1"]
    done = run_here(*given, "--workers", "0", "--run", str(tmp_path / "run"), job="alexnet")
    assert done.returncode == 2, done.stderr
    assert "there are 0 images, fewer than a step" in done.stderr
    assert "Warning" not in done.stderr
    assert "shuffle" not in done.stderr


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_empty, "000.tar"),
        (_cut, "000.tar"),
        (_zipped, "zip"),
        (_unlabelled, "1 image of 240 not in it, the first is"),
        (_no_labels, "labels.txt"),
        (_many_bad, "1 image of 241 cannot be read, more than --max-bad 0.001 allows; the first is"),
        (_no_tars, "check --data"),
        (_nothing, "--validation is 0.001 of 240 rows, which is none of a part's: give more, or 0"),
    ],
)
def test_bad_input(spoil, message, tars, tmp_path):
    """One line that names it, exit code 2, before anything is trained."""
    folder = tmp_path / "tars"
    shutil.copytree(tars, folder)
    spoil(folder)
    given = ["--data", str(folder), "--label-file", str(folder / "labels.txt"), *SMALL, "--workers", "0"]
    given += ["--validation", "0.001"] * (spoil is _nothing)
    done = run_here(*given, "--run", str(tmp_path / "run"), job="alexnet")
    assert done.returncode == 2, done.stderr
    error = [line for line in done.stderr.splitlines() if line.startswith("dask-jobs: error: ")]
    assert len(error) == 1
    assert message in error[0]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run" / "model.keras").exists()
