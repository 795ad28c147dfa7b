"""Predictions as CSV: which columns there are, what is counted, and what is refused."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.datasets import open_dataset, prediction
from jobs.datasets.prediction import Predictor, check_output, open_rows, write_predictions
from jobs.errors import InputError, UserCodeError
from jobs.storage import open_storage

X = np.array([[0.5, 0.1], [0.2, 0.9], [0.75, 0.25]], np.float32)


def _npz(folder: Path, y: Any = None, x: Any = X) -> str:
    np.savez(folder / "rows.npz", x=x, **({} if y is None else {"y": np.asarray(y)}))
    return f"npz:{folder}/rows.npz"


def _table(
    folder: Path, predictor: Predictor, capsys: pytest.CaptureFixture[str], y: Any = None
) -> tuple[list[list[str]], str]:
    """Return the rows of the table, and what is said."""
    write_predictions(predictor, open_rows(_npz(folder, y)), None)
    out = capsys.readouterr()
    return list(csv.reader(io.StringIO(out.out))), out.err


def _same(**more: Any) -> Predictor:
    return Predictor(lambda x, scale: x * scale, "the model", **more)


def test_classes(tmp_path, capsys):
    """The class of the largest output, an output per class with its bits, the label, and the accuracy last."""
    rows, said = _table(tmp_path, _same(), capsys, [0, 1, 1])
    assert rows[0] == ["row", "predicted", "p0", "p1", "label"]
    assert rows[1:] == [["0", "0", "0.5", "0.1", "0"], ["1", "1", "0.2", "0.9", "1"], ["2", "0", "0.75", "0.25", "1"]]
    assert said == "dask-jobs: accuracy 66.67%: 2 of 3 rows are predicted right\n"


def test_no_labels(tmp_path, capsys):
    """Without labels there is no such column, and no accuracy."""
    rows, said = _table(tmp_path, _same(), capsys)
    assert rows[0] == ["row", "predicted", "p0", "p1"]
    assert said == ""


@pytest.mark.parametrize(
    ("names", "header"),
    [(["cat", "a,b"], ["cat", "a,b"]), (["row", "dog"], ["p0", "p1"]), (["x", "x"], ["p0", "p1"])],
)
def test_names(tmp_path, capsys, names, header):
    """Classes have their names, quoted as CSV does; columns too, unless one would have the name of another."""
    rows, said = _table(tmp_path, _same(names=names), capsys, [0, 1, 1])
    assert rows[0] == ["row", "predicted", *header, "label"]
    assert [row[1] for row in rows[1:]] == [names[0], names[1], names[0]]
    assert [row[-1] for row in rows[1:]] == [names[0], names[1], names[1]]
    assert "66.67%" in said


def test_a_value_of_each_row(tmp_path, capsys):
    """One number is a value, of which no accuracy is said, whether it is in a column or not."""
    for outputs in (lambda x, _: x[:, 0], lambda x, _: x[:, :1]):
        rows, said = _table(tmp_path, Predictor(outputs, "the model"), capsys, [0.4, 0.2, 0.1])
        assert rows == [["row", "predicted", "label"], ["0", "0.5", "0.4"], ["1", "0.2", "0.2"], ["2", "0.75", "0.1"]]
        assert said == ""


def test_class_numbers(tmp_path, capsys):
    """Integers, or booleans, are classes."""
    rows, said = _table(tmp_path, Predictor(lambda x, _: x[:, 0] < 0.6, "the model"), capsys, [1, 0, 0])
    assert rows == [["row", "predicted", "label"], ["0", "1", "1"], ["1", "1", "0"], ["2", "0", "0"]]
    assert "66.67%" in said


def test_two_classes_of_one_output(tmp_path, capsys):
    """With a threshold a single output is that of class 1."""
    rows, said = _table(tmp_path, Predictor(lambda x, _: x[:, :1], "the model", threshold=0.5), capsys, [1, 0, 0])
    assert rows[:2] == [["row", "predicted", "p1", "label"], ["0", "1", "0.5", "1"]]
    assert "66.67%" in said


def test_several_values(tmp_path, capsys):
    """Where labels are as many numbers as outputs these are values, but classes where the labels are one-hot."""
    rows, said = _table(tmp_path, _same(), capsys, [[0.5, 1], [2, 3], [4, 5.0]])
    assert rows[0] == ["row", "predicted0", "predicted1", "label0", "label1"]
    assert rows[1] == ["0", "0.5", "0.1", "0.5", "1.0"]
    assert said == ""
    rows, said = _table(tmp_path, _same(), capsys, [[1, 0], [0, 1], [0, 1]])
    assert [row[-1] for row in rows] == ["label", "0", "1", "1"]
    assert "66.67%" in said
    rows, _ = _table(tmp_path, _same(classes=False), capsys)
    assert rows[0] == ["row", "predicted0", "predicted1"]


def test_a_row_without_a_number(tmp_path, capsys):
    """Of a row with NaN no class is said, and it does not count as right."""
    nan = np.array([[0.5, 0.1], [np.nan, 0.9], [0.75, 0.25]])
    rows, said = _table(tmp_path, Predictor(lambda *_: nan, "the model"), capsys, [0, 0, 1])
    assert [row[1] for row in rows[1:]] == ["0", "nan", "0"]
    assert "33.33%" in said


def test_blocks(tmp_path, capsys, monkeypatch):
    """A block at a time is read and predicted; the table is the same for blocks of any size."""
    whole = _table(tmp_path, _same(), capsys, [0, 1, 1])
    monkeypatch.setattr(prediction, "BLOCK_VALUES", 4)
    sizes: list[int] = []
    blocks = Predictor(lambda x, scale: (sizes.append(len(x)), x * scale)[1], "the model")
    assert _table(tmp_path, blocks, capsys, [0, 1, 1]) == whole
    assert sizes == [2, 1]


@pytest.mark.parametrize(
    ("outputs", "text"),
    [
        (lambda x, _: x[:1], r"the model returned shape \(1, 2\) of float32 for 3 rows, but must return numbers"),
        (lambda x, _: x[0, 0], r"returned shape \(\) of float32 for 3 rows"),
        (lambda x, _: "text", "returned str for 3 rows"),
        (lambda x, _: x[:, :, None], r"returned shape \(3, 2, 1\)"),
        (lambda x, _: x[:, :0], r"returned shape \(3, 0\)"),
        (lambda x, _: 1 / 0, "the user's code raised ZeroDivisionError"),
        (lambda x, _: [[1], [1, 2], [3]], "the model: the user's code raised ValueError"),
    ],
)
def test_what_a_model_must_return(tmp_path, capsys, outputs, text):
    """Numbers for each row; else it is an error of the user's code, and nothing is written."""
    with pytest.raises(UserCodeError, match=text):
        _table(tmp_path, Predictor(outputs, "the model"), capsys, [0, 1, 1])
    assert capsys.readouterr().out == ""


def test_a_file_is_whole_or_not_there(storage, tmp_path, monkeypatch):
    """An error in a later block leaves a file as it was, and no other one; a new one replaces it."""
    monkeypatch.setattr(prediction, "BLOCK_ROWS", 2)
    data, output = open_rows(_npz(tmp_path, [0, 1, 1])), storage.address("new/table.csv")
    odd = Predictor(lambda x, _: x if len(x) == 2 else x[:0], "the model")
    with pytest.raises(UserCodeError):
        write_predictions(odd, data, output)
    assert storage.list() == []
    write_predictions(_same(), data, output)
    before = storage.read("new/table.csv")
    assert len(before.splitlines()) == 4
    with pytest.raises(UserCodeError):
        write_predictions(odd, data, output)
    assert storage.read("new/table.csv") == before
    assert storage.list() == ["new/table.csv"]


def test_bad_outputs(tmp_path):
    """A folder is refused before work begins, and where nothing can be written before a row is predicted."""
    for folder in (str(tmp_path), f"{tmp_path}/new/"):
        with pytest.raises(InputError, match="output .* is a folder, but must be a file"):
            check_output(folder)
    (tmp_path / "file").touch()
    called: list[int] = []
    with pytest.raises(InputError, match=r"file/table.csv: cannot be written"):
        write_predictions(
            Predictor(lambda *_: called.append(1), "the model"), open_rows("digits"), f"{tmp_path}/file/table.csv"
        )
    assert called == []


def test_an_output_that_would_replace_what_is_kept(storage, tmp_path, monkeypatch):
    """By any path to it: a file that is kept, or one of a folder that is; others may be replaced."""
    storage.write("x.npy", b"")
    kept = [storage.address("x.npy"), storage.address("journal/")]
    for name in ("x.npy", "journal/1.log"):
        with pytest.raises(InputError, match="is a file of the data or of the run, which would be lost"):
            check_output(storage.address(name), kept)
    check_output(storage.address("x.npy.csv"), kept)
    check_output(storage.address("journal.csv"), kept)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/x.npy").touch()
    (tmp_path / "link").symlink_to("data")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="which would be lost"):
        check_output("link/x.npy", [str(tmp_path / "data/x.npy")])


def test_an_output_that_is_no_file(tmp_path):
    """A device or a pipe would be replaced by a file: /dev/null of the whole machine, where root does it."""
    os.mkfifo(tmp_path / "pipe")
    for path in (str(tmp_path / "pipe"), "/dev/null"):
        with pytest.raises(InputError, match="is a device or a pipe, but must be a file"):
            check_output(path)


def test_large_class_numbers(tmp_path, capsys):
    """Whole numbers of 64 bits without a sign keep their value."""
    rows, _ = _table(tmp_path, Predictor(lambda x, _: np.full(len(x), 2**64 - 1, np.uint64), "the model"), capsys)
    assert [row[1] for row in rows[1:]] == [str(2**64 - 1)] * 3


def test_forms_without_labels(tmp_path):
    """Each form may lack labels; what is there is read as it is."""
    _npz(tmp_path)
    np.save(tmp_path / "x.npy", X)
    images = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, *range(6)])
    (tmp_path / "new-images-idx3-ubyte").write_bytes(images)
    shapes = {f"npz:{tmp_path}/rows.npz": (3, 2), f"npy:{tmp_path}": (3, 2), f"idx:{tmp_path}/new": (2, 1, 3)}
    for spec, shape in shapes.items():
        data = open_rows(spec)
        x, y = data.read(0, data.rows)
        assert (x.shape, y.shape) == (shape, (len(x), 0))
        assert data.files() == [data.features.address]
    with pytest.raises(InputError, match="have no labels"):
        open_dataset(f"idx:{tmp_path}/new")
    assert open_rows("digits").read(0, 2)[1].tolist() == [0, 1]


def test_chunks_of_a_storage(storage):
    """A file of chunks is there when the last one is, and not if one raises."""

    def broken():
        yield b"ab"
        raise InputError("no more")

    storage.write_chunks("a/file", iter([b"ab", b"c"]))
    with pytest.raises(InputError, match="no more"):
        storage.write_chunks("a/file", broken())
    assert storage.read("a/file") == b"abc"
    assert open_storage(storage.url).list() == ["a/file"]
