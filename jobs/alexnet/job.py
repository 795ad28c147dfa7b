"""The alexnet job: tars of images -> an index -> shuffled images on the workers -> a trained network."""

from __future__ import annotations

import functools
import secrets
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from dask.utils import parse_bytes
from numpy.typing import NDArray

from jobs.alexnet.group.loading import Loading
from jobs.alexnet.group.serial import SerialLoading
from jobs.alexnet.group.worker import ImagesPlugin
from jobs.alexnet.images.decode import decode
from jobs.alexnet.partitions.layout import Layout
from jobs.alexnet.images.libraries import decoder_version
from jobs.alexnet.partitions.reader import TarReader
from jobs.alexnet.partitions.rows import ImageRows
from jobs.alexnet.partitions.source import Source
from jobs.alexnet.indexing import find_index, find_labels
from jobs.alexnet.network import create_model
from jobs.alexnet.options import ENDLESS, Options
from jobs.alexnet.shuffle.plan import distances
from jobs.alexnet.tars import Index
from jobs.errors import DataError, InputError, argument
from jobs.formatting import plural
from jobs.runs.attempt import Attempt, attempt_on
from jobs.train.attempt import Subject, is_its, resolved_parts, train
from jobs.train.data.open import Data
from jobs.train.data.order import Order
from jobs.train.monitor import Monitor
from jobs.usercode import UserCode

if TYPE_CHECKING:
    from distributed import Client

CPU_IMAGES, GPU_IMAGES = 20, 128
"""Images of a part of a step where nothing is said."""
MEMORY_SHARE = 0.5
"""Of a worker's memory, for images."""
NAMED = 20
"""How many bad images the result names."""


def run(options: Options) -> dict[str, Any]:
    """Run the job on its run folder until it ends, and return what is in result.json.

    Raises:
        JobError: the run failed or was stopped; the error is in the run folder too.
    """
    with attempt_on("alexnet", options) as attempt:
        asked = options.model_copy(update={"epochs": options.epochs or ENDLESS})
        ended = attempt.ended(lambda result: is_its(asked, attempt.folder, result, {}))
        return ended or _attempt(asked, attempt)


def _attempt(options: Options, attempt: Attempt) -> dict[str, Any]:
    """Run one attempt: index, load, shuffle, train."""
    folder = attempt.folder
    monitor = attempt.show(Monitor(folder))
    attempt.check_data()
    client = attempt.connect() if options.workers != 0 else None
    attempt.start()
    index = find_index(options, folder.storage, client, monitor.doing)
    labels, digest = find_labels(options, index)
    layout = _layout(options, index, labels)
    key = f"images-{secrets.token_hex(8)}"
    loading = _loading(options, attempt, client, key, Source(TarReader(index), _decoder(options), options.side), labels, layout)
    attempt.stack.callback(loading.close)
    images = _prepare(options, index, labels, loading, monitor)
    identity = {"images": index.digest, "labels": digest, "decoder": decoder_version()}
    rows = ImageRows(key, loading.layout, options.shuffle_rounds, " ".join(identity.values()))
    subject = _subject(options, attempt, client, rows, int(labels.max()) + 1)
    return train(options, attempt, subject, identity, client=client, monitor=monitor, notes={"images": images})


def _decoder(options: Options) -> Any:
    return functools.partial(decode, size=options.side, resize=options.resize)


def _layout(options: Options, index: Index, labels: NDArray[np.int32]) -> Layout:
    ends = tuple(one.stop for one in index.partitions(options.partition_images))
    return Layout(ends, tuple(np.flatnonzero(labels < 0).tolist()), options.seed)


def _loading(
    options: Options,
    attempt: Attempt,
    client: Client | None,
    key: str,
    source: Source,
    labels: NDArray[np.int32],
    layout: Layout,
) -> Loading | SerialLoading:
    poll = attempt.folder.poll
    if client is None:
        return SerialLoading(key, source, labels, _memory(options, 0), layout, poll=poll)
    limits = [worker["memory_limit"] for worker in client.scheduler_info(n_workers=-1)["workers"].values()]
    plugin = ImagesPlugin(key, source, labels, _memory(options, min(limits, default=0)))
    return Loading(client, plugin, layout, workers_timeout=options.workers_timeout, poll=poll)


def _memory(options: Options, limit: int) -> float:
    if options.memory is not None:
        return float(parse_bytes(options.memory))
    return MEMORY_SHARE * limit if limit else float("inf")


def _prepare(
    options: Options, index: Index, labels: NDArray[np.int32], loading: Loading | SerialLoading, monitor: Monitor
) -> dict[str, Any]:
    """Load and shuffle, and return what the result says of it.

    Raises:
        DataError: too many images are unreadable.
    """

    def progress(what: str, done: int, of: int) -> None:
        monitor.doing(f"{what}: {done:,} of {of:,}")

    began = time.monotonic()
    loading.load(progress)
    loaded = time.monotonic()
    _check_bad(options, index, loading.bad)
    loading.shuffle(options.shuffle_rounds, progress)
    shuffled = time.monotonic()
    layout = loading.layout
    kept = np.delete(labels, layout.bad)
    return {
        "count": int(sum(layout.counts)),
        "classes": int(labels.max()) + 1,
        "partitions": len(layout.ends),
        "bad": [[index.address(one), why] for one, why in sorted(loading.bad.items())[:NAMED]],
        "bad_count": len(loading.bad),
        "others": index.others,
        "load_seconds": loaded - began,
        "shuffle_seconds": shuffled - loaded,
        "distances": distances(layout.seed, layout.counts, options.shuffle_rounds, kept),
    }


def _check_bad(options: Options, index: Index, bad: dict[int, str]) -> None:
    if len(bad) > options.max_bad * len(index):
        first = min(bad)
        raise DataError(
            f"{plural(len(bad), 'image')} of {len(index):,} cannot be read, more than {argument('max_bad')} "
            f"{options.max_bad:g} allows; the first is {index.address(first)}: {bad[first]}"
        )


def _subject(options: Options, attempt: Attempt, client: Client | None, rows: ImageRows, classes: int) -> Subject:
    workers = client.scheduler_info(n_workers=-1)["workers"].values() if client else []
    gpus = bool(workers) and all(worker["resources"].get("GPU", 0) for worker in workers)
    minibatch = options.minibatch or (GPU_IMAGES if gpus else CPU_IMAGES)
    parts = resolved_parts(options, attempt.folder, len(workers))
    if rows.rows * (1 - options.validation) < parts * minibatch:
        raise InputError(
            f"there are {plural(rows.rows, 'image')}, fewer than a step of {parts} parts with {argument('minibatch')} "
            f"{minibatch} needs beside {argument('validation')}"
        )
    order = Order(rows.rows, parts, parts * minibatch, options.seed, 3 * options.side**2, options.validation)
    model = functools.partial(
        create_model,
        classes,
        options.width,
        options.image_size,
        options.side,
        init_scale=options.init_scale,
        learning_rate=options.learning_rate,
        drop_steps=options.drop_epochs * order.steps or None,
        plain_sgd=options.plain_sgd,
    )
    return Subject(
        UserCode("model", model, "my_model:create_model"),
        Data("data", rows),
        options.validation or None,
        minibatch=minibatch,
    )
