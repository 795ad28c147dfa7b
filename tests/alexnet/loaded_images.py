"""Numbered images on the workers of a cluster: loading them, and looking at what they have."""

from __future__ import annotations

from typing import Any

import numpy as np
from distributed import Client
from numbered_images import SIDE, Numbered, decoder, numbers_of

from jobs.alexnet.group.loading import Loading
from jobs.alexnet.group.worker import ImagesPlugin
from jobs.alexnet.partitions.held import Images
from jobs.alexnet.partitions.layout import Layout
from jobs.alexnet.partitions.rows import ImageRows
from jobs.alexnet.partitions.source import Source

ENDS = (*range(40, 400, 40), 397)
LAYOUT = Layout(ENDS, seed=3)
LABELS = np.arange(400, dtype=np.int32) % 7


def loading_of(
    client: Client,
    reader: Any = None,
    memory: float = 1e9,
    layout: Layout = LAYOUT,
    make: Any = decoder,
    **options: Any,
) -> Loading:
    """Return the loading of numbered images by the workers of a client."""
    source = Source(reader or Numbered(), make, SIDE)
    return Loading(client, ImagesPlugin(Images("images-test", source, LABELS, memory)), layout, **options)


def all_of(client: Client, loading: Loading, rounds: int) -> list[int]:
    """Return the images of all partitions in order, each read on the worker that has it, in place."""
    rows = ImageRows("images-test", loading.layout, rounds, "")
    ends = np.cumsum([0, *loading.layout.counts])
    found = []
    for number, address in sorted(loading.owners.items()):
        images, labels = client.submit(
            rows.read, ends[number], ends[number + 1], workers=[address], pure=False
        ).result()
        found += numbers_of(images)
        assert labels.tolist() == [LABELS[one] for one in numbers_of(images)]
    return found
