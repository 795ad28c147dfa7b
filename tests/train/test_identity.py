"""What makes a training run this run: code and content of model, data and validation."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import networks
import numpy as np
import pytest
from serial_runs import plan_of, training

from jobs.errors import InputError
from jobs.sources import sources
from jobs.train import job
from jobs.train.monitor import Monitor
from jobs.train.options import Options

# Keras's own, of a model that is saved in this process.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

COMMAND = [sys.executable, "-c", "import sys; from jobs.cli import main; sys.exit(main())", "train"]
MODULE = """
import numpy as np
import networks

def create_model():
    return networks.dense()

def held_out():
    return networks.rows(96, seed=1)
"""


def _command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(Path(__file__).parent), str(folder), os.environ.get("PYTHONPATH", "")])
    given = ["--model", "edited:create_model", "--data", "networks:data", "--validation", "edited:held_out"]
    command = [*COMMAND, *given, "--batch-size", "48", "--workers", "0", "--run", str(folder / "run"), *arguments]
    environment = os.environ | {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_new_code_is_refused_or_accepted_aloud(tmp_path):
    """Of an ended run, and of one that shall go on; the code of the validation data counts too."""
    module = tmp_path / "edited.py"
    module.write_text(MODULE)
    done = _command(tmp_path, "--epochs", "1")
    assert done.returncode == 0, done.stderr
    before = (tmp_path / "run" / "result.json").read_bytes()
    module.write_text(MODULE + "# edited\n")
    for epochs in ("1", "2"):
        refused = _command(tmp_path, "--epochs", epochs)
        assert refused.returncode == 2
        assert "source of edited.py was" in refused.stderr
        assert "--accept-new-code goes on with the new code, another --run begins anew" in refused.stderr
        assert (tmp_path / "run" / "result.json").read_bytes() == before
    accepted = _command(tmp_path, "--epochs", "2", "--accept-new-code")
    assert accepted.returncode == 0, accepted.stderr
    assert _command(tmp_path, "--epochs", "2").returncode == 0


def _file(path: Path, seed: int) -> str:
    x, y = networks.rows(96, seed=seed)
    np.savez(path, x=x, y=y)
    return f"npz:{path}"


def _options(run: Path, validation: str, epochs: int) -> Options:
    given = {"model": "networks:dense", "data": "networks:data", "batch_size": 48, "workers": 0}
    return Options(run=str(run), validation=validation, epochs=epochs, **given)


def test_validation_data_of_other_content(tmp_path):
    """Compared as the training data are, before the run goes on."""
    spec = _file(tmp_path / "held.npz", 1)
    assert job.run(_options(tmp_path / "run", spec, 1))["data"]
    _file(tmp_path / "held.npz", 2)
    for epochs in (1, 2):
        with pytest.raises(InputError, match="content of the validation was"):
            job.run(_options(tmp_path / "run", spec, epochs))


def test_validation_data_that_change_in_mid_run(tmp_path, monkeypatch):
    """An error, not a history of two contents."""
    spec = _file(tmp_path / "held.npz", 1)
    monkeypatch.setattr(Monitor, "epoch", lambda *_: _file(tmp_path / "held.npz", 2))
    with pytest.raises(InputError, match=r"held.npz changed since the run in .* began"):
        job.run(_options(tmp_path / "run", spec, 2))
    assert not (tmp_path / "run" / "result.json").exists()


def test_a_worker_with_other_code():
    """One that imported a module before it was edited is refused."""
    here = sources(networks)
    training("networks:dense", plan_of("networks:data", sources=here))
    other = dict.fromkeys(here, "another")
    with pytest.raises(InputError, match=r"this worker has another networks.py than the driver"):
        training("networks:dense", plan_of("networks:data", sources=other))
