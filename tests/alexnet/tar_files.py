"""Tars of the tests."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np

from jobs.alexnet.tars import Index, Reader
from jobs.storage import Storage


def noise(size: int, seed: int) -> bytes:
    """Return bytes that are equal nowhere else."""
    return np.random.default_rng(seed).bytes(size)


def tar_of(
    files: Mapping[str, bytes], mode: Literal["w:", "w:gz"] = "w:", form: int = tarfile.PAX_FORMAT, **fields: Any
) -> bytes:
    """Return a tar of files by name; `fields` are of all members' headers."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, format=form) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for field, value in fields.items():
                setattr(info, field, value)
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


def images(count: int, first: int = 0, size: int = 3000) -> dict[str, bytes]:
    """Return files of some thousand bytes, `n0001_17.JPEG`, of many sizes."""
    return {f"n0001_{number}.JPEG": noise(size + 37 * number % size, number) for number in range(first, first + count)}


def read_all(reader: Reader, index: Index, numbers: Iterable[int] | None = None) -> dict[str, bytes]:
    """Return images by name; a name that comes twice is an error."""
    found: dict[str, bytes] = {}
    for image in reader.read(index.members(list(range(len(index)) if numbers is None else numbers))):
        assert image.name not in found
        assert image.name == index.name(image.number)
        found[image.name] = image.data
    return found


def write_many(storage: Storage) -> None:
    """Write a plain tar, one of tars, and a compressed one; their images in the order of the index."""
    storage.write("a.tar", tar_of(images(30)))
    storage.write("b.tar", tar_of({f"n{part}.tar": tar_of(images(7, 30 + 7 * part)) for part in range(3)}))
    storage.write("c.tar.gz", tar_of(images(25, 60), "w:gz"))
