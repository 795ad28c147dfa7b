"""The index of a run's images, and their labels: made once, then read from the run folder."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jobs.alexnet.labels import read_labels
from jobs.alexnet.options import Options
from jobs.alexnet.tars import Index, build_index, load_index, save_index
from jobs.alexnet.tars.scanning import Scan, Span, scan
from jobs.storage import Access, Storage, open_storage

if TYPE_CHECKING:
    from distributed import Client


def storage_of(options: Options) -> Storage:
    """Return the storage of the tars."""
    if options.data is not None:
        return open_storage(options.data)
    return open_storage(f"s3://{options.s3_bucket}", Access(options.endpoint_url or "", options.anonymous))


def find_index(options: Options, run: Storage, client: Client | None, doing: Callable[[str], None]) -> Index:
    """Return the index from the run folder, or make it, on the workers if there are any.

    Raises:
        InputError, DataError: there are no tars, or they cannot be used.
        ClusterError: a storage cannot be reached.
    """
    if (index := load_index(run)) is None:
        doing("indexing the tars")
        storage = storage_of(options)
        prefix = options.key_prefix if options.data is None or "key_prefix" in options.model_fields_set else ""
        index = build_index(storage, prefix, functools.partial(_on_workers, client, storage) if client else None)
        save_index(run, index)
    return index


def _on_workers(client: Client, storage: Storage, spans: list[Span]) -> Iterable[Scan]:
    # As tasks: Dask retries those of a worker that is lost, and a task may be computed twice.
    futures = client.map(functools.partial(scan, storage), spans, pure=False)
    return client.gather(futures)  # type: ignore[no-any-return]  # distributed is untyped here


def find_labels(options: Options, index: Index) -> tuple[NDArray[np.int32], str]:
    """Return the label of each image, (n,) int32, -1 of those without, and a digest of all.

    Raises:
        InputError, DataError: the label file cannot be used, or an image has no label.
        ClusterError: the storage cannot be reached.
    """
    if options.data is None:
        storage, name = storage_of(options), options.label_file
    else:
        path = Path(options.label_file)
        storage, name = open_storage(str(path.parent)), path.name
    labels = read_labels(storage, name)
    matched = labels.match(index, skip_unlabelled=options.skip_unlabelled)
    labels.check_classes()
    return matched, hashlib.blake2b(matched.tobytes(), digest_size=16).hexdigest()
