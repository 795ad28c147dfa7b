"""Parquet and CSV files: the same rows in every form, locally and in S3, with names for features and classes."""

from __future__ import annotations

import pickle
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from table_files import (
    ACTIVE,
    AGE,
    CHURNED,
    COUNT,
    FEATURES,
    FORMS,
    NAMES,
    PLAN,
    ROWS,
    TABLE,
    VISITS,
    X,
    Y,
    csv,
    parquet,
    write,
)

from jobs.datasets import open_dataset
from jobs.datasets.tables import csv as csv_form
from jobs.datasets.tables import pieces as pieces_module
from jobs.datasets.tables.pieces import PIECES
from jobs.errors import DataError, InputError
from jobs.storage import Access, open_storage
from jobs.storage.s3_client import s3_client

RANGES = [(0, 1), (1, 7), (7, 7), (7, 300), (300, 1000), (0, 1000), (129, 132), (999, 1000), (5, 6), (640, 650)]


@pytest.mark.parametrize("form", FORMS)
def test_equal_rows(storage, form):
    """All ranges of rows, ascending or not, are those of the table, here and after pickling."""
    write(storage, FORMS[form])
    table = open_dataset(form.format(storage.url), label="churned", features=FEATURES, weight="count")
    assert (table.rows, table.shape, table.classes, table.scale) == (ROWS, (7,), 2, 1.0)
    assert (table.names, table.class_names) == (NAMES, ("no", "yes"))
    for reader in (table, pickle.loads(pickle.dumps(table))):
        PIECES.clear()
        for start, stop in RANGES:
            x, y, w = reader.read(start, stop)
            np.testing.assert_array_equal(x, X[start:stop], strict=True)
            np.testing.assert_array_equal(y, Y[start:stop], strict=True)
            np.testing.assert_array_equal(w, COUNT[start:stop], strict=True)
            assert not x.flags.writeable
    with pytest.raises(IndexError):
        table.read(999, 1001)
    assert table.files() == [
        storage.address(name)
        for name in sorted(FORMS[form])
        if "_" not in name and "empty" not in name and name != "b.csv"
    ]


def test_small_chunks(tmp_path, monkeypatch):
    """Rows of CSV do not depend on where it is cut, nor on what a process keeps."""
    monkeypatch.setattr(csv_form, "CHUNK_BYTES", 1000)
    monkeypatch.setattr(csv_form, "MIB", 100)
    monkeypatch.setattr(pieces_module, "KEPT_BYTES", 1)
    text = TABLE.set_column(2, "plan", pa.array([f'"{name}",\nor "{name}"\r\n\r\nmore' for name in PLAN]))
    write(open_storage(tmp_path), {"t.csv": csv(text).replace(b"\nmore", b"\nmore"), "t.parquet": parquet(text)})
    pair = [open_dataset(f"{tmp_path}/t.{form}", label="churned") for form in ("csv", "parquet")]
    assert len(pair[0].places) > 50
    for start, stop in RANGES:
        for ours, theirs in zip(pair[0].read(start, stop), pair[1].read(start, stop), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_blank_lines_and_missing_end(tmp_path):
    """Blank lines are no rows, and the last row needs no end of line; with quotes, too."""
    (tmp_path / "t.csv").write_bytes(b'\xef\xbb\xbf"a",b,"y,z"\n\n1,"2",no\r\n\r\n"3",4,"y\n\n""es"')
    table = open_dataset(str(tmp_path / "t.csv"), label="y,z")
    assert table.class_names == ("no", 'y\n\n"es')
    assert [array.tolist() for array in table.read(0, 2)] == [[[1, 2], [3, 4]], [0, 1]]


@pytest.mark.parametrize(
    ("label", "names", "classes"),
    [
        (pa.array(Y * 2 - 1), ("-1", "1"), Y),
        (pa.array(Y * 2.0 + 3), ("3", "5"), Y),
        (pa.array(Y.astype(bool)), ("False", "True"), Y),
        (pa.array(CHURNED).dictionary_encode(), ("no", "yes"), Y),
        (pa.array(Y.astype("u1")).dictionary_encode(), ("0", "1"), Y),
        (pa.array([["ä", "zu", "Z"][age % 3] for age in AGE], pa.large_string()), ("Z", "zu", "ä"), (2 - AGE % 3) % 3),
    ],
)
@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_labels(tmp_path, form, label, names, classes):
    """Numbers that are whole, booleans, texts and dictionaries become classes in ascending order."""
    table = pa.table({"age": AGE, "y": label})
    plain = pa.table({"age": AGE, "y": label.dictionary_decode() if pa.types.is_dictionary(label.type) else label})
    write(open_storage(tmp_path), {"t.csv": csv(plain), "t.parquet": parquet(table)})
    data = open_dataset(f"{tmp_path}/t.{form}", label="y")
    found = {"Z": 0, "zu": 1, "ä": 2}
    expected = [found[text] for text in label.to_pylist()] if "ä" in names else classes
    assert data.class_names == names
    np.testing.assert_array_equal(data.read(0, ROWS)[1], expected)


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_targets(tmp_path, form):
    """For a regression y are any numbers as they are; text is classes all the same."""
    table = pa.table({"age": AGE, "y": VISITS, "n": -AGE, "text": CHURNED})
    write(open_storage(tmp_path), {"t.csv": csv(table), "t.parquet": parquet(table)})
    for label, expected in {"y": VISITS, "n": -AGE, "text": Y}.items():
        data = open_dataset(f"{tmp_path}/t.{form}", label=label, features=["age"], targets=True)
        np.testing.assert_array_equal(data.read(0, ROWS)[1], expected, strict=True)
        assert data.classes == (2 if label == "text" else 0)


def test_given_classes(tmp_path):
    """With their number, whole labels are the classes themselves, as of other data."""
    write(open_storage(tmp_path), {"t.parquet": parquet(pa.table({"x": AGE, "y": AGE % 5}))})
    assert open_dataset(f"{tmp_path}/t.parquet", 7, label="y").class_names == tuple("0123456")
    with pytest.raises(DataError, match=r"label 'y' has 3, but must be in 0..2 \(classes is 3\)"):
        open_dataset(f"{tmp_path}/t.parquet", 3, label="y")


@pytest.mark.parametrize(
    ("types", "dtype"),
    [(["int8", "float32", "bool"], "float32"), (["int8", "int32"], "float64"), (["uint16", "float64"], "float64")],
)
def test_types(tmp_path, types, dtype):
    """x is float32 where that holds all columns, else float64."""
    columns = {name: (AGE % 2).astype(name) for name in types}
    write(open_storage(tmp_path), {"t.parquet": parquet(pa.table({**columns, "y": Y}))})
    assert open_dataset(f"{tmp_path}/t.parquet", label="y").read(0, 5)[0].dtype == dtype


def test_decimals_and_odd_names(tmp_path):
    """Decimals are numbers; a name may have a dot, and columns that nobody reads may be of any type."""
    import decimal

    table = pa.table(
        {
            "a.b": pa.array([decimal.Decimal("1.25"), decimal.Decimal("-3.00")]),
            "a": pa.array([7, 8], pa.float16()),
            "when": pa.array([1, 2], pa.timestamp("s")),
            "list": [[1], None],
            "y": [0, 1],
            "__index_level_0__": [5, 6],
        }
    )
    write(open_storage(tmp_path), {"t.parquet": parquet(table)})
    data = open_dataset(f"{tmp_path}/t.parquet", label="y", features=["a.b", "a"])
    assert data.read(0, 2)[0].tolist() == [[1.25, 7], [-3, 8]]
    write(open_storage(tmp_path), {"t.parquet": parquet(table.drop_columns(["when", "list"]))})
    assert open_dataset(f"{tmp_path}/t.parquet", label="y").names == ["a.b", "a"]


@pytest.mark.parametrize("form", ["parquet:{}", "csv:{}"])
def test_fingerprint(tmp_path, form):
    """It stays with a copy elsewhere, and changes with the columns, their use and the data."""
    write(open_storage(tmp_path / "a"), FORMS[form])
    write(open_storage(tmp_path / "b"), FORMS[form])
    given = [{}, {"weight": "count"}, {"features": FEATURES}, {"features": FEATURES[::-1]}, {"label": "plan"}]
    prints = [
        [open_dataset(form.format(tmp_path / folder), **{"label": "churned", **one}).fingerprint() for one in given]
        for folder in "ab"
    ]
    assert prints[0] == prints[1]
    assert len({*prints[0]}) == len(given)
    other = TABLE.set_column(1, "visits", pa.array(VISITS[::-1]))
    kind = form.partition(":")[0]
    write(open_storage(tmp_path / "b"), {f"a.{kind}": {"csv": csv, "parquet": parquet}[kind](other.slice(0, 130))})
    assert open_dataset(form.format(tmp_path / "b"), label="churned").fingerprint() not in prints[0]


@pytest.fixture
def requests(s3):
    """Give a list to which each GET of an object adds its range."""
    ranges: list[tuple[int, int]] = []

    def note(request, **_) -> None:
        first, last = request.headers["Range"].decode().removeprefix("bytes=").split("-")
        ranges.append((int(first), int(last) + 1))

    clients = [s3_client(Access(), adaptive=adaptive) for adaptive in (False, True)]
    for client in clients:
        client.meta.events.register("before-send.s3.GetObject", note)
    yield ranges
    for client in clients:
        client.meta.events.unregister("before-send.s3.GetObject", note)


def test_only_what_is_needed(s3, requests):
    """Of a row group that is wanted only the wanted columns' bytes are asked for, once, whatever its blocks."""
    wide = pa.table({f"c{number}": np.random.default_rng(number).standard_normal(60_000) for number in range(12)})
    wide = wide.append_column("y", pa.array(np.arange(60_000) % 2))
    data = parquet(wide, row_group_size=20_000)
    write(open_storage(s3), {"t.parquet": data})
    table = open_dataset(f"{s3}/t.parquet", label="y", features=["c3"])
    PIECES.clear()
    requests.clear()
    for start in range(20_000, 40_000, 1000):
        x, _ = table.read(start, start + 1000)
        np.testing.assert_array_equal(x[:, 0], wide["c3"].to_numpy()[start : start + 1000])
    assert sum(stop - start for start, stop in requests) < 2.2 * 160_000 + 2 * 2**20  # two columns, and a gap of a MiB
    assert len(requests) <= 6


def test_a_chunk_is_decoded_once(tmp_path, monkeypatch):
    """Blocks in any order decode a row group once, as long as it fits."""
    write(open_storage(tmp_path), {"t.parquet": parquet(row_group_size=500)})
    table = open_dataset(f"{tmp_path}/t.parquet", label="churned", features=FEATURES)
    decoded = []
    batches = type(table.form).batches
    monkeypatch.setattr(
        type(table.form),
        "batches",
        lambda self, chunk, *rest: decoded.append(chunk.start) or batches(self, chunk, *rest),
    )
    PIECES.clear()
    for start in np.random.default_rng(0).permutation(100) * 10:
        np.testing.assert_array_equal(table.read(start, start + 10)[0], X[start : start + 10])
    assert sorted(decoded) == [0, 500]


def test_memory_is_given_back(monkeypatch):
    """What was decoded is kept up to a limit, and freed when nothing was asked for a while."""
    monkeypatch.setattr(pieces_module, "KEPT_BYTES", 10_000)
    monkeypatch.setattr(pieces_module, "KEPT_SECONDS", 0.01)
    kept = pieces_module.Pieces()

    def pieces():
        for _ in range(10):
            yield pieces_module.Piece(np.zeros((100, 2)), np.zeros((100, 0), np.int32), np.zeros(100), None)

    assert [kept.at(chunk, row, pieces)[1] for chunk in range(30) for row in (999, 0, 250)] == [900, 0, 200] * 30
    assert kept._bytes <= 10_000
    while kept._pieces:
        time.sleep(0.01)
    assert kept._bytes == 0
    assert kept.at(3, 777, pieces)[1] == 700


def test_unseen_by_the_mapping_of_other_data(tmp_path):
    """New files are mapped as the first ones were: their own categories and order do not count."""
    write(
        open_storage(tmp_path),
        {"old.parquet": parquet(), "new.csv": csv(TABLE.slice(0, 40).filter(pa.array(PLAN[:40] != "basic")))},
    )
    old = open_dataset(f"{tmp_path}/old.parquet", label="churned", features=FEATURES, weight="count")
    new = open_dataset(f"{tmp_path}/new.csv", columns=old.columns, unlabelled=True)
    kept = np.flatnonzero(PLAN[:40] != "basic")
    x, y = new.read(0, new.rows)
    np.testing.assert_array_equal(x, X[kept])
    np.testing.assert_array_equal(y, Y[kept])
    (tmp_path / "new.csv").write_text("plan,active,visits,age\npro,true,1,30\ngold,false,2,40\n")
    with pytest.raises(
        DataError, match=r"column 'plan' has 'gold' in row 1, which is none of the values .*'basic', 'free', 'pro'"
    ):
        open_dataset(f"{tmp_path}/new.csv", columns=old.columns, unlabelled=True)
    (tmp_path / "new.csv").write_text("plan,active,visits,age\npro,true,1,30\n")
    x, y = open_dataset(f"{tmp_path}/new.csv", columns=old.columns, unlabelled=True).read(0, 1)
    assert (x.tolist(), y.shape) == ([[30, 1, 0, 0, 1, 0, 1]], (1, 0))
    with pytest.raises(InputError, match="label has 'churned', but there is no such column"):
        open_dataset(f"{tmp_path}/new.csv", columns=old.columns)


def test_without_pyarrow(tmp_path):
    """One line says what needs it, and what to do; other data do not import it."""
    code = f"""
import sys
sys.modules["pyarrow"] = None
from jobs.datasets import open_dataset
from jobs.errors import InputError
open_dataset("digits").read(0, 3)
try:
    open_dataset("csv:{tmp_path}/t.csv", label="y")
except InputError as error:
    print(error)
"""
    (tmp_path / "t.csv").write_text("x,y\n1,2\n")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout.startswith("PyArrow is needed for Parquet and CSV (")
    assert done.stdout.endswith("): pip install '.[tables]'\n")


def test_all_columns_by_default(tmp_path):
    """Without features all columns but label and weight are, in their order."""
    write(open_storage(tmp_path), {"t.csv": csv()})
    assert open_dataset(f"{tmp_path}/t.csv", label="churned", weight="count").names == NAMES
    assert open_dataset(f"{tmp_path}/t.csv", label="active", features="age").names == ["age"]
    assert (
        open_dataset(f"{tmp_path}/t.csv", label="active", features="age").read(0, ROWS)[1].tolist() == ACTIVE.tolist()
    )
