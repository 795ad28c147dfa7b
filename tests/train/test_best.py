"""The weights of the best epoch as a run's result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.errors import InputError
from jobs.runs.folder import read_run
from jobs.storage import open_storage
from jobs.train import job
from jobs.train.options import Options
from jobs.train.outcome import weights_text
from jobs.train.report.content import content

# Keras's own, of a model that is saved in this process.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

OVERFITS: dict[str, Any] = {
    "model": "networks:overfits",
    "data": "networks:data",
    "validation": "0.5",
    "batch_size": 48,
    "workers": 0,
}
EPOCHS = 6


def _run(folder: Path, **given: Any) -> dict[str, Any]:
    return job.run(Options(**{**OVERFITS, "run": str(folder), "epochs": EPOCHS, **given}))


def _weights(run: Path) -> dict[str, bytes]:
    with np.load(run / "weights.npz") as arrays:
        return {name: arrays[name].tobytes() for name in arrays.files}


def _best(result: dict[str, Any]) -> int:
    return int(np.argmin(result["history"]["val_loss"])) + 1


@pytest.fixture(scope="module")
def restored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Return the run folder and the result of a run with the weights of its best epoch."""
    folder = tmp_path_factory.mktemp("best") / "run"
    return folder, _run(folder, restore_best=True, save_every="1000")


def test_weights_of_the_best_epoch(restored, tmp_path):
    """Those of a run of so many epochs; named in the result and in the report."""
    folder, result = restored
    best = _best(result)
    assert 1 <= best < EPOCHS
    assert result["weights"] == {"epoch": best, "best_by": "val_loss"}
    assert weights_text(result) == f"of epoch {best}, the best by val_loss"
    storage = open_storage(str(folder))
    assert weights_text(result) in content(read_run(storage), storage).summary
    shorter = _run(tmp_path / "run", epochs=best)
    assert shorter["weights"] == {"epoch": best, "best_by": ""}
    assert _weights(tmp_path / "run") == _weights(folder)


def test_on_workers_and_after_a_resume(restored, tmp_path):
    """The same bits, also where the best epoch was one of an earlier attempt."""
    folder, result = restored
    _run(tmp_path / "run", epochs=_best(result) + 1, workers=2, restore_best=True)
    resumed = _run(tmp_path / "run", restore_best=True, workers=2)
    assert (resumed["attempt"], resumed["weights"]) == (2, result["weights"])
    assert _weights(tmp_path / "run") == _weights(folder)


def test_asked_for_later(tmp_path):
    """A run that has ended is not trained again: only the other weights are written; and back."""
    first = _run(tmp_path / "run")
    last = _weights(tmp_path / "run")
    second = _run(tmp_path / "run", restore_best=True)
    assert second["weights"]["epoch"] == _best(first)
    assert second["history"] == first["history"]
    assert _weights(tmp_path / "run") != last
    assert _run(tmp_path / "run", restore_best=True)["already"]
    _run(tmp_path / "run")
    assert _weights(tmp_path / "run") == last


def test_a_best_checkpoint_that_is_gone(tmp_path):
    """One line that says what to do."""
    first = _run(tmp_path / "run")
    for file in (tmp_path / "run" / "checkpoints").glob(f"{first['steps'] // EPOCHS * _best(first):010d}*"):
        file.unlink()
    with pytest.raises(InputError, match="the checkpoint of the best epoch so far, of step .* is missing"):
        _run(tmp_path / "run", restore_best=True)


def test_early_stopping_after_a_resume(tmp_path):
    """A run that has stopped early, and was killed before its result was written, does not go on."""
    first = _run(tmp_path / "run", early_stopping=1, restore_best=True)
    assert first["ended"].startswith("no lower loss for 1 epochs")
    weights = _weights(tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    again = _run(tmp_path / "run", early_stopping=1, restore_best=True)
    assert (again["steps"], again["ended"]) == (first["steps"], first["ended"])
    assert _weights(tmp_path / "run") == weights


def test_what_acts_at_epochs_may_change(tmp_path):
    """Early stopping that is asked for in mid-run counts the epochs before, and goes on beside what was there."""
    assert _run(tmp_path / "run", epochs=1, reduce_on_plateau=5)["epochs"] == 1
    again = _run(tmp_path / "run", reduce_on_plateau=5, early_stopping=2)
    losses = again["history"]["val_loss"]
    assert again["ended"] == f"no lower loss for 2 epochs, the lowest is {losses[0]:.6g}"
    assert (min(losses), len(losses)) == (losses[0], 3)
    assert _run(tmp_path / "run")["epochs"] == EPOCHS
