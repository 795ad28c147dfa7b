"""The alexnet job on generated tars: from files to a network, with the same bits whatever happens meanwhile."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import tarfile
import time
import zipfile
from pathlib import Path
from typing import Any

import psutil
import pytest
from commands import result_of, run_job, start_job, until_saved, weights_of

from jobs.alexnet import job
from jobs.alexnet.demo.images import demo_images
from jobs.alexnet.group.serial import SerialLoading
from jobs.alexnet.options import Options
from jobs.errors import Superseded
from jobs.options import validated
from jobs.runs.run import STATUS_SECONDS
from jobs.storage import open_storage

IMAGES, CLASSES = 240, 3
SMALL = ["--image-size", "57", "--width", "0.0625", "--parts", "4", "--minibatch", "12", "--partition-images", "32",
         "--validation", "0.1", "--epochs", "2"]  # fmt: skip
BUCKET = ["--s3-bucket", "images", "--key-prefix", "train/", "--label-file", "labels.txt"]


def _tar(numbers: range) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for image in demo_images(len(numbers), CLASSES, start=numbers.start):
            info = tarfile.TarInfo(image.name)
            info.size = len(image.data)
            tar.addfile(info, io.BytesIO(image.data))
    return file.getvalue()


@pytest.fixture(scope="session")
def tars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with three tars and a label file."""
    folder = tmp_path_factory.mktemp("tars")
    for start in range(0, IMAGES, 80):
        (folder / f"{start:03}.tar").write_bytes(_tar(range(start, start + 80)))
    lines = [f"{image.name} {image.label}\n" for image in demo_images(IMAGES, CLASSES)]
    (folder / "labels.txt").write_text("".join(lines))
    return folder


@pytest.fixture
def data(tars: Path) -> list[str]:
    """Return the options that name the images."""
    return ["--data", str(tars), "--label-file", str(tars / "labels.txt"), *SMALL]


@pytest.fixture(scope="session")
def whole(tars: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run folder of a training in one process."""
    run = tmp_path_factory.mktemp("whole") / "run"
    given = ["--data", str(tars), "--label-file", str(tars / "labels.txt"), *SMALL]
    done = run_job(*given, "--workers", "0", "--run", str(run), job="alexnet")
    assert done.returncode == 0, done.stderr
    return run


def test_result(whole):
    """It says what was loaded, how well it was mixed, and how it was trained."""
    result = result_of(whole)
    images = result["images"]
    assert (images["count"], images["classes"], images["bad_count"]) == (IMAGES, CLASSES, 0)
    assert len(images["distances"]) == 7
    assert (result["epochs"], result["steps"]) == (2, 10)
    assert set(result["history"]) >= {"loss", "top_1", "top_5", "val_loss", "val_top_1"}
    assert (whole / "model.keras").stat().st_size > 100_000
    assert 0 <= result["data_share"] < 1


def test_progress(whole):
    """It shows the accuracy of every tenth step's batch, here of a short one, and the share of waiting for data."""
    metrics = json.loads((whole / "status.json").read_text())["metrics"]
    assert (metrics["batch_top_1"] * 24).is_integer()
    assert metrics["batch_top_5"] == 1
    assert metrics["batch_top_1"] != metrics["top_1"]
    assert 0 <= metrics["data_share"] < 1


@pytest.mark.parametrize("workers", ["1", "3"])
def test_number_of_workers(workers, data, whole, tmp_path):
    """The same bits."""
    done = run_job(*data, "--workers", workers, "--run", str(tmp_path / "run"), job="alexnet")
    assert done.returncode == 0, done.stderr
    assert weights_of(tmp_path / "run") == weights_of(whole)


def test_from_s3_after_kill_9(s3, tars, whole):
    """Read from a bucket by ranges; the driver is killed while it trains, and the same command goes on."""
    import boto3

    boto3.client("s3").create_bucket(Bucket="images")
    bucket = open_storage("s3://images")
    for path in tars.iterdir():
        bucket.write(("train/" if path.suffix == ".tar" else "") + path.name, path.read_bytes())
    url = f"{s3}/run"
    given = [*BUCKET, *SMALL, "--workers", "2", "--save-every", "2", "--run", url]
    process = start_job(*given, job="alexnet", start_new_session=True)
    until_saved(url, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = run_job(*given, job="alexnet")
    assert done.returncode == 0, done.stderr
    assert weights_of(url) == weights_of(whole)
    assert result_of(url)["attempt"] == 2
    again = run_job(*given, job="alexnet")
    assert again.returncode == 0
    assert "ended already" in again.stdout


def test_a_worker_is_killed_while_it_trains(data, whole, tmp_path):
    """The other goes on with its parts, for which it reads their images again: the same bits."""
    run = tmp_path / "run"
    process = start_job(*data, "--workers", "2", "--save-every", "1", "--run", str(run), job="alexnet")
    workers: list[psutil.Process] = []
    while not (run / "checkpoints").exists() or not list((run / "checkpoints").glob("*.json")):
        assert process.poll() is None
        if not workers:  # before there is a checkpoint: then it is a matter of milliseconds
            workers = [one for one in psutil.Process(process.pid).children(recursive=True) if _listens(one)]
        time.sleep(0.01)
    workers[0].kill()
    assert process.wait(120) == 0
    assert result_of(run)["lost_workers"] == 1
    assert result_of(run)["attempt"] == 1
    assert weights_of(run) == weights_of(whole)


def test_two_drivers_while_the_first_one_loads(data, tmp_path, monkeypatch):
    """The second is refused before it touches anything; one elsewhere takes over, which the first is told at once."""
    run = tmp_path / "run"
    given = dict(zip((name.removeprefix("--").replace("-", "_") for name in data[::2]), data[1::2], strict=True))

    def meet(its: SerialLoading, progress: Any) -> None:
        before = {path.name: path.stat().st_mtime_ns for path in run.iterdir() if path.name != "status.json"}
        second = run_job(*data, "--workers", "0", "--run", str(run), job="alexnet")
        assert second.returncode == 2
        assert f"another driver, process {os.getpid()}, is at work on it" in second.stderr
        assert {path.name: path.stat().st_mtime_ns for path in run.iterdir() if path.name in before} == before
        open_storage(run).create("attempts/0002", b"of another machine")
        load(its, progress)

    load = SerialLoading.load
    monkeypatch.setattr(SerialLoading, "load", meet)
    monkeypatch.setattr(job, "train", None)  # not reached
    monkeypatch.setitem(STATUS_SECONDS, "local", 0.0)
    with pytest.raises(Superseded, match="attempt 2 has taken over .*; this one has stopped"):
        job.run(validated(Options, {**given, "workers": 0, "run": str(run)}))


@pytest.mark.parametrize("changed", [["--resize", "crop"], ["--shuffle-rounds", "1"], ["--key-prefix", "0"]])
def test_other_options_are_another_run(changed, data, whole):
    """A run that has ended keeps its result; with another choice it is refused before anything is touched."""
    before = {path.name: path.stat().st_mtime_ns for path in whole.iterdir() if path.is_file()}
    done = run_job(*data, *changed, "--workers", "0", "--run", str(whole), job="alexnet")
    assert done.returncode == 2, done.stderr
    assert "belongs to another run" in done.stderr
    assert {path.name: path.stat().st_mtime_ns for path in whole.iterdir() if path.is_file()} == before


def test_report(whole, tars):
    """It names where the images came from, and draws how they were mixed."""
    done = run_job(str(whole), job="report")
    assert done.returncode == 0, done.stderr
    text = (whole / "report.html").read_text()
    assert f"<h1>alexnet · {tars}</h1>" in text
    assert "Mixture of classes" in text
    assert "Images that cannot be read" not in text
    assert "waiting for rows that were not read ahead" in text


def test_predict(whole, tmp_path):
    """The likeliest classes of images, by the names that their own tars gave them."""
    for image in demo_images(2, CLASSES, start=1000):
        (tmp_path / image.name).write_bytes(image.data)
    images = sorted(map(str, tmp_path.iterdir()))
    done = run_job(str(whole), *images, job="predict")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == images
    assert {line.split()[1] for line in lines if line.startswith(" ")} == {"disc", "square", "triangle"}
    missing = run_job(str(whole), "none.jpg", job="predict")
    assert missing.returncode == 2
    assert missing.stderr == "dask-jobs: error: the image none.jpg cannot be read: No such file or directory\n"
    assert run_job(str(tmp_path), "a.jpg", job="predict").returncode == 2


def _listens(process: psutil.Process) -> bool:
    """Return whether a process is a worker, which listens."""
    try:
        return any(one.status == psutil.CONN_LISTEN for one in process.net_connections())
    except psutil.Error:
        return False


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


def _no_tars(folder: Path) -> None:
    for path in folder.glob("*.tar"):
        path.unlink()


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
    ],
)
def test_bad_input(spoil, message, tars, tmp_path):
    """One line that names it, exit code 2, before anything is trained."""
    folder = tmp_path / "tars"
    shutil.copytree(tars, folder)
    spoil(folder)
    given = ["--data", str(folder), "--label-file", str(folder / "labels.txt"), *SMALL, "--workers", "0"]
    done = run_job(*given, "--run", str(tmp_path / "run"), job="alexnet")
    assert done.returncode == 2, done.stderr
    error = [line for line in done.stderr.splitlines() if line.startswith("dask-jobs: error: ")]
    assert len(error) == 1
    assert message in error[0]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run" / "model.keras").exists()
