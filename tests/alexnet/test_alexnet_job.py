"""The alexnet job on generated tars: from files to a network, with the same bits whatever happens meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from commands import result_of, run_here, run_job, start_job, until_saved, weights_of
from job_tars import CLASSES, IMAGES, SMALL, tar_of_images

from jobs.alexnet import job
from jobs.alexnet.demo.images import demo_images
from jobs.alexnet.group.serial import SerialLoading
from jobs.alexnet.options import Options
from jobs.errors import Superseded
from jobs.options import validated
from jobs.runs.run import STATUS_SECONDS
from jobs.storage import open_storage

BUCKET = ["--s3-bucket", "images", "--key-prefix", "train/", "--label-file", "labels.txt"]


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
    assert set(result["history"]) == {"loss", "top_1", "val_loss", "val_top_1"}
    assert (whole / "model.keras").stat().st_size > 100_000
    assert 0 <= result["data_share"] < 1


def test_demo(tmp_path):
    """Its options stand in the run folder, which so is a --config of the same run; its server does not write lines."""
    run = tmp_path / "run"
    done = run_job("--demo", "--epochs", "1", "--drop-epochs", "1", "--workers", "0", "--run", str(run), job="alexnet")
    assert done.returncode == 0, done.stderr
    assert "HTTP" not in done.stderr
    assert "1,200 (120 held out)" in done.stdout
    assert "5: disc, square, triangle, ring, cross\n" in done.stdout
    assert "of 80 images; learning rate 0.005 at the start" in done.stdout
    options = yaml.safe_load((run / "options.yaml").read_text())
    assert (options["epochs"], options["s3_bucket"], options["image_size"]) == (1, "demo", 64)
    again = run_job("--config", str(run / "options.yaml"), job="alexnet")
    assert again.returncode == 0, again.stderr
    assert "ended already" in again.stdout


def test_progress(whole):
    """It shows the accuracy of every tenth step's batch, here of a short one, and the share of waiting for data."""
    metrics = json.loads((whole / "status.json").read_text())["metrics"]
    assert (metrics["batch_top_1"] * 24).is_integer()
    assert metrics["batch_top_1"] != metrics["top_1"]
    assert 0 <= metrics["data_share"] < 1


def test_folders_as_labels(whole, tmp_path):
    """A folder per class in each tar, as of torchvision's ImageFolder: no label file, and names may come again."""
    for start in range(0, IMAGES, 80):
        numbers = range(start, start + 80)
        (tmp_path / f"{start:03}.tar").write_bytes(
            tar_of_images(numbers, lambda one: f"x{one.label}/{int(one.name[-10:-5]) % 80}.jpg")
        )
    given = ["--data", str(tmp_path), "--labels", "folder", *SMALL]
    done = run_here(*given, "--workers", "0", "--run", str(tmp_path / "run"), job="alexnet")
    assert done.returncode == 0, done.stderr
    assert result_of(tmp_path / "run")["images"]["class_names"] == ["x0", "x1", "x2"]
    assert weights_of(tmp_path / "run") == weights_of(whole)


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
        # Before there is a checkpoint: then it is a matter of milliseconds. Both: a process that is about to be another
        # program, as the one that forks them, has the driver's own sockets for a moment.
        if len(workers) < 2:
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


OTHER_RUNS = (["--resize", "crop"], ["--shuffle-rounds", "1"], ["--key-prefix", "0"], ["--seed", "5"],
              ["--minibatch", "10"], ["--wire", "bfloat16"])  # fmt: skip


def _files(run: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in run.iterdir() if path.is_file()}


@pytest.mark.parametrize("changed", OTHER_RUNS, ids=" ".join)
def test_other_options_are_another_run(changed, data, whole):
    """A run that has ended keeps its result; with another choice it is refused before anything is touched."""
    before = _files(whole)
    done = run_here(*data, *changed, "--workers", "0", "--run", str(whole), job="alexnet")
    assert done.returncode == 2, done.stderr
    assert "belongs to another run" in done.stderr
    assert "loaded" not in done.stderr
    assert _files(whole) == before


def _other_labels(folder: Path) -> str:
    lines = [f"{image.name} {(image.label + 1) % CLASSES}\n" for image in demo_images(IMAGES, CLASSES)]
    (folder / "labels.txt").write_text("".join(lines))
    return "labels was "


def _other_tar(folder: Path) -> str:
    shutil.copy(folder / "080.tar", folder / "000.tar")
    return "000.tar was written since it was first looked at"


def _one_tar_less(folder: Path) -> str:
    (folder / "160.tar").unlink()
    return "160.tar was deleted; bring it back"


@pytest.mark.parametrize("spoil", [_other_labels, _other_tar, _one_tar_less])
def test_other_images_are_another_run(spoil, tars, whole, tmp_path):
    """So it does with other labels or tars, when it is given more epochs: nothing is loaded."""
    folder = tmp_path / "tars"
    shutil.copytree(tars, folder)
    message, before = spoil(folder), _files(whole)
    given = ["--data", str(folder), "--label-file", str(folder / "labels.txt"), *SMALL, "--epochs", "3"]
    done = run_here(*given, "--workers", "0", "--run", str(whole), job="alexnet")
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "loaded" not in done.stderr
    assert _files(whole) == before


def test_report(whole, tars):
    """It names where the images came from, and draws how they were mixed."""
    done = run_here(str(whole), job="report")
    assert done.returncode == 0, done.stderr
    text = (whole / "report.html").read_text()
    assert f"<h1>alexnet · {tars}</h1>" in text
    assert "Mixture of classes" in text
    assert "4 filters of 11 by 11 pixels" in text
    assert "Images that cannot be read" not in text
    assert "waiting for rows that were not read ahead" in text


def test_predict(whole, tmp_path):
    """The likeliest classes of images, by the names that their own tars gave them."""
    for image in demo_images(2, CLASSES, start=1000):
        (tmp_path / image.name).write_bytes(image.data)
    images = sorted(map(str, tmp_path.iterdir()))
    done = run_here(str(whole), *images, job="predict")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == images
    assert {line.split()[1] for line in lines if line.startswith(" ")} == {"disc", "square", "triangle"}
    nothing = run_here(str(whole), job="predict")
    assert (nothing.returncode, nothing.stdout) == (2, "")
    assert nothing.stderr.endswith(": there is nothing to predict: give --data DATA, or images: FILE...\n")
    missing = run_here(str(whole), "none.jpg", job="predict")
    assert missing.returncode == 2
    assert missing.stderr == "dask-jobs: error: the image none.jpg cannot be read: No such file or directory\n"
    assert run_here(str(tmp_path), "a.jpg", job="predict").returncode == 2


def _listens(process: psutil.Process) -> bool:
    """Return whether a process is a worker, which listens."""
    try:
        return any(one.status == psutil.CONN_LISTEN for one in process.net_connections())
    except psutil.Error:
        return False
