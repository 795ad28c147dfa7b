"""From tars in S3 to decoded images on two workers, beside the classic structure."""

from __future__ import annotations

import contextlib
import functools
import secrets
import statistics
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
from distributed import Client, wait

from benchmarks.alexnet.clock import Spent, clock
from benchmarks.alexnet.peers import classic_loading
from benchmarks.alexnet.photos import DIFFERENT, photos, tar
from benchmarks.alexnet.s3_server import served
from benchmarks.processes import wait_until_quiet
from benchmarks.report import Table, Target, spread
from jobs import connect
from jobs.alexnet.group.loading import Loading
from jobs.alexnet.group.worker import ImagesPlugin
from jobs.alexnet.images import SIZE, Decoder
from jobs.alexnet.partitions.held import Images
from jobs.alexnet.partitions.layout import Layout
from jobs.alexnet.partitions.reader import TarReader
from jobs.alexnet.partitions.source import Source
from jobs.alexnet.tars import Scan, Span, build_index, scan
from jobs.storage import Storage, open_storage

BUCKET = "benchmark"
OURS = "ours: index, then ranges, on 2 workers"
TASKS = "classic: a Dask task per tar, on the same workers"
ONE = "classic: the same function in one process"
TEXT = """\
From {tars} tars of together {images:,} JPEGs of {width} x {height} pixels ({different} different ones, {megabytes:.0f}
MB) in an S3 server on this machine ({server}, in a process of its own) to uint8 images of {size} x {size} x 3 that stay
on the workers, one thread each; {rounds} rounds in which all take their turns, after one that warms up. Ours lists,
indexes on the workers, and reads by ranges. The classic structure lists, and reads whole tars by boto3 to decode and
resize them by Pillow. CPU is that of driver, scheduler and workers, without the server's."""
TASKS_RATIO, ONE_RATIO = 2.0, 3.0


@dataclass(frozen=True)
class Extent:
    """How much is measured.

    Attributes:
        tars: number of them.
        images: of one tar.
        size: width and height of the images.
        rounds: turns of each.
        patience: seconds that a turn waits for other programs to rest.
    """

    tars: int = 12
    images: int = 100
    size: tuple[int, int] = (500, 375)
    rounds: int = 5
    patience: float = 2.0


QUICK = Extent(tars=2, images=4, rounds=1, patience=0.0)
Way = Callable[[], AbstractContextManager[int]]
"""Loads all images, whose number the context has, and frees them at its end."""


def run(extent: Extent) -> Table:
    """Measure."""
    jpegs = photos(*extent.size)
    with tempfile.TemporaryDirectory() as folder, served(folder) as server:
        storage = _filled(extent, jpegs)
        with connect(workers=2) as client:
            ways: dict[str, Way] = {
                OURS: functools.partial(_ours, client, storage),
                TASKS: functools.partial(_tasks, client),
                ONE: _one,
            }
            taken = _turns(extent, client, ways)
    text = TEXT.format(
        tars=extent.tars,
        images=extent.tars * extent.images,
        width=extent.size[0],
        height=extent.size[1],
        different=DIFFERENT,
        megabytes=extent.tars * extent.images * statistics.mean(map(len, jpegs)) / 1e6,
        server=server,
        size=SIZE,
        rounds=extent.rounds,
    )
    return _table(extent.tars * extent.images, text, taken)


def _filled(extent: Extent, jpegs: list[bytes]) -> Storage:
    """Return the bucket with all tars."""
    import boto3

    boto3.client("s3").create_bucket(Bucket=BUCKET)
    storage = open_storage(f"s3://{BUCKET}")
    for number in range(extent.tars):
        storage.write(f"{number:03}.tar", tar(jpegs, extent.images, number * extent.images))
    return storage


def _turns(extent: Extent, client: Client, ways: Mapping[str, Way]) -> dict[str, list[Spent]]:
    taken: dict[str, list[Spent]] = {name: [] for name in ways}
    for turn in range(extent.rounds + 1):
        for name, way in ways.items():
            wait_until_quiet(extent.patience)
            with contextlib.ExitStack() as stack:
                with clock(client) as spent:
                    images = stack.enter_context(way())
                if images != extent.tars * extent.images:
                    raise RuntimeError(f"{name}: {images} images")
            if turn:
                taken[name].append(spent)
    return taken


@contextlib.contextmanager
def _ours(client: Client, storage: Storage) -> Iterator[int]:
    """Load by this project's index and loading, as the job does."""

    def scans(spans: list[Span]) -> Iterable[Scan]:
        futures = client.map(functools.partial(scan, storage), spans, pure=False)
        found: list[Scan] = client.gather(futures)
        return found

    index = build_index(storage, "", scans)
    source = Source(TarReader(index, storage), Decoder, SIZE)
    images = Images(f"images-{secrets.token_hex(8)}", source, np.zeros(len(index), np.int32), float("inf"))
    layout = Layout(tuple(one.stop for one in index.partitions()))
    with contextlib.closing(Loading(client, ImagesPlugin(images), layout)) as loading:
        loading.load(lambda *_: None)
        yield sum(loading.layout.counts)


@contextlib.contextmanager
def _tasks(client: Client) -> Iterator[int]:
    futures = client.map(functools.partial(classic_loading.load, BUCKET), classic_loading.keys(BUCKET), pure=False)
    wait(futures)
    yield sum(client.gather(client.map(len, futures, pure=False)))


@contextlib.contextmanager
def _one() -> Iterator[int]:
    tars = [classic_loading.load(BUCKET, key) for key in classic_loading.keys(BUCKET)]
    yield sum(map(len, tars))


def _table(images: int, text: str, taken: Mapping[str, list[Spent]]) -> Table:
    rows, targets = [], []
    for name, turns in taken.items():
        rates = [images / one.seconds for one in turns]
        cpu = [1e3 * one.cpu / images for one in turns]
        rows.append((name, f"{max(rates):,.0f}", spread(rates, 0), spread(_ratios(taken, name)), spread(cpu)))
    for name, wanted in ((TASKS, TASKS_RATIO), (ONE, ONE_RATIO)):
        ratios, cpu = _ratios(taken, name), _ratios(taken, name, "cpu")
        what = f"S3 to images on 2 workers: at least {wanted:g} x the images/s of {name.partition(',')[0]}"
        targets.append(Target(what, f"{spread(ratios)}; CPU {spread(cpu)}", statistics.median(ratios) >= wanted))
    header = ("", "best images/s", "images/s", "times ours", "CPU ms an image")
    return Table("Loading from S3", text, header, rows, targets)


def _ratios(taken: Mapping[str, list[Spent]], name: str, what: str = "seconds") -> list[float]:
    """Return how many times ours another way took, of each round."""
    return [getattr(one, what) / getattr(ours, what) for one, ours in zip(taken[name], taken[OURS], strict=True)]
