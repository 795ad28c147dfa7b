"""The best trial's network: in the run folder at the end, whichever attempt it is of, and used by `predict`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import keeping
import numpy as np
import pytest
import trials
from waiting import until

from jobs.cli import main
from jobs.errors import ClusterError
from jobs.keras.runtime import import_tensorflow
from jobs.runs.checkpoint import StoredState
from jobs.storage import Storage, open_storage
from jobs.tune import Trial, cnn
from jobs.tune.cnn import objective
from jobs.tune.cnn.images import images_of
from jobs.tune.network import keep_network
from jobs.tune.trials.trial import Signal

GOOD = {"learning_rate": 0.1, "batch_size": 40, "dropout": 0.2, "stddev": 0.1, "epochs": 5}
SPACE = {"x": trials.QUADRATIC["x"]}
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras saves a model


class Driver:
    """Keeps a trial's folder; may lose it after a step."""

    def __init__(self, folder: Path, lost_after: int = 0) -> None:
        self.folder, self.lost_after = folder, lost_after
        self.reports: list[float] = []

    def send(self, **message: Any) -> None:
        self.reports.append(message["value"])
        if message["step"] == self.lost_after:
            raise KeyboardInterrupt

    def save(self) -> None:
        """The folder stays where it is."""

    def run(self) -> float:
        self.folder.mkdir(exist_ok=True)
        about: dict[str, Any] = {"seed": 1, "workers": ("here",), "threads": 1}
        return cnn.train(GOOD, Trial(0, GOOD, **about, link=self, signal=Signal(), checkpoint=lambda: self))


@pytest.fixture
def _worse_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the third epoch the loss is maximized."""
    monkeypatch.setattr(objective.Settings, "rate", lambda _, epoch: 0.05 if epoch < 3 else -3e-4)


def _accuracy(path: Path) -> float:
    """Return the share of the validation images that a network sees right."""
    _, keras = import_tensorflow()
    images = images_of("digits")
    model = keras.models.load_model(path)
    found = model((images.validation_x * np.float32(images.scale)).astype(np.float32)).numpy()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    return float((found.argmax(axis=1) == images.validation_y).mean(dtype=np.float32))


@pytest.mark.usefixtures("_worse_in_the_end")
def test_the_network_of_the_best_epoch(tmp_path):
    """It gives the score that the trial returned, though a later epoch was worse."""
    driver = Driver(tmp_path / "trial")
    best = driver.run()
    assert driver.reports[-1] < best
    assert _accuracy(tmp_path / "trial/model.keras") == pytest.approx(best, abs=1e-6)


@pytest.mark.usefixtures("_worse_in_the_end")
def test_a_lost_trial_keeps_its_best_epoch(tmp_path, monkeypatch):
    """Also if that was before its worker was lost: the weights are the same, to the bit."""
    _, keras = import_tensorflow()
    monkeypatch.setattr(objective, "SAVE_SECONDS", 0.0)
    through = Driver(tmp_path / "through")
    best = through.run()
    weights = keras.models.load_model(tmp_path / "through/model.keras").get_weights()
    for step in range(1, len(through.reports)):
        lost = Driver(tmp_path / f"lost-{step}", lost_after=step)
        with pytest.raises(KeyboardInterrupt):
            lost.run()
        again = Driver(lost.folder)
        assert again.run() == best
        assert lost.reports + again.reports == through.reports
        found = keras.models.load_model(lost.folder / "model.keras").get_weights()
        assert all((a == b).all() for a, b in zip(weights, found, strict=True))


def _kept(folder: Path) -> str:
    return (folder / "model.keras").read_text()


def test_the_best_network_is_kept(studies, tmp_path):
    """At each end of a search, of all its trials; there is none where the best one has kept none."""
    assert studies(keeping.keeps_at_first, SPACE, trials=1).run()["network"] == 0
    assert _kept(tmp_path / "run") == "network 0"
    assert studies(keeping.keeps_at_first, SPACE, trials=3).run()["network"] == 1
    assert _kept(tmp_path / "run") == "network 1"
    assert studies(keeping.keeps_at_first, SPACE, trials=5).run()["network"] == 1
    assert _kept(tmp_path / "run") == "network 1"
    assert "network" not in studies(keeping.keeps_at_first, SPACE, trials=6).run()
    assert not (tmp_path / "run/model.keras").exists()


def test_killed_and_resumed(tmp_path, traces):
    """A driver that was killed with -9 after its best trial has that trial's network when it is resumed."""
    (tmp_path / "space.yaml").write_text(f"folder: {{choice: ['{traces}']}}\n")
    code = "import sys; from jobs.cli import main; sys.exit(main())"
    options = ["--objective", "keeping:waits", "--space", str(tmp_path / "space.yaml"), "--run", str(tmp_path / "run")]
    command = [sys.executable, "-c", code, "tune", *options, "--trials", "5", "--workers", "1"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        until((traces / "fourth").exists, process=process)
        os.killpg(process.pid, signal.SIGKILL)
    assert not (tmp_path / "run/model.keras").exists()
    (traces / "go").touch()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "run/result.json").read_bytes())
    assert (result["attempt"], result["best"]["number"], result["network"]) == (2, 1, 1)
    assert _kept(tmp_path / "run") == "network 1"
    assert f"dask-jobs predict {tmp_path}/run --data DATA" in done.stdout


def test_what_is_kept_in_each_storage(storage: Storage):
    """It is copied within the storage; one that is damaged or missing is named, and ends no search."""
    assert keep_network(storage, 3) == {}
    stored = StoredState(storage, "checkpoints/0003", "1-3-1", "trial")
    stored.save([], ["model.keras", "more"], lambda name: name.encode())
    assert keep_network(storage, 3) == {"network": 3}
    assert storage.read("model.keras") == b"model.keras"
    assert keep_network(storage, 4) == {}
    assert not storage.exists("model.keras")
    keep_network(storage, 3)
    storage.delete(stored.places["model.keras"])
    assert "is missing" in keep_network(storage, 3)["network_error"]
    assert not storage.exists("model.keras")
    storage.write("checkpoints/0003.json", b"[]")
    assert "0003.json is damaged" in keep_network(storage, 3)["network_error"]
    assert keep_network(storage, None) == {}


def test_a_storage_that_fails(storage: Storage, monkeypatch):
    """Another attempt may succeed, so that the search has not ended."""
    StoredState(storage, "checkpoints/0003", "1-3-1", "trial").save([], ["model.keras"], str.encode)

    def fails(*_: object) -> None:
        raise ClusterError("no connection")

    monkeypatch.setattr(type(storage), "write_chunks", fails)
    with pytest.raises(ClusterError, match="no connection"):
        keep_network(storage, 3)


@pytest.mark.parametrize(
    ("function", "options", "text"),
    [
        (keeping.keeps_none, {}, "the best trial has left no network in its checkpoint; let the objective end with"),
        (keeping.two_metrics, {"metric": ["a", "b"], "direction": ["maximize"] * 2}, "a search of several metrics has"),
    ],
)
def test_no_network(function, options, text, studies, capsys):
    """The line says why, and what to do."""
    study = studies(function, SPACE, trials=2, **options)
    study.run()
    capsys.readouterr()
    assert main(["predict", study.url, "--data", "digits"]) == 2
    said = capsys.readouterr()
    assert (said.out, len(said.err.splitlines())) == ("", 1)
    assert f"run has no model.keras: {text}" in said.err


def test_a_network_of_ones_own(studies, s3, tmp_path, capsys):
    """A model that the user's objective left is used as the shipped one is; the run folder may be in S3."""
    studies(keeping.learns, SPACE, trials=1).run()
    for name in ("options.yaml", "result.json", "model.keras"):
        open_storage(f"{s3}/run").write_file(name, tmp_path / "run" / name)
    _, keras = import_tensorflow()
    x = np.random.default_rng(0).standard_normal((5, 6)).astype(np.float32)
    np.savez(tmp_path / "rows.npz", x=x)
    capsys.readouterr()
    assert main(["predict", f"{s3}/run", "--data", f"npz:{tmp_path}/rows.npz"]) == 0
    lines = [line.split(",") for line in capsys.readouterr().out.splitlines()]
    expected = keras.models.load_model(tmp_path / "run/model.keras")(x).numpy()
    np.testing.assert_array_equal(np.array([line[2:] for line in lines[1:]], np.float32), expected)
