"""The index of a run's images, and their labels: made once, then read from the run folder."""

from __future__ import annotations

import functools
import hashlib
from asyncio import CancelledError
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from distributed.scheduler import KilledWorker
from numpy.typing import NDArray

from jobs.alexnet.labels import read_labels
from jobs.alexnet.options import Options
from jobs.alexnet.tars import Index, build_index, load_index, save_index
from jobs.alexnet.tars.scanning import Scan, Span, scan
from jobs.cluster.polling import run_polling
from jobs.errors import ClusterError, InputError, argument
from jobs.formatting import error_line
from jobs.runs.attempt import Attempt
from jobs.storage import Access, Storage, open_storage

if TYPE_CHECKING:
    from distributed import Client


def storage_of(options: Options) -> Storage:
    """Return the storage of the tars."""
    if options.data is not None:
        return open_storage(options.data)
    return open_storage(f"s3://{options.s3_bucket}", Access(options.endpoint_url or "", options.anonymous))


def find_index(options: Options, attempt: Attempt, client: Client | None, doing: Callable[[str], None]) -> Index:
    """Return the index from the run folder, or make it, on the workers if there are any.

    Raises:
        InputError, DataError: there are no tars, they cannot be used, or the folder has the index of others.
        ClusterError: a storage cannot be reached, or workers were lost again and again.
    """
    storage, folder = storage_of(options), attempt.folder
    if (index := load_index(folder.storage)) is not None:
        if index.prefix != options.prefix or (options.data is None and index.url != storage.url):
            raise InputError(
                f"{folder.url} has the index of {index.url}/{index.prefix}, not of {storage.url}/{options.prefix}: "
                f"choose another {argument('run')}"
            )
        return replace(index, url=storage.url)
    doing("indexing the tars")
    scans = functools.partial(_on_workers, client, folder.heartbeat, storage) if client else None
    index = build_index(storage, options.prefix, scans)
    save_index(folder.storage, index)
    return index


def _on_workers(client: Client, poll: Callable[[], None], storage: Storage, spans: list[Span]) -> Iterable[Scan]:
    # As tasks: Dask retries those of a worker that is lost, and a task may be computed twice.
    futures = client.map(functools.partial(scan, storage), spans, pure=False)

    async def gathered() -> list[Scan]:
        return await client.gather(futures, asynchronous=True)  # type: ignore[no-any-return]  # untyped here

    try:
        return run_polling(client, gathered(), poll)
    except (CancelledError, KilledWorker) as error:
        raise ClusterError(f"the tars were not indexed: {error_line(error)}; give the same command again") from error
    finally:
        for future in futures:
            future.release()


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
