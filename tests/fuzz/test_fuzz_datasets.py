"""Damaged data sets: each is read, or refused in one line."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pytest
from mutations import damaged, flipped
from seeds import SEED, seeded, times
from table_files import csv, parquet

from jobs.datasets import open_dataset
from jobs.errors import InputError

ROWS = 20


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _idx(array: np.ndarray) -> bytes:
    return np.array([0x800 + array.ndim, *array.shape], ">u4").tobytes() + array.tobytes()


X = np.arange(ROWS * 6, dtype=np.uint8).reshape(ROWS, 2, 3)
Y = np.arange(ROWS, dtype=np.uint8) % 4
TABLE = pa.table({"y": Y, "text": ["a", 'b "', "c\n", ","] * 5, "even": Y % 2 == 0, "x": X[:, 0, 0] / 3})
FORMS = {
    "npy": {"x.npy": _npy(X), "y.npy": _npy(Y)},
    "npz": {"data.npz": _npz(x=X, y=Y)},
    "parquet": {"a.parquet": parquet(TABLE, row_group_size=7), "b.parquet": parquet(TABLE, compression="none")},
    "csv": {"a.csv": csv(TABLE), "b.csv": csv(TABLE, quoting_style="all_valid")},
    "idx": {"images-idx3-ubyte": _idx(X), "labels-idx1-ubyte.gz": gzip.compress(_idx(Y))},
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("form", FORMS)
def test_damaged_data(form: str, seed: int, tmp_path: Path) -> None:
    """Whatever bytes are lost, doubled, or flipped in one of its files."""
    random, refused = Random(seed) if not SEED else seeded(seed), 0
    spec = f"npz:{tmp_path}/data.npz" if form == "npz" else f"{form}:{tmp_path}"
    for _ in range(times(100)):
        chosen = random.choice(list(FORMS[form]))
        for name, content in FORMS[form].items():
            head = flipped(content[:128], random, random.randint(1, 5)) + content[128:]
            change = head if random.random() < 0.6 else damaged(content, random)
            (tmp_path / name).write_bytes(change if name == chosen else content)
        try:
            data = open_dataset(spec, label="y") if form in ("parquet", "csv") else open_dataset(spec)
            data.read(0, data.rows if form == "csv" else ROWS)
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017
            refused += 1
    assert refused
