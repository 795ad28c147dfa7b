"""One small data set, 300 images of 7 x 5 with labels 0..9, in every form that `open_dataset` knows."""

from __future__ import annotations

import gzip
import io
import struct
from collections.abc import Callable

import numpy as np

from jobs.storage import Storage

_random = np.random.default_rng(0)
X = _random.integers(0, 256, (300, 7, 5), np.uint8)
Y = np.concatenate([np.arange(10), _random.integers(0, 10, 290)])


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(save: Callable[..., None] = np.savez, **arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def write(storage: Storage, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        storage.write(name, data)


FORMS: dict[str, dict[str, bytes]] = {
    "idx:{}/set": {"set/train-images-idx3-ubyte": idx(X), "set/train-labels-idx1-ubyte": idx(Y)},
    "idx:{}/packed/": {
        "packed/train-images-idx3-ubyte.gz": gzip.compress(idx(X)),
        "packed/train-labels-idx1-ubyte.gz": gzip.compress(idx(Y)[:100]) + gzip.compress(idx(Y)[100:]),
    },
    "idx:{}/set/t10k": {"set/t10k-images.idx3-ubyte": idx(X), "set/t10k-labels.idx1-ubyte.gz": gzip.compress(idx(Y))},
    "idx:{}": {"images.idx3-ubyte": idx(X), "labels-idx1-ubyte": idx(Y)},
    "npz:{}/train.npz": {"train.npz": npz(np.savez, y=Y, x=X, other=X[:5])},
    "npy:{}/folder": {"folder/x.npy": npy(X), "folder/y.npy": npy(Y.astype(">i2"))},
    "{}/bare/train.npz": {"bare/train.npz": npz(x=X, y=Y.astype(np.uint64))},
    "{}/bare": {"bare/x.npy": npy(X), "bare/y.npy": npy(Y)},
    "{}/bare/": {"bare/train-images-idx3-ubyte": idx(X), "bare/train-labels-idx1-ubyte": idx(Y)},
    "{}/bare/test": {"bare/test-images-idx3-ubyte": idx(X), "bare/test-labels-idx1-ubyte": idx(Y)},
}
