"""`train` from Python: a model's function and arrays, on a run folder as the command has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import networks
import numpy as np
import pytest
from distributed import Client

from jobs.commands import predict
from jobs.errors import InputError
from jobs.train import TrainResult, train


def test_a_training_as_the_command_has_it(client_of: Callable[[int], Client], tmp_path: Path) -> None:
    """By value, with arrays; more epochs go on, other data or another function are another run; a notebook shows it."""
    rows = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    labels = rows.sum(axis=1, keepdims=True)
    run = str(tmp_path / "run")

    def factory(*, bias: bool) -> Any:
        def create_model() -> Any:
            import keras

            model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, use_bias=bias)])
            model.compile("sgd", "mse")
            return model

        return create_model

    create_model = factory(bias=True)
    options: dict[str, Any] = {"batch_size": 16, "parts": 2, "run": run}
    first = train(create_model, (rows, labels), client=client_of(1), epochs=2, **options)
    assert isinstance(first, TrainResult)
    assert first["epochs"] == 2
    assert train(create_model, (rows, labels), client=client_of(1), epochs=2, **options)["already"]
    assert train(create_model, (rows, labels), client=client_of(1), epochs=3, **options)["epochs"] == 3
    with pytest.raises(InputError, match="content of the data was"):
        train(create_model, (rows, labels + 1), client=client_of(1), epochs=3, **options)
    with pytest.raises(InputError, match="source of .*create_model was"):
        train(factory(bias=False), (rows, labels), client=client_of(1), epochs=3, **options)
    np.savez(tmp_path / "rows.npz", x=rows)
    predict(run, data=f"npz:{tmp_path / 'rows.npz'}", output=str(tmp_path / "rows.csv"))
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 65
    assert "<b>trained</b>" in first._repr_html_()
    assert first.report() == str(tmp_path / "run/report.html")


def test_arguments(tmp_path: Path) -> None:
    """What is wrong is said in Python's names."""
    for options, message in (
        ({"epoch": 1}, "train: there is no option 'epoch'; did you mean 'epochs'"),
        ({"workers": 1}, "train: there is no option 'workers'"),
        ({"every": 3}, "every 3 needs averaging parameters"),
        ({"save_every": "x"}, "save_every is 'x'"),
    ):
        with pytest.raises(InputError, match=f"^{message}") as error:
            train(networks.dense, "digits", run=str(tmp_path / "run"), **options)
        assert "--" not in str(error.value)
    assert not (tmp_path / "run").exists()
