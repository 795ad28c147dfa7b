"""The alexnet job: tars of images -> an index -> shuffled images on the workers -> a trained network."""

from __future__ import annotations

import functools
import math
import os
import secrets
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from dask.utils import parse_bytes
from numpy.typing import NDArray

from jobs.alexnet.demo import bucket
from jobs.alexnet.group.loading import Loading
from jobs.alexnet.group.serial import SerialLoading
from jobs.alexnet.group.worker import ImagesPlugin
from jobs.alexnet.identity import check_identity, chosen_by, content_of, settings_of
from jobs.alexnet.images import Decoder
from jobs.alexnet.indexing import check_paths, find_class_names, find_labels, kept_index, make_index, storage_of
from jobs.alexnet.network import create_model
from jobs.alexnet.options import ENDLESS, Options
from jobs.alexnet.partitions.held import Images
from jobs.alexnet.partitions.layout import Layout
from jobs.alexnet.partitions.reader import TarReader
from jobs.alexnet.partitions.rows import ImageRows
from jobs.alexnet.partitions.source import Source
from jobs.alexnet.shape import Shape, shape_of
from jobs.alexnet.shuffle.plan import distances
from jobs.alexnet.tars import Index
from jobs.errors import DataError, argument
from jobs.formatting import plural
from jobs.runs.attempt import Attempt, attempt_on
from jobs.train.attempt import Subject, connected, is_its, train
from jobs.train.data.open import Data
from jobs.train.data.order import Order
from jobs.train.monitor import Monitor
from jobs.train.outcome import Advice
from jobs.usercode import UserCode

if TYPE_CHECKING:
    from distributed import Client

MEMORY_SHARE = 0.5
"""Of a worker's memory, for images."""
SHOWN_SECONDS = 1.0
"""Period of progress while images are loaded and shuffled."""
ADVICE = Advice(
    "--minibatch",
    "more memory for images (--memory, or more workers), so that fewer of them lie in files, or one core more for each "
    "worker than it computes on, is faster",
)
NAMED = 20
"""How many bad images the result names."""


def run(options: Options) -> dict[str, Any]:
    """Run the job on its run folder until it ends, and return what is in result.json.

    Raises:
        JobError: the run failed or was stopped; the error is in the run folder too.
    """
    options = _demo(options) if options.demo else options
    with attempt_on("alexnet", options) as attempt:
        asked = options.model_copy(update={"epochs": options.epochs or ENDLESS})
        if (ended := attempt.ended(lambda result: is_its(asked, attempt.folder, result, chosen_by(asked)))) is not None:
            return ended
        if options.demo:
            attempt.stack.enter_context(bucket.served())
        return _attempt(asked, attempt)


def _demo(options: Options) -> Options:
    """Return the options with those of the demo where nothing is said: the run folder keeps what is trained with."""
    if options.workers is None and not os.environ.get("DASK_SCHEDULER_ADDRESS"):
        options = options.model_copy(update={"workers": bucket.WORKERS if options.parts != 1 else 1})
    small = {name: value for name, value in bucket.SMALL.items() if name not in options.model_fields_set}
    return options.model_copy(update=small)


def _attempt(options: Options, attempt: Attempt) -> dict[str, Any]:
    """Run one attempt: index, load, shuffle, train."""
    folder, chosen = attempt.folder, chosen_by(options)
    monitor = attempt.show(Monitor(folder, batches=True))
    check_paths(options)
    attempt.check_data()
    # What was given before all else, all before the folder is claimed: that ends the result of a run that has ended.
    check_identity(folder, chosen | settings_of(options))
    client = connected(options, attempt, "jobs.keras.preload", "jobs.alexnet.job")
    shape = shape_of(options, attempt, client)
    check_identity(folder, shape.identity)
    found = None
    if (index := kept_index(options, folder.storage)) is not None:
        found = find_labels(options, index)
        check_identity(folder, content_of(index, found[1]))
    attempt.start(identity=chosen | settings_of(options))
    if index is None or found is None:
        monitor.doing("indexing the tars")
        index = make_index(options, attempt, client)
        found = find_labels(options, index)
    labels, digest = found
    shape.check(int(np.count_nonzero(labels >= 0)), options.validation)  # before hours of loading
    images = _images(options, index, labels, client)
    loading = attempt.stack.enter_context(closing(make_loading(options, attempt, client, images, index)))
    rate = options.rate(shape.parts * shape.minibatch)
    notes = {"images": _prepare(options, shape, index, labels, loading, monitor=monitor), "learning_rate": rate}
    identity = {**chosen, **content_of(index, digest)}
    rows = ImageRows(images.key, loading.layout, options.shuffle_rounds, " ".join(identity.values()))
    subject = _subject(options, shape, rows, int(labels.max()) + 1)
    return train(options, attempt, subject, identity, client=client, monitor=monitor, notes=notes)


def _images(options: Options, index: Index, labels: NDArray[np.int32], client: Client | None) -> Images:
    """Return what each process needs to hold images."""
    if options.memory is not None:
        memory = float(parse_bytes(options.memory))
    else:
        workers = client.scheduler_info(n_workers=-1)["workers"].values() if client else ()
        limits = [worker["memory_limit"] or math.inf for worker in workers] or [psutil.virtual_memory().total]
        memory = MEMORY_SHARE * min(limits)
    decoder = functools.partial(Decoder, options.resize)
    source = Source(TarReader(index, storage_of(options)), decoder, options.side)
    return Images(f"images-{secrets.token_hex(8)}", source, labels, memory)


def make_loading(
    options: Options, attempt: Attempt, client: Client | None, images: Images, index: Index
) -> Loading | SerialLoading:
    """Return what loads and shuffles the images of an index: on the workers, or without a client in this process."""
    ends = tuple(one.stop for one in index.partitions(options.partition_images))
    layout = Layout(ends, tuple(np.flatnonzero(images.labels < 0).tolist()), options.seed)
    poll = attempt.folder.heartbeat
    if client is None:
        return SerialLoading(images, layout, poll=poll)
    return Loading(
        client,
        ImagesPlugin(images),
        layout,
        packed=index.packed(options.partition_images),
        workers_timeout=options.workers_timeout,
        step_timeout=options.step_timeout,
        poll=poll,
    )


def _prepare(
    options: Options,
    shape: Shape,
    index: Index,
    labels: NDArray[np.int32],
    loading: Loading | SerialLoading,
    *,
    monitor: Monitor,
) -> dict[str, Any]:
    """Load and shuffle, and return what the result says of it.

    Raises:
        DataError: too many images are unreadable.
        InputError: too few are left.
    """
    began = shown = time.monotonic()

    def progress(what: str, done: int, of: int) -> None:
        nonlocal shown
        if done == of or time.monotonic() - shown >= SHOWN_SECONDS:
            shown = time.monotonic()
            monitor.doing(f"{what}: {done:,} of {of:,}")

    loading.load(progress)
    loaded = time.monotonic()
    _check_bad(options, index, loading.bad)
    shape.check(sum(loading.layout.counts), options.validation)
    loading.shuffle(options.shuffle_rounds, progress)
    shuffled = time.monotonic()
    layout = loading.layout
    kept = np.delete(labels, layout.bad)
    return {
        "count": int(sum(layout.counts)),
        "classes": int(labels.max()) + 1,
        "class_names": find_class_names(options, index, labels),
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


def _subject(options: Options, shape: Shape, rows: ImageRows, classes: int) -> Subject:
    parts, minibatch = shape.parts, shape.minibatch
    order = Order(rows.rows, parts, parts * minibatch, options.seed, 3 * options.side**2, options.validation)
    model = functools.partial(
        create_model,
        classes,
        options.width,
        options.image_size,
        options.side,
        init_scale=options.init_scale,
        learning_rate=options.rate(parts * minibatch),
        drop_steps=options.drop_epochs * order.steps or None,
        plain_sgd=options.plain_sgd,
    )
    return Subject(
        UserCode("model", model, "my_model:create_model"),
        Data("data", rows),
        options.validation or None,
        minibatch=minibatch,
        advice=ADVICE,
    )
