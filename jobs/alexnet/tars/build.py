"""From a storage and a prefix to the index of all tars there."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from operator import attrgetter

import numpy as np

from jobs.alexnet.tars.headers import GZIP_ENDS, OTHER_ENDS, TAR_ENDS, Tar
from jobs.alexnet.tars.index import Index
from jobs.alexnet.tars.scanning import Scan, Span, first_span, scan
from jobs.errors import DataError, InputError, argument
from jobs.formatting import given, plural
from jobs.storage import Storage, changed

_REQUESTS = 16
"""Tars whose stamps are asked for at the same time."""
Run = Callable[[list[Span]], Iterable[Scan]]
"""Returns `scan(storage, span)` of each span, in any order; on the workers, say."""


def find_tars(storage: Storage, prefix: str = "") -> list[str]:
    """Return the names of all tars that start with `prefix`, sorted.

    Raises:
        InputError: there are none, or the storage cannot be read.
        ClusterError: it cannot be reached.
    """
    names = storage.list(prefix)
    if other := next((name for name in names if name.lower().endswith(OTHER_ENDS)), None):
        raise InputError(
            f"{storage.address(other)}: of compressed tars only {', '.join(GZIP_ENDS)} are read; "
            "decompress it, or move it away"
        )
    tars = [name for name in names if name.lower().endswith(TAR_ENDS)]
    if not tars:
        remote = storage.url.startswith("s3://")
        where = argument("s3_bucket") + " and " + argument("key_prefix") if remote else argument("data")
        what = f"{plural(len(names), 'file')}, such as {given(names[0])}, but none" if names else "nothing"
        pack = "; images that are in none are packed by tar -cf images.tar FOLDER" if names and not remote else ""
        raise InputError(f"{storage.address(prefix)}: {what} that is named {', '.join(TAR_ENDS)}; check {where}{pack}")
    return tars


def build_index(storage: Storage, prefix: str = "", run: Run | None = None) -> Index:
    """Index all tars that start with `prefix`.

    Args:
        storage: where they lie.
        prefix: of their names.
        run: runs scans elsewhere, several at a time; None: here, one after the other. Tars within tars are scans of
            their own, so it may be called several times.

    Raises:
        InputError: there are none, or the storage cannot be read.
        DataError: one is empty, damaged, changed, or no tar; there are no images.
        ClusterError: the storage cannot be reached.
    """
    run = run or functools.partial(map, functools.partial(scan, storage))
    with ThreadPoolExecutor(_REQUESTS) as pool:
        spans = list(pool.map(functools.partial(first_span, storage), find_tars(storage, prefix)))
    scans: list[Scan] = []
    while spans:
        done = list(run(spans))  # a round for each level of tars within tars, all spans of one at the same time
        scans += done
        spans = [inner for each in done for inner in each.inner]
    return replace(merge(storage.url, scans), prefix=prefix)


def check_unchanged(storage: Storage, index: Index) -> None:
    """Check that all tars of an index are as they were when they were indexed.

    Raises:
        DataError: one was written since, or deleted.
        InputError, ClusterError: the storage cannot be read.
    """
    with ThreadPoolExecutor(_REQUESTS) as pool:
        spans = pool.map(functools.partial(first_span, storage), [tar.name for tar in index.tars])
        for span, tar in zip(spans, index.tars, strict=True):
            if span.tar != tar:
                raise changed(storage.address(tar.name))


def merge(url: str, scans: Iterable[Scan]) -> Index:
    """Return the index of all scans, which may come in any order.

    Raises:
        DataError: they have no images.
    """
    by_tar = attrgetter("tar.name")
    tars = [_joined(list(group)) for _, group in itertools.groupby(sorted(scans, key=by_tar), key=by_tar)]
    counts = [len(tar.offsets) for tar in tars]
    others = sum(tar.others for tar in tars)
    example = next((f"{tar.tar.name}/{tar.example}" for tar in tars if tar.others), "")
    if not sum(counts):
        raise DataError(f"{url}: no images in {plural(len(tars), 'tar')}, but files such as {given(example)}")
    return Index(
        url,
        tuple(tar.tar for tar in tars),
        np.cumsum([0, *counts], dtype=np.int64),
        np.array([tar.content for tar in tars], np.int64),
        np.concatenate([tar.offsets for tar in tars]),
        np.concatenate([tar.sizes for tar in tars]),
        b"".join(tar.names for tar in tars),
        others,
        example,
    )


def _joined(scans: list[Scan]) -> Scan:
    """Return the scans of one tar, its whole and the tars in it, as one in the order of offsets."""
    if len(scans) == 1:
        return scans[0]
    tar: Tar = scans[0].tar
    offsets = np.concatenate([each.offsets for each in scans])
    sizes = np.concatenate([each.sizes for each in scans])
    order = np.argsort(offsets, kind="stable")
    names = b"".join(each.names for each in scans).split(b"\0")
    return Scan(
        tar,
        b"".join(names[place] + b"\0" for place in order),
        offsets[order],
        sizes[order],
        content=max(each.content for each in scans),  # a part of a tar has 0
        others=sum(each.others for each in scans),
        example=min((each.example for each in scans if each.others), default=""),
    )
