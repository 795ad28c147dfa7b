"""The index of a run's images, and their labels: made once, then read from the run folder."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import logging
from asyncio import CancelledError
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from distributed.scheduler import KilledWorker
from numpy.typing import NDArray

from jobs.alexnet.class_names import RULES, by_folder, class_names, folder_labels
from jobs.alexnet.labels import no_label_file, read_labels
from jobs.alexnet.options import Options
from jobs.alexnet.tars import Index, build_index, check_names, check_unchanged, load_index, save_index
from jobs.alexnet.tars.scanning import Scan, Span, scan
from jobs.cluster.frozen import evict_frozen
from jobs.cluster.polling import run_polling
from jobs.errors import ClusterError, InputError, argument
from jobs.formatting import error_line
from jobs.runs.attempt import Attempt
from jobs.storage import Access, Storage, open_storage

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)


def storage_of(options: Options) -> Storage:
    """Return the storage of the tars."""
    if options.data is not None:
        return open_storage(options.data)
    return open_storage(f"s3://{options.s3_bucket}", Access(options.endpoint_url or "", options.anonymous))


def check_paths(options: Options) -> None:
    """Check that the folder and the label file that the options name are there, before workers are started.

    Raises:
        InputError: the folder is missing, or a file.
        DataError: the label file is missing.
    """
    if options.data is None or "://" in options.data:
        return
    folder = Path(options.data)
    if not folder.is_dir():
        what = "is a file; give the folder that it is in" if folder.exists() else "does not exist"
        raise InputError(f"{argument('data')}: the folder {options.data} {what}")
    if options.labels == "file" and not (file := Path(options.label_file)).exists():
        raise no_label_file(str(file.absolute()))


def kept_index(options: Options, run: Storage) -> Index | None:
    """Return the index in a run folder, None if there is none yet; its tars are as they were when they were indexed.

    Raises:
        InputError, DataError: it is of other tars, or one of them has changed.
        ClusterError: a storage cannot be reached.
    """
    storage = storage_of(options)
    if (index := load_index(run)) is None:
        return None
    if index.prefix != options.prefix or (options.data is None and index.url != storage.url):
        raise InputError(
            f"{run.url} has the index of {index.url}/{index.prefix}, not of {storage.url}/{options.prefix}: "
            f"choose another {argument('run')}"
        )
    check_unchanged(storage, index)
    return replace(index, url=storage.url)


def make_index(options: Options, attempt: Attempt, client: Client | None) -> Index:
    """Index the tars, on the workers if there are any, and keep the index in the run folder.

    Raises:
        InputError, DataError: there are no tars, or they cannot be used.
        ClusterError: a storage cannot be reached, or workers were lost again and again.
    """
    storage, folder = storage_of(options), attempt.folder
    scans = functools.partial(scans_on_workers, client, folder.heartbeat, options) if client else None
    index = build_index(storage, options.prefix, scans)
    save_index(folder.storage, index)
    return index


def scans_on_workers(client: Client, poll: Callable[[], None], options: Options, spans: list[Span]) -> Iterable[Scan]:
    """Return the scans of spans, made by the workers; one that does not answer for so long counts as lost.

    Raises:
        InputError, DataError: as of `scan`.
        ClusterError: the storage cannot be reached, or workers were lost again and again, or all of them for too long.
    """
    # As tasks: Dask retries those of a worker that is lost, and a task may be computed twice.
    futures = client.map(functools.partial(scan, storage_of(options)), spans, pure=False)

    async def gathered() -> list[Scan]:
        gathering = asyncio.ensure_future(client.gather(futures, asynchronous=True))
        watching = asyncio.ensure_future(evict_frozen(client, options.step_timeout, options.workers_timeout))
        try:
            await asyncio.wait([gathering, watching], return_when=asyncio.FIRST_COMPLETED)
            if not gathering.done():
                await watching  # which ends by an error alone
            return await gathering  # type: ignore[no-any-return]  # untyped here
        finally:
            watching.cancel()
            if not gathering.done():  # cancelled itself, it would leave tasks of Dask's, whose errors are logged
                await client.cancel(futures, asynchronous=True)
            await asyncio.gather(gathering, watching, return_exceptions=True)

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
    found = folder_labels(index) if options.labels == "folder" else _file_labels(options, index)
    return found, hashlib.blake2b(found.tobytes(), digest_size=16).hexdigest()


def _file_labels(options: Options, index: Index) -> NDArray[np.int32]:
    if options.data is None:
        storage, name = storage_of(options), options.label_file
    else:
        path = Path(options.label_file)
        storage, name = open_storage(str(path.parent)), path.name
    labels = read_labels(storage, name)
    check_names(index)
    matched = labels.match(index, skip_unlabelled=options.skip_unlabelled)
    labels.check_classes()
    return matched


def find_class_names(options: Options, index: Index, labels: NDArray[np.int32]) -> list[str]:
    """Return the name of each class by the names of its images, (n,) int32 of `find_labels`."""
    return class_names(index, labels, [by_folder] if options.labels == "folder" else RULES)
