"""A shuffle of images by this project's partitions, on two workers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator
from typing import Any

import numpy as np

from benchmarks.alexnet.peers.numbered import Numbered, decoder, imported, numbers_of
from benchmarks.alexnet.peers.phases import PARTITION, serve
from jobs import connect
from jobs.alexnet.group.loading import Loading
from jobs.alexnet.group.worker import ImagesPlugin
from jobs.alexnet.partitions.held import Images
from jobs.alexnet.partitions.layout import Layout
from jobs.alexnet.partitions.source import Source

KEY, ROUNDS = "images-benchmark", 5


def phases(images: int, side: int) -> Generator[dict[str, Any]]:
    """Load, and shuffle once."""
    with connect(workers=2) as client:
        client.run(imported)
        yield {}
        plugin = ImagesPlugin(Images(KEY, Source(Numbered(), decoder, side), np.zeros(images, np.int32), float("inf")))
        layout = Layout((*range(PARTITION, images, PARTITION), images))
        with contextlib.closing(Loading(client, plugin, layout)) as loading:
            loading.load(lambda *_: None)
            yield {}
            began = time.perf_counter()
            loading.shuffle(ROUNDS, lambda *_: None)
            seconds = time.perf_counter() - began
            found = client.run(numbers_of, KEY)
            if sorted(number for there in found.values() for number in there) != list(range(images)):
                raise ArithmeticError("an image was lost or doubled")
            yield {"seconds": seconds}


if __name__ == "__main__":
    serve(phases)
