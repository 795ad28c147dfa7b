"""What a table is refused for, each in one line that names the file, column and row, and what to do."""

from __future__ import annotations

import gzip

import numpy as np
import pyarrow as pa
import pytest
from table_files import ROWS, TABLE, csv, parquet, write

from jobs.datasets import open_dataset
from jobs.datasets.tables import csv as csv_form
from jobs.datasets.tables import form as form_module
from jobs.datasets.tables.pieces import PIECES
from jobs.errors import DataError, InputError
from jobs.storage import open_storage


def refusal(spec: str, *, read: bool = False, kind: type[InputError] = InputError, **columns) -> str:
    """Return the line that tells why a table cannot be used, at the latest when its rows are read."""

    def use() -> None:
        table = open_dataset(spec, **columns)
        assert read, "opened"
        table.read(0, table.rows)

    with pytest.raises(InputError) as caught:
        use()
    assert isinstance(caught.value, kind)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, "label is missing: name the column that is to be predicted, one of 'age', 'visits', 'plan', 'active'"),
        ({"label": "churn"}, "label has 'churn', but there is no such column; did you mean 'churned'?"),
        ({"label": "zzz"}, "label has 'zzz', but there is no such column; there are 'age', 'visits', 'plan', 'active'"),
        (
            {"label": "churned", "features": ["age", "vists"]},
            "features has 'vists', but there is no such column; did you",
        ),
        ({"label": "churned", "weight": "n"}, "weight has 'n', but there is no such column"),
        ({"label": "churned", "features": ["age", "churned"]}, "'churned' is in label and in features: it has one use"),
        ({"label": "churned", "features": ["age", "age"]}, "'age' is in features and in features: it has one use"),
        ({"label": "churned", "weight": "churned"}, "'churned' is in label and in weight: it has one use"),
        ({"label": "churned", "features": []}, "no column is left for the features, only 'age'"),
        ({"label": "count"}, "label 'count' has 0.00"),
        ({"label": "churned", "classes": 3}, "has 2 classes ('no', 'yes'), but classes is 3: leave that out"),
        ({"label": "churned", "weight": "visits"}, "weight 'visits' is -"),
    ],
)
@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_columns(tmp_path, form, columns, message):
    """A column that is not there, or has no such use; the nearest one is named."""
    write(open_storage(tmp_path), {"t.csv": csv(), "t.parquet": parquet()})
    assert message in refusal(f"{tmp_path}/t.{form}", **columns)


def test_other_data_have_no_columns(tmp_path):
    """Names make no sense for data without."""
    text = refusal("digits", label="churned")
    assert text.startswith("label is 'churned', but the columns of 'digits' have no names: leave it out; those of")
    assert "features is 'a,b'" in refusal("npy:anywhere", features=["a", "b"])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("parquet:{}/none", "{}/none: no such file, nor a folder with files that end in .parquet; check the path"),
        ("{}/none.csv", "{}/none.csv: no such file, nor a folder with files that end in .csv"),
        ("csv:{}/packed/none", "{}/packed/none: no such file, nor a folder with files that end in .csv"),
        (
            "csv:{}/packed",
            "packed/t.csv.gz: a packed CSV file cannot be read from its middle, as each worker does: unpack",
        ),
        ("csv:{}/packed/t.csv.gz", "t.csv.gz: a packed CSV file cannot be read from its middle"),
        ("csv:{}/odd/t.gz.csv", "t.gz.csv: packed by gzip: unpack it, or write Parquet"),
        ("parquet:{}/odd/t.gz.csv", "t.gz.csv: damaged, or of no form that is read here"),
        ("parquet:", "''"),
        ("csv:s3:/bucket", "did you mean 's3://'?"),
        ("parqet:{}/t.parquet", "did you mean 'parquet'?"),
    ],
)
def test_no_such_files(tmp_path, spec, message):
    """A path without such files, and packed CSV."""
    write(open_storage(tmp_path), {"packed/t.csv.gz": gzip.compress(csv()), "odd/t.gz.csv": gzip.compress(csv())})
    assert message.format(tmp_path) in refusal(spec.format(tmp_path), label="churned")


def test_a_model_of_arrays(tmp_path):
    """It takes a table of numbers, column by column, and guesses no categories."""
    write(open_storage(tmp_path), {"t.parquet": parquet(), "n.csv": b"a,b\n1,2\n3,4\n"})
    x, y = open_dataset(f"{tmp_path}/n.csv", unlabelled=True).read(0, 2)
    assert (x.tolist(), y.shape) == ([[1, 2], [3, 4]], (2, 0))
    text = "column 'plan' is not of numbers, but the model knows no columns: it was fitted to arrays; give it such"
    assert text in refusal(f"{tmp_path}/t.parquet", unlabelled=True)


DAY = pa.array([0] * ROWS, pa.timestamp("us"))


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (
            DAY,
            "column 'x' is of type timestamp[us], but must be numbers, text or booleans: make a number of it, such as",
        ),
        (pa.array([0] * ROWS, pa.date32()), "column 'x' is of type date32[day], but must be"),
        (
            pa.array([[1]] * ROWS),
            "column 'x' is of type list<element: int64>, but must be numbers, text or booleans: leave",
        ),
        (pa.array([{"a": 1}] * ROWS), "column 'x' is of type struct<a: int64>, but must be numbers"),
        (pa.array([b"a"] * ROWS), "column 'x' is of type binary, but must be"),
        (pa.nulls(ROWS), "column 'x' has no values (its type is null): leave it out by features"),
        (pa.array([f"id {row}" for row in range(ROWS)]), "has more than 500 different values, too many for categories"),
        (
            pa.array([1, None, None, *[4] * (ROWS - 3)]),
            "row group 0: in column 'x' 2 values are missing, the first in row 1:",
        ),
        (
            pa.array([1.0, 2.0, np.nan, *[4] * (ROWS - 3)]),
            "row group 0: in column 'x' 1 value is missing, the first in row 2:",
        ),
        (
            pa.array(["a"] * 450 + [None] * 550),
            "row group 1: in column 'x' 350 values are missing, the first in row 450:",
        ),
        (pa.array([True] * 999 + [None]), "row group 2: in column 'x' 1 value is missing, the first in row 999:"),
    ],
)
def test_parquet_columns(tmp_path, monkeypatch, column, message):
    """Columns of other types, and missing values, by row group and row."""
    monkeypatch.setattr("jobs.datasets.tables.survey.MAX_VALUES", 500)
    table = TABLE.append_column("x", column)
    write(open_storage(tmp_path), {"t.parquet": parquet(table, row_group_size=400)})
    assert message in refusal(f"{tmp_path}/t.parquet", read=True, kind=DataError, label="churned", features=["x"])
    text = "leave" in message and refusal(f"{tmp_path}/t.parquet", read=True, label="churned")
    assert not text or "'x'" in text
    open_dataset(f"{tmp_path}/t.parquet", label="churned", features=["age"]).read(0, ROWS)


def test_missing_labels_and_weights(tmp_path):
    """They are found before any work."""
    hole = pa.array([*TABLE["churned"].to_pylist()[:990], *[None] * 10])
    light = pa.array([*[1.0] * 999, np.nan])
    table = TABLE.append_column("w", light)
    write(open_storage(tmp_path), {"t.parquet": parquet(table.append_column("y", hole)), "w.parquet": parquet(table)})
    assert "in column 'y' 10 values are missing, the first in row 990" in refusal(f"{tmp_path}/t.parquet", label="y")
    assert "in column 'w' 1 value is missing" in refusal(f"{tmp_path}/w.parquet", label="churned", weight="w")


def test_unlike_files(tmp_path):
    """Files of a folder whose columns differ are named."""
    text = TABLE.set_column(0, "age", pa.array(["old"] * ROWS))
    write(open_storage(tmp_path), {"a.parquet": parquet(), "b.parquet": parquet(text), "c.csv": csv()})
    write(open_storage(tmp_path), {"d.csv": csv(TABLE.select(TABLE.column_names[::-1]))})
    message = (
        f"{tmp_path}/b.parquet: column 'age' is of type string, but of int64 in {tmp_path}/a.parquet: make it alike"
    )
    assert message in refusal(f"parquet:{tmp_path}", label="churned")
    write(open_storage(tmp_path), {"b.parquet": parquet(TABLE.drop_columns("age"))})
    assert f"{tmp_path}/b.parquet: features has 'age', but there is no such column" in refusal(
        f"parquet:{tmp_path}", label="churned"
    )
    assert f"{tmp_path}/d.csv: its header has 'churned'" in refusal(f"csv:{tmp_path}", label="churned")
    known = open_dataset(f"{tmp_path}/c.csv", label="churned").columns
    write(open_storage(tmp_path), {"t.parquet": parquet(text)})
    assert "column 'age' is of type string, but of number in the data that the model was fitted to" in refusal(
        f"{tmp_path}/t.parquet", columns=known
    )


HEAD = b"a,b,y\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "t.csv is empty: a CSV file's first line has the names of its columns"),
        (b"\n\n", "t.csv has no header in its first line"),
        (HEAD, "t.csv: there are no rows, only a header"),
        (HEAD + b"\n\r\n", "t.csv: there are no rows, only a header"),
        (b"a;b;y\n1;2;3\n", "t.csv: columns are separated by ;; write it in UTF-8, with commas between columns"),
        (b"a\tb\ty\n1\t2\t3\n", "t.csv: columns are separated by tabs"),
        (b"a,b,y\r1,2,3\r", "ends its lines by \\r alone"),
        ("a,b,y\n1,2,3\n".encode("utf-16"), "t.csv: the header is not UTF-8"),
        ("ä,b,y\n1,2,3\n".encode("latin-1"), "t.csv: the header is not UTF-8"),
        (HEAD + b"1,\xff,3\n", "t.csv: column 'b' is not UTF-8 in its first rows; write it in UTF-8"),
        (
            HEAD + b"a,b,0\n" * 200 + b"1,\xff,3\n",
            "row 200: column 'b': 'CSV conversion error to string: invalid UTF8 data'",
        ),
        (HEAD + b"1,2,3\n4,5\n6,7,8\n", "t.csv, row 1: 'Expected 3 columns, got 2: 4,5'; the header has 3 columns"),
        (HEAD + b"1,2,0\n4,5,6,7\n", "t.csv, row 1: 'Expected 3 columns, got 4: 4,5,6,7'"),
        (
            HEAD + b"1,2,0\n" * 200 + b"x,2,0\n",
            "t.csv, row 200: column 'a': \"CSV conversion error to double: invalid value 'x'\"",
        ),
        (HEAD + b"true,2,0\n" * 200 + b"maybe,2,0\n", "row 200: column 'a': "),
        (
            HEAD + b"1,2,0\n1,,0\n1,NA,0\n",
            "in column 'b' 2 values are missing, the first in row 1: leave out such rows",
        ),
        (HEAD + b"1,x,0\n1,,0\n", "in column 'b' 1 value is missing, the first in row 1"),
        (HEAD + b"1,2,0\n1,2,\n", "in column 'y' 1 value is missing, the first in row 1"),
        (HEAD + b",2,0\n,3,0\n", "column 'a' has no values (its type is null)"),
        (HEAD + b"2020-01-01,2,0\n", "column 'a' is of type date32[day], but must be"),
        (HEAD + b'1,5" pipe,0\n1,"x\ny",1\n2,5" pipe,0\n', 't.csv: from row 0 on quotes (") do not match'),
        (HEAD + b"1,2,0\n" * 100 + b'1,"2,0\n' + b"1,2,0\n" * 400, "t.csv: from byte 606 on a row has no end"),
        (b",a,y\n0,1,2\n", "column 1 has no name (pandas writes its index so: use index=False)"),
        (b"a,a,y\n0,1,2\n", "2 columns are called 'a': give each a name of its own"),
        (b"c," * 600 + b"y\n", "t.csv: over 500 columns; save such data as arrays: npy:FOLDER"),
        (b'"a,b\n' + b"c,d\n" * 3000, "has no header in its first line, or one of over"),
        (b"a\0b,y\n1,2\n", "has NUL bytes: is it UTF-16?"),
        (b'a"b"c,"d"e,y\n1,2,3\n', "t.csv: the header cannot be read"),
    ],
)
def test_bad_csv(tmp_path, monkeypatch, content, message):
    """Rows that are cut, values of another kind, and what is no CSV: the file, the row, the remedy."""
    for name, value in {"CHUNK_BYTES": 1000, "MIB": 500, "MAX_RECORD": 2000, "MAX_COLUMNS": 500}.items():
        monkeypatch.setattr(csv_form, name, value)
    (tmp_path / "t.csv").write_bytes(content)
    assert message in refusal(f"{tmp_path}/t.csv", read=True, label="y")


@pytest.mark.parametrize("cut", [0, 3, 8, 100, 5000, -1, -5, -100])
def test_cut_parquet(tmp_path, cut):
    """A file that was not written to its end is damaged, wherever it is cut."""
    (tmp_path / "t.parquet").write_bytes(parquet()[:cut])
    assert "t.parquet: damaged, or of no form that is read here (" in refusal(f"{tmp_path}/t.parquet", label="churned")


def test_damage_within(tmp_path):
    """A row group that cannot be decoded is named."""
    data = bytearray(parquet(row_group_size=500, compression="zstd"))
    data[100:4000] = bytes(3900)
    (tmp_path / "t.parquet").write_bytes(data)
    text = refusal(f"{tmp_path}/t.parquet", read=True, label="churned", features=["age", "visits"])
    assert f"{tmp_path}/t.parquet, row group 0: damaged, or of no form that is read here (" in text


def test_many_columns(tmp_path, monkeypatch):
    """More columns than a table may have are refused before any is read."""
    monkeypatch.setattr("jobs.datasets.tables.parquet.MAX_COLUMNS", 5)
    (tmp_path / "t.parquet").write_bytes(parquet())
    assert "t.parquet: 6 columns, but a table has at most 5; save such data as arrays: npy:FOLDER" in refusal(
        f"{tmp_path}/t.parquet", label="churned"
    )
    assert form_module.MAX_COLUMNS == 2**16


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_changed_since(storage, form):
    """A file that was written or deleted since it was opened is no mixture of both."""
    name, other = f"t.{form}", TABLE.slice(0, 999)
    files = {"csv": csv, "parquet": parquet}
    write(storage, {name: files[form]()})
    table = open_dataset(f"{form}:{storage.url}/{name}", label="churned")
    write(storage, {name: files[form](other)})
    PIECES.clear()
    with pytest.raises(DataError, match=f"t.{form} was written since it was first looked at"):
        table.read(0, 10)
    storage.delete(name)
    with pytest.raises(DataError, match=f"t.{form} (cannot be read; the file is gone|was written since)"):
        table.read(0, 10)
