"""The classic structure of loading: whole tars by boto3, then Pillow."""

from __future__ import annotations

import functools
import io
import tarfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZE = 256
Pixels = NDArray[np.uint8]
Items = Sequence[tuple[str, bytes]]


def pillow(items: Items, out: Pixels, *, draft: bool = False) -> None:
    """Decode images into (n, size, size, 3) by Pillow, in its draft mode or not."""
    from PIL import Image

    for number, (_, data) in enumerate(items):
        image = Image.open(io.BytesIO(data))
        if draft:
            image.draft("RGB", out.shape[1:3])
        out[number] = image.convert("RGB").resize(out.shape[1:3], Image.Resampling.BILINEAR)


def keys(bucket: str) -> list[str]:
    """Return the keys of a bucket's objects, of which there are fewer than 1,000."""
    return [one["Key"] for one in _client().list_objects_v2(Bucket=bucket)["Contents"]]


def load(bucket: str, key: str) -> Pixels:
    """Return the images of a tar, (n, 256, 256, 3)."""
    content = _client().get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        items = [(one.name, archive.extractfile(one).read()) for one in archive]  # type: ignore[union-attr]
    out = np.empty((len(items), SIZE, SIZE, 3), np.uint8)
    pillow(items, out)
    return out


@functools.cache
def _client() -> Any:
    import boto3

    return boto3.client("s3")
