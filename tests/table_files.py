"""One small table of people, 1,000 rows, as Parquet and CSV files of several shapes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from jobs.storage import Storage

ROWS = 1000
_random = np.random.default_rng(0)
AGE = _random.integers(18, 80, ROWS)
VISITS = _random.standard_normal(ROWS)
PLAN = np.array(["basic", "free", "pro"])[_random.integers(0, 3, ROWS)]
ACTIVE = _random.random(ROWS) < 0.5
COUNT = _random.random(ROWS)
CHURNED = np.where(AGE + 10 * VISITS + _random.standard_normal(ROWS) > 50, "yes", "no")
TABLE = pa.table({"age": AGE, "visits": VISITS, "plan": PLAN, "active": ACTIVE, "count": COUNT, "churned": CHURNED})
X = np.column_stack([AGE, VISITS, PLAN == "basic", PLAN == "free", PLAN == "pro", ~ACTIVE, ACTIVE]).astype(np.float64)
NAMES = ["age", "visits", "plan=basic", "plan=free", "plan=pro", "active=False", "active=True"]
Y = (CHURNED == "yes").astype(np.int64)
FEATURES = ["age", "visits", "plan", "active"]


def parquet(table: pa.Table = TABLE, **options: Any) -> bytes:
    file = io.BytesIO()
    pa.parquet.write_table(table, file, **options)
    return file.getvalue()


def csv(table: pa.Table = TABLE, **options: Any) -> bytes:
    file = io.BytesIO()
    pa.csv.write_csv(table, file, pa.csv.WriteOptions(**options))
    return file.getvalue()


def write(storage: Storage, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        storage.write(name, data)


def encoded(name: str) -> pa.Table:
    """Return the table with a column as a dictionary."""
    index = TABLE.column_names.index(name)
    return TABLE.set_column(index, name, TABLE[name].dictionary_encode())


FORMS: dict[str, dict[str, bytes]] = {
    "parquet:{}/one.parquet": {"one.parquet": parquet()},
    "{}/one.parquet": {"one.parquet": parquet(row_group_size=300, compression="zstd")},
    "parquet:{}": {
        "a.parquet": parquet(TABLE.slice(0, 130), row_group_size=7),
        "b.parquet": parquet(TABLE.slice(130, 1)),
        "c/d.parquet": parquet(TABLE.slice(131), row_group_size=500, use_dictionary=False),
        "_SUCCESS": b"",
        "empty.parquet": parquet(TABLE.slice(0, 0)),
        "_metadata.parquet": b"none",
    },
    "{}/parts/": {
        "parts/1.parquet": parquet(encoded("plan").slice(0, 400)),
        "parts/2.pq": parquet(encoded("plan").slice(400)),
    },
    "csv:{}/one.csv": {"one.csv": csv()},
    "{}/one.csv": {"one.csv": b"\xef\xbb\xbf" + csv(quoting_style="none").replace(b"\n", b"\r\n").rstrip()},
    "csv:{}": {"a.csv": csv(TABLE.slice(0, 10)), "b.csv": csv(TABLE.slice(10, 0)), "c.csv": csv(TABLE.slice(10))},
}
