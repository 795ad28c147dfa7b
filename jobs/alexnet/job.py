"""The alexnet job: tars of images -> an index -> shuffled images on the workers -> a trained network."""

from __future__ import annotations

import functools
import math
import os
import secrets
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from dask.utils import parse_bytes
from numpy.typing import NDArray

from jobs.alexnet.class_names import class_names
from jobs.alexnet.demo import bucket
from jobs.alexnet.group.loading import Loading
from jobs.alexnet.group.serial import SerialLoading
from jobs.alexnet.group.worker import ImagesPlugin
from jobs.alexnet.images import Decoder, decoder_version
from jobs.alexnet.indexing import find_index, find_labels, storage_of
from jobs.alexnet.network import create_model
from jobs.alexnet.options import ENDLESS, Options
from jobs.alexnet.partitions.held import Images
from jobs.alexnet.partitions.layout import Layout
from jobs.alexnet.partitions.reader import TarReader
from jobs.alexnet.partitions.rows import ImageRows
from jobs.alexnet.partitions.source import Source
from jobs.alexnet.shuffle.plan import distances
from jobs.alexnet.tars import Index
from jobs.errors import DataError, InputError, argument
from jobs.formatting import plural
from jobs.runs.attempt import Attempt, attempt_on
from jobs.train.attempt import Subject, check_parts, compare, connected, is_its, resolved_parts, train
from jobs.train.data.open import Data
from jobs.train.data.order import Order
from jobs.train.loop.checkpoint import Checkpoints
from jobs.train.monitor import Monitor
from jobs.train.outcome import Advice
from jobs.usercode import UserCode

if TYPE_CHECKING:
    from distributed import Client

CPU_IMAGES, GPU_IMAGES = 20, 128
"""Images of a part of a step where nothing is said."""
MEMORY_SHARE = 0.5
"""Of a worker's memory, for images."""
SHOWN_SECONDS = 1.0
"""Period of progress while images are loaded and shuffled."""
CHOSEN = ("demo", "skip_unlabelled", "resize", "partition_images", "shuffle_rounds", "width", "image_size",
          "init_scale", "learning_rate", "drop_epochs", "plain_sgd")  # fmt: skip
"""Options that decide the result, beside those of every training."""
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
    if options.demo and options.workers is None and not os.environ.get("DASK_SCHEDULER_ADDRESS"):
        options = options.model_copy(update={"workers": bucket.WORKERS if options.parts != 1 else 1})
    with attempt_on("alexnet", options) as attempt:
        asked = _asked(options)
        if (ended := attempt.ended(lambda result: is_its(asked, attempt.folder, result, _chosen(asked)))) is not None:
            return ended
        if options.demo:
            attempt.stack.enter_context(bucket.served())
        return _attempt(asked, attempt)


def _asked(options: Options) -> Options:
    """Return the options with what is meant where nothing is said."""
    small = {name: value for name, value in bucket.SMALL.items() if name not in options.model_fields_set}
    asked = options.model_copy(update=small if options.demo else {})
    return asked.model_copy(update={"epochs": asked.epochs or ENDLESS})


def _chosen(options: Options) -> dict[str, str]:
    """Return what makes the run this run before anything is read: name -> value of options."""
    source = {} if options.data is not None else {"s3_bucket": options.s3_bucket}
    return source | {"prefix": options.prefix} | {name: str(getattr(options, name)) for name in CHOSEN}


def _attempt(options: Options, attempt: Attempt) -> dict[str, Any]:
    """Run one attempt: index, load, shuffle, train."""
    folder, chosen = attempt.folder, _chosen(options)
    monitor = attempt.show(Monitor(folder, batches=True))
    attempt.check_data()
    if (manifest := Checkpoints(folder.storage).last()) is not None:
        before = manifest.progress.get("identity", {})
        compare(f"the checkpoint in {folder.url}", {name: before.get(name) for name in chosen}, chosen)
    client = connected(options, attempt, "jobs.keras.preload", "jobs.alexnet.job")
    attempt.start()
    index = find_index(options, attempt, client, monitor.doing)
    labels, digest = find_labels(options, index)
    shape = _shape(options, attempt, client)
    shape.check(int(np.count_nonzero(labels >= 0)), options.validation)  # before hours of loading
    images = _images(options, index, labels, client)
    loading = attempt.stack.enter_context(closing(make_loading(options, attempt, client, images, index)))
    notes = {"images": _prepare(options, index, labels, loading, monitor)}
    identity = {**chosen, "images": index.digest, "labels": digest, "decoder": decoder_version()}
    rows = ImageRows(images.key, loading.layout, options.shuffle_rounds, " ".join(identity.values()))
    shape.check(rows.rows, options.validation)
    subject = _subject(options, shape, rows, int(labels.max()) + 1)
    return train(options, attempt, subject, identity, client=client, monitor=monitor, notes=notes)


@dataclass(frozen=True)
class Shape:
    """The parts of a step.

    Attributes:
        parts: their number.
        minibatch: images of each.
    """

    parts: int
    minibatch: int

    def check(self, images: int, validation: float) -> None:
        """Check that there are images for a step.

        Raises:
            InputError: there are not.
        """
        if images * (1 - validation) < self.parts * self.minibatch:
            raise InputError(
                f"there are {plural(images, 'image')}, fewer than a step of {self.parts} parts with "
                f"{argument('minibatch')} {self.minibatch} needs beside {argument('validation')}"
            )


def _shape(options: Options, attempt: Attempt, client: Client | None) -> Shape:
    workers = client.scheduler_info(n_workers=-1)["workers"].values() if client else []
    gpus = bool(workers) and all(worker["resources"].get("GPU", 0) for worker in workers)
    parts = resolved_parts(options, attempt.folder, len(workers))
    check_parts(parts, len(workers))
    return Shape(parts, options.minibatch or (GPU_IMAGES if gpus else CPU_IMAGES))


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
    options: Options, index: Index, labels: NDArray[np.int32], loading: Loading | SerialLoading, monitor: Monitor
) -> dict[str, Any]:
    """Load and shuffle, and return what the result says of it.

    Raises:
        DataError: too many images are unreadable.
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
    loading.shuffle(options.shuffle_rounds, progress)
    shuffled = time.monotonic()
    layout = loading.layout
    kept = np.delete(labels, layout.bad)
    return {
        "count": int(sum(layout.counts)),
        "classes": int(labels.max()) + 1,
        "class_names": class_names(index, labels),
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
        learning_rate=options.learning_rate,
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
