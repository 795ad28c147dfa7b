"""`from_dask`: a source of rows from Dask's arrays and frames, whose chunks stay on the workers."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import dask
import dask.array as da
import numpy as np
from distributed import Client, Future, futures_of, get_client, wait

from jobs.datasets import labels
from jobs.datasets.memory import convert, door
from jobs.datasets.memory.of_arrays import digest_of
from jobs.datasets.memory.source import MemoryRows, source
from jobs.errors import DataError, InputError
from jobs.formatting import error_line


def from_dask(x: Any, y: Any, weights: Any = None) -> MemoryRows:
    """Return a source of the rows of Dask collections; the current client's workers compute the chunks, and keep them.

    A worker that reads rows has their chunk, or gets it from the worker that has it; Dask computes chunks again that
    were lost with their worker. The bits of a sum depend on the rows, not on how they are cut.

    Args:
        x: features, (rows, ...): a `dask.array`, or a `dask.dataframe` of numbers.
        y: labels or targets, (rows,) or (rows, ...), of as many rows: an array or a series; see `from_arrays`.
        weights: of the rows, (rows,), >= 0; all 1 if None.

    Raises:
        InputError: there is no client, or an argument is no collection of Dask's.
        DataError: they do not fit each other, or a chunk cannot be used.
    """
    client = _client()
    names = convert.feature_names(x)
    given = {"x": x, "y": y} | ({} if weights is None else {"weights": weights})
    arrays = _aligned({name: _array(name, one) for name, one in given.items()})
    sizes = arrays["x"].chunks[0]
    firsts = tuple(np.cumsum([0, *sizes]).tolist())
    chunks = _persisted(client, arrays, firsts)
    kind = arrays["y"].dtype.kind
    return source(ChunkReader(client, firsts, chunks, kind, _digest(client, chunks)), arrays["x"].shape, names)


@dataclass(frozen=True)
class ChunkReader:
    """Chunks on the workers of a client.

    Attributes:
        client: the client.
        chunks: first rows, and the number of all rows.
        futures: of each chunk: x, y, and the weights if there are any.
        kind: of the labels' type.
        digest: of the content.
    """

    client: Client
    chunks: tuple[int, ...]
    futures: tuple[tuple[Future, ...], ...]
    kind: str
    digest: str

    def chunk(self, number: int) -> list[Future]:
        """Return what a chunk is made of."""
        return list(self.futures[number])

    def read(self, start: int, stop: int) -> tuple[Any, ...]:
        """Return rows start .. stop - 1, brought to this process."""
        found = []
        for number in door.overlapping(self.chunks, start, stop):
            first = self.chunks[number]
            parts = _results(self.client, self.futures[number])
            found.append(tuple(part[max(start - first, 0) : stop - first] for part in parts))
        return door.joined(iter(found))

    def fingerprint(self) -> str:
        """Return the digest of the content, and of where it is cut."""
        return self.digest

    def as_classes(self) -> tuple[ChunkReader, tuple[str, ...]]:
        """Return the same rows with labels 0, 1, ..., and the names of the classes."""
        submit = self.client.submit
        plain = [
            submit(labels.plain, y, "y", first) for (_, y, *_), first in zip(self.futures, self.chunks, strict=False)
        ]
        classes = labels.classes_of(_results(self.client, [submit(np.unique, y) for y in plain]))
        codes = [submit(labels.codes, y, classes, "y", first) for y, first in zip(plain, self.chunks, strict=False)]
        _results(self.client, [submit(len, one) for one in codes])
        futures = tuple((x, y, *w) for (x, _, *w), y in zip(self.futures, codes, strict=True))
        return replace(self, futures=futures, kind="i"), labels.names(classes)


def _client() -> Client:
    try:
        return get_client()
    except ValueError:
        raise InputError(
            "from_dask needs a Dask client, whose workers keep the chunks: make one first, by jobs.connect()"
        ) from None


def _array(name: str, collection: Any) -> Any:
    """Return a collection as a Dask array of known chunk sizes, whose rows alone are cut."""
    if not dask.is_dask_collection(collection):
        raise InputError(f"{name} is {type(collection).__name__}, but must be a Dask array or frame; see from_arrays")
    if hasattr(collection, "to_dask_array"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # texts become objects, which are labels as well
            collection = collection.to_dask_array(lengths=True)
    elif any(np.isnan(size) for sizes in collection.chunks for size in sizes):
        collection = da.Array(collection.dask, collection.name, collection.chunks, meta=collection._meta)  # noqa: SLF001  a copy: the next call changes it
        collection = collection.compute_chunk_sizes()
    return collection.rechunk(dict.fromkeys(range(1, collection.ndim), -1))


def _aligned(arrays: dict[str, Any]) -> dict[str, Any]:
    """Return arrays cut at the same rows, those of x."""
    x = arrays["x"]
    if x.ndim < 2:
        raise DataError(f"x has shape {x.shape}, but must be (rows, features...); give x[:, None]")
    convert.check_rows(x, **{name: array for name, array in arrays.items() if name != "x"})
    sizes = tuple(size for size in x.chunks[0] if size)  # an empty partition holds no rows
    return {name: array.rechunk({0: sizes}) for name, array in arrays.items()}


def _persisted(client: Client, arrays: dict[str, Any], firsts: Sequence[int]) -> tuple[tuple[Future, ...], ...]:
    """Compute the chunks on the workers, checked, and keep them there."""
    checks = {"x": convert.features, "y": convert.targets, "weights": convert.weights}
    columns = []
    for name, array in arrays.items():
        parts = array.to_delayed().reshape(-1)
        columns.append([dask.delayed(checks[name])(part, first) for part, first in zip(parts, firsts, strict=False)])
    kept = client.persist([one for column in columns for one in column])
    futures = [futures_of(one)[0] for one in kept]
    wait(futures)
    _results(client, [client.submit(type, one) for one in futures])
    count = len(firsts) - 1
    return tuple(zip(*(futures[start : start + count] for start in range(0, len(futures), count)), strict=True))


def _digest(client: Client, chunks: Sequence[Sequence[Future]]) -> str:
    """Return a digest of all chunks, computed where they are."""
    digests = _results(client, [client.submit(digest_of, *chunk, pure=False) for chunk in chunks])
    return hashlib.blake2b(" ".join(digests).encode(), digest_size=16).hexdigest()


def _results(client: Client, futures: Sequence[Future]) -> list[Any]:
    """Return what futures hold; raises what their tasks raised.

    Raises:
        DataError: a task failed.
    """
    try:
        return list(client.gather(list(futures)))
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"a chunk of Dask's cannot be computed: {error_line(error)}") from error
