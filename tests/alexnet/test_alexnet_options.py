"""The options of the alexnet job: those that do not fit together, and those that hints name."""

from __future__ import annotations

import re
from typing import Any

import pytest
from commands import run_here

from jobs.alexnet.job import ADVICE
from jobs.alexnet.options import Options
from jobs.train.outcome import data_share, hint


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--accept-new-code"], "--accept-new-code"),
        (["--memory", "much"], "--memory is 'much', but must be a number of bytes"),
        (["--data", "x", "--s3-bucket", "y"], "give one of them"),
        (["--data", "x", "--learning-rate", "inf"], "--learning-rate"),
        (["--data", "x", "--init-scale", "nan"], "--init-scale"),
        (["--data", "x", "--labels", "folder", "--label-file", "y"], "give one of them"),
        (["--data", "x", "--labels", "folder", "--skip-unlabelled"], "leave out --skip-unlabelled"),
        (["--reduce-on-plateau", "3"], "--reduce-on-plateau needs --drop-epochs 0"),
        (["--memory", "5iB"], "--memory is '5iB', but must be a number of bytes"),
        (["--data", "x", "--image-size", "56"], "--image-size"),
        (["--s3-bucket", "s3://pets/cats"], "but must be the bucket's name alone"),
        (["--memory", "9" * 400 + "GB"], "but must be a number of bytes"),
        (["--demo", "--scheduler", "tcp://127.0.0.1:1"], "--demo is for one machine"),
        (["--demo", "--data", "x"], "--demo has its own images"),
        (["--data", "x", "--minibatch", "0"], "--minibatch"),
        (["--endpoint-url", "http://user:PASSW0RD@h"], "--endpoint-url has a user before @"),
    ],
)
def test_bad_options(given, message, tmp_path):
    """Refused before anything is read."""
    done = run_here(*given, "--run", str(tmp_path / "run"), job="alexnet")
    assert done.returncode == 2
    assert message in done.stderr
    assert "PASSW0RD" not in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no-such-folder", "no-such-folder does not exist\n"),
        ("a.tar", "a.tar is a file; give the folder that it is in\n"),
        ("", "/train.txt does not exist; give --label-file, or --labels folder"),
    ],
)
def test_missing_paths(name, message, tmp_path):
    """Told apart, before workers are started."""
    (tmp_path / "a.tar").touch()
    done = run_here("--data", str(tmp_path / name), "--run", str(tmp_path / "run"), job="alexnet")
    assert done.returncode == 2
    assert message in done.stderr
    assert "starting workers" not in done.stderr


def test_prediction_of_a_run_that_failed(tmp_path):
    """It says why there is no network."""
    (tmp_path / "options.yaml").write_text("job: alexnet")
    (tmp_path / "status.json").write_text('{"state": "failed", "error": "no such bucket"}')
    done = run_here(str(tmp_path), "cat.jpg", job="predict")
    assert done.returncode == 2
    assert done.stderr.endswith("when the run has trained all epochs; it failed: no such bucket\n")


@pytest.mark.parametrize(("given", "batch", "rate"), [(None, 32, 0.0025), (None, 512, 0.01), (0.5, 32, 0.5)])
def test_learning_rate(given, batch, rate):
    """The paper's, in proportion less for steps of fewer images than its 128, where none is given."""
    assert Options(data="x", learning_rate=given).rate(batch) == rate


def test_hints_name_options_that_alexnet_has():
    """Its batch has another option than train's."""
    spent = {"data": 2.0, "compute": 0.5, "exchange": 10.0, "apply": 0.1, "parts": 1000}
    facts: Any = {"steps": 10}
    waiting, small = (hint(spent, facts, share, ADVICE) for share in (data_share([{}, spent]), 0.1))
    assert waiting.startswith("16% of the time went into waiting for data: more memory for images (--memory")
    assert small == "a part computes for 0.5 ms: fewer parts (--parts) or a larger batch (--minibatch) are faster"
    assert set(re.findall(r"--(\w+)", waiting + small)) <= Options.model_fields.keys()
