"""Training on tables: columns by name, validation data of the same mapping, and predictions by it."""

from __future__ import annotations

import csv
import io
import pickle
from pathlib import Path

import networks
import numpy as np
import pyarrow as pa
import pytest
from commands import run_here
from table_files import csv as csv_file
from table_files import parquet

from jobs.datasets.tables.table import Table
from jobs.train.data import open as data_module
from jobs.train.data.open import Data

SMALL = ("--model", "networks:dense", "--workers", "0", "--batch-size", "48", "--parts", "2", "--epochs", "1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the networks' rows as tables: train.parquet, and valid.csv, which lacks a class."""
    x, y = networks.rows()
    names = np.array(["ant", "bee", "cat"])[y]
    columns = {f"f{number}": x[:, number] for number in range(6)}
    table = pa.table({"kind": names, "weight": np.arange(len(y)) % 3, **columns})
    (tmp_path / "train.parquet").write_bytes(parquet(table, row_group_size=100))
    (tmp_path / "valid.csv").write_bytes(csv_file(table.filter(pa.array(names != "ant")).slice(0, 100)))
    np.savez(tmp_path / "rows.npz", x=x, y=y)
    return tmp_path


def test_from_columns_to_predictions(folder, tmp_path):
    """The model is that of the same rows as arrays, to the bit; new rows are mapped as the training's were."""
    columns = ("--label", "kind", "--features", "f0,f1,f2,f3,f4,f5")
    data = ("--data", f"parquet:{folder}/train.parquet", "--validation", f"{folder}/valid.csv")
    done = run_here(*SMALL, *data, *columns, "--run", f"{tmp_path}/table")
    assert done.returncode == 0, done.stderr
    done = run_here(*SMALL, "--data", f"npz:{folder}/rows.npz", "--run", f"{tmp_path}/arrays")
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "table/weights.npz") as ours, np.load(tmp_path / "arrays/weights.npz") as theirs:
        assert all((ours[name] == theirs[name]).all() for name in theirs)
    done = run_here(f"{tmp_path}/table", "--data", f"{folder}/valid.csv", job="predict")
    assert done.returncode == 0, done.stderr
    header, *rows = csv.reader(io.StringIO(done.stdout))
    assert header == ["row", "predicted", "ant", "bee", "cat", "label"]
    assert {row[-1] for row in rows} == {"bee", "cat"}
    assert {row[1] for row in rows} <= {"ant", "bee", "cat"}
    assert "accuracy" in done.stderr


def test_a_table_is_looked_through_once(folder, monkeypatch):
    """A worker gets it as the driver has opened it: the files are not looked through again, nor the labels' classes."""
    opened = []
    real = data_module.row_source
    monkeypatch.setattr(data_module, "row_source", lambda *given, **more: opened.append(given) or real(*given, **more))
    data = Data("data", f"{folder}/train.parquet", {"label": "kind", "weight": "weight"})
    other = Data("validation", f"{folder}/valid.csv", like=data)
    for table in (data.open(), data.open(), other.open()):
        assert isinstance(table, Table)
    for one in (data, other, *pickle.loads(pickle.dumps((data, other)))):
        table = one.open()
        assert isinstance(table, Table)
        assert table.class_names == ("ant", "bee", "cat")
        assert [len(array) for array in table.read(0, 7)] == [7, 7, 7]
    assert len(opened) == 2


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ("--data", "networks:data", "--label", "y"),
            "--label is 'y', but networks:data is a function of yours: leave",
        ),
        (
            ("--data", "npz:{}/rows.npz", "--features", "a"),
            "--features is 'a', but the columns of 'npz:{}/rows.npz' have",
        ),
        (("--data", "{}/train.parquet"), "--label is missing: name the column that is to be predicted"),
        (
            ("--data", "parquet:none", "--label", "y"),
            "none: no such file, nor a folder with files that end in .parquet",
        ),
    ],
)
def test_wrong_lines(folder, tmp_path, arguments, text):
    """Options that make no sense are one line."""
    done = run_here(*SMALL, *(word.format(folder) for word in arguments), "--run", f"{tmp_path}/run")
    assert done.returncode == 2
    assert text.format(folder) in done.stderr
