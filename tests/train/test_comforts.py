"""What a person sees of a training beside its result: TensorBoard's files, shares of the time, the workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import networks
import pytest
from bokeh.models import LogScale
from waiting import until
from workers_of_a_run import RECORDS, spent

from jobs.storage import Storage, open_storage
from jobs.train import GradientAveraging, Replicas
from jobs.train.event_files import EventFiles
from jobs.train.loop.callbacks import KerasCallbacks
from jobs.train.loop.timeline import Record, notable, slow_text, slowest
from jobs.train.monitor import Shares
from jobs.train.report.curves import curves as report_curves
from jobs.train.report.workers import workers
from jobs.train.summary import show

FACTS: Any = {"steps": 10, "samples": 480, "held_out": 0, "structure": "", "means": {}}
TRAINER: Any = SimpleNamespace(on_one=lambda function: 0.1)
COMMAND = """
import sys
from jobs.cli import main
code = main()
print("tensorflow" in sys.modules, "tensorboard" in sys.modules, file=sys.stderr)
sys.exit(code)
"""
SLOW = ["--model", "networks:slow", "--data", "networks:data", "--batch-size", "48", "--save-every", "5"]


def curves(storage: Storage, run: str, folder: Path) -> dict[str, dict[int, float]]:
    """Return what TensorBoard's own reader finds of a run: name -> step -> value; no step twice."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for name in storage.list(f"tensorboard/{run}/"):
        (folder / run).mkdir(parents=True, exist_ok=True)
        (folder / run / name.rpartition("/")[2]).write_bytes(storage.read(name))
    reader = EventAccumulator(str(folder / run))
    reader.Reload()
    found = {}
    for tag in reader.Tags()["scalars"]:
        points = [(point.step, point.value) for point in reader.Scalars(tag)]
        assert [step for step, _ in points] == sorted({step for step, _ in points}), tag
        found[tag] = dict(points)
    return found


def train(files: EventFiles, first: int, last: int) -> None:
    """Do as a fit does with steps first..last."""
    for step in range(first, last + 1):
        files.step(step, 1 / step)
        if step % 10 == 0:
            files(step // 10 - 1, {"loss": 1 / step, "val_loss": 2 / step}, TRAINER)


def test_event_files_of_attempts_that_were_killed(storage, tmp_path):
    """Whatever was written when: each step is there once, in S3 too; the next attempt writes what was lost."""
    files = EventFiles(storage)
    files.begin(1, 0, FACTS)
    train(files, 1, 12)
    files.write()
    train(files, 13, 25)
    state = json.loads(json.dumps(files.state()))  # a checkpoint at 25, with values that no file has yet
    train(files, 26, 38)
    files.write()  # of steps that are taken again
    train(files, 39, 44)  # lost
    again = EventFiles(storage)
    again.restore(state, {})
    again.begin(2, 25, FACTS)
    train(again, 26, 40)
    again.write()
    found = curves(storage, "train", tmp_path / "read")
    assert found["batch_loss"] == pytest.approx({step: 1 / step for step in range(1, 41)})
    assert found["epoch_loss"] == pytest.approx({step: 1 / step for step in (10, 20, 30, 40)})
    assert found["epoch_learning_rate"] == pytest.approx(dict.fromkeys((10, 20, 30, 40), 0.1))
    assert min(found["epoch_samples_per_second"].values()) > 0
    assert curves(storage, "validation", tmp_path / "read")["epoch_loss"] == pytest.approx(
        {step: 2 / step for step in (10, 20, 30, 40)}
    )


def test_a_long_epoch_has_few_points(tmp_path):
    """At most a hundred, of the metrics of single steps too; and the loss of no row is none."""
    files = EventFiles(open_storage(tmp_path / "run"))
    files.begin(1, 0, FACTS | {"steps": 5000})
    for step in range(1, 5001):
        files.step(step, float("nan") if step < 100 else 1.0, {"batch_top_1": 0.25})
    files.write()
    found = curves(open_storage(tmp_path / "run"), "train", tmp_path / "read")
    steps = list(found["batch_loss"])
    assert (steps[0], len(steps)) == (100, 99)
    assert found["batch_top_1"] == dict.fromkeys(steps, 0.25)


def test_a_run_that_is_killed_has_whole_curves(tmp_path):
    """Of the job itself, whose driver imports no TensorFlow; live numbers have metrics and shares of the time."""
    run = tmp_path / "run"
    command = [sys.executable, "-c", COMMAND, "train", *SLOW, "--epochs", "4", "--workers", "2", "--run", str(run)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    first = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)
    until(lambda: list(run.glob("checkpoints/*.json")), process=first)
    first.kill()
    first.wait()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "\nFalse True\n" in done.stderr
    found = curves(open_storage(run), "train", tmp_path / "read")
    result = json.loads((run / "result.json").read_text())
    steps = [10, 20, 30, 40]
    for name in ("loss", "accuracy"):
        wanted = dict(zip(steps, result["history"][name], strict=True))
        assert found[f"epoch_{name}"] == pytest.approx(wanted)
    assert list(found["epoch_learning_rate"].values()) == pytest.approx([0.01] * 4)
    assert found["batch_loss"][40] == pytest.approx(result["history"]["loss"][-1])
    assert result["rates"]["learning_rate"] == pytest.approx([0.01] * 4)
    assert list(found["epoch_samples_per_second"].values()) == pytest.approx(result["rates"]["samples_per_second"])
    spent_by = {name: seconds for name, seconds in result["spent"].items() if name != "parts"}
    last = result["seconds"] - min(one["spans"][0][0] for one in result["timeline"] if one["attempt"] == 2)
    assert sum(spent_by.values()) == pytest.approx(last, abs=0.2)
    assert min(spent_by.values()) >= 0
    metrics = json.loads((run / "status.json").read_text())["metrics"]
    assert metrics["accuracy"] == pytest.approx(result["history"]["accuracy"][-1])
    shares = [metrics[f"{name}_share"] for name in ("data", "compute", "exchange", "optimizer")]
    assert sum(shares) == pytest.approx(1)
    assert [record["attempt"] for record in result["timeline"]] == [1, 1, 2, 2]
    assert {span[2] for record in result["timeline"] for span in record["spans"]} == {4}


def test_shares_are_those_of_the_last_seconds():
    """Of one worker: another one's seconds, or those of one that began anew, are not compared with them."""
    shares = Shares()

    def at(moment: float, compute: float, exchange: float) -> dict[str, float]:
        return shares.note({"data": 0.0, "compute": compute, "exchange": exchange, "apply": 0.0, "parts": 1}, moment)

    assert at(0, 10, 0) == {}
    assert at(10, 15, 5) == {"data": 0.0, "compute": 0.5, "exchange": 0.5, "optimizer": 0.0}
    assert at(40, 15, 25)["exchange"] == 1.0
    assert at(41, 1, 1) == {}


def test_the_slowest_worker_is_named(client_of):
    """By what a part takes on it, not by how long it works: a worker with more parts is not slow."""
    client = client_of(2)
    slow, *_ = sorted(client.scheduler_info(n_workers=-1)["workers"])
    client.run(networks.be_slow, 0.3, workers=[slow])  # more than a busy machine makes the other one
    with Replicas(client, networks.sluggish) as replicas:
        GradientAveraging(replicas).fit(networks.rows(), batch_size=48, epochs=1)
        records = replicas.trainer.timeline.records
    found = slowest(records)
    assert found
    assert notable(found)
    assert found["worker"] == slow
    assert found["seconds"] > 0.3 > found["others"]


def test_who_is_slow():
    """From 1.25 times the median of the others on; a worker that has just begun is not compared, nor an earlier one."""
    found = slowest(RECORDS)
    assert found == {"worker": "tcp://10.0.0.5:40005", "seconds": pytest.approx(0.02), "others": pytest.approx(0.0095)}
    assert "10.0.0.5:40005: a part takes 20 ms on it, 2.11 times the 9.5 ms on the others" in slow_text(found)
    alike = [Record(f"w{number}", 1, spent=spent(0.01 + 0.001 * number, 0.0)) for number in range(3)]
    assert not notable(slowest(alike))
    assert slowest([alike[0], Record("w3", 1, spent=spent(0.5, 0.0, parts=4))]) is None


def test_the_summary_names_the_slowest_worker(capsys):
    """If it is notable."""
    result = {"success": True, "message": "4 epochs", "history": {"loss": [0.1]}, "samples": 0, "parameters": 1}
    result |= {"epochs": 4, "steps": 8, "seconds": 2.0, "workers": 2, "attempt": 1, "spent": {}}
    result |= {"weights": {"epoch": 3, "best_by": "val_loss"}}
    show(result | {"slowest": slowest(RECORDS)}, "runs/x")
    shown = capsys.readouterr().out
    assert "the slowest worker is tcp://10.0.0.5:40005" in shown
    assert "of epoch 3, the best by val_loss" in shown
    show(result | {"slowest": None}, "runs/x")
    assert "slowest" not in capsys.readouterr().out


def test_the_curves_of_the_report():
    """A loss that falls by decades has a logarithmic axis with labels; a learning rate is drawn only if it changes."""
    history = {"loss": [2.0, 0.3, 0.06], "val_loss": [2.5, 1.0, 0.5], "accuracy": [0.5, 0.9, 0.99]}
    rates = {"learning_rate": [0.1, 0.1, 0.001], "samples_per_second": [900.0, 2000.0, 2100.0]}
    (section,) = report_curves(history, rates)
    plots = {plot.caption: plot.figure for plot in section.plots}
    assert list(plots) == ["loss", "accuracy", "learning rate", "samples per second"]
    assert [isinstance(plot.y_scale, LogScale) for plot in plots.values()] == [True, False, True, False]
    assert [tick for tick in plots["loss"].yaxis[0].ticker.ticks if 0.06 <= tick <= 2.5] == [0.1, 0.2, 0.5, 1, 2]
    (steady,) = report_curves({"loss": [1.0, 0.9, 0.8]}, rates | {"learning_rate": [0.1] * 3})
    assert [plot.caption for plot in steady.plots] == ["loss", "samples per second"]
    assert report_curves({}, {}) == []


def test_the_timeline_of_the_report():
    """A lane for each worker, a bar for each number of parts, marks of joins and losses; a line at a new attempt."""
    timeline, shares = workers(RECORDS)
    plot = timeline.plots[0].figure
    bars, labels, joined, lost = (renderer.data_source.data for renderer in plot.renderers)
    assert bars["parts"] == [4, 4, 4, 8, 4, 4, 4, 0]
    assert labels["label"] == ["4", "4", "4", "", "4", "4", "4", "0"]
    assert sorted(zip(joined["x"], joined["y"], strict=True)) == [(34.0, 1), (45.0, 0)]
    assert sorted(zip(lost["x"], lost["y"], strict=True)) == [(20.0, 4), (33.0, 2)]
    assert [span.location for span in plot.center if hasattr(span, "location")] == [20.5]
    assert timeline.data["notes"] == ["6 workers in 2 attempts: 2 joined later, 2 lost."]
    assert "The slowest worker is tcp://10.0.0.5:40005" in " ".join(shares.data["notes"])
    stacked = shares.plots[0].figure.renderers[0].data_source.data
    total = [
        sum(values)
        for values in zip(*(stacked[name] for name in ("data", "compute", "exchange", "apply")), strict=True)
    ]
    assert total == pytest.approx([100] * 4)
    assert workers([]) == []


def test_callbacks_of_keras_that_write(tmp_path):
    """TensorBoard and CSVLogger need no model."""
    import keras

    model = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None)
    made = [keras.callbacks.TensorBoard(tmp_path / "board"), keras.callbacks.CSVLogger(tmp_path / "log.csv"), model]
    callbacks = KerasCallbacks(made, TRAINER, 2)
    for epoch in range(2):
        callbacks.begin_epoch(epoch)
        callbacks(epoch, {"loss": 0.5, "val_loss": 0.25}, TRAINER)
    callbacks.end()
    assert (tmp_path / "log.csv").read_text() == "epoch,loss,val_loss\n0,0.5,0.25\n1,0.5,0.25\n"
    assert list((tmp_path / "board").rglob("events.*"))
