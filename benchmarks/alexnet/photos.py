"""Generated photographs as JPEGs, and tars of them."""

from __future__ import annotations

import io
import itertools
import tarfile
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from jobs.alexnet.images.libraries import import_decoders

DIFFERENT = 8
"""How many photographs differ: they take longer to generate than to decode."""


def photos(width: int, height: int) -> list[bytes]:
    """Return `DIFFERENT` JPEGs of quality 90 with colours at half the resolution, as large as photographs' are."""
    _, simplejpeg = import_decoders()
    return [simplejpeg.encode_jpeg(_photo(seed, width, height), 90, "RGB", "420") for seed in range(DIFFERENT)]


def tar(jpegs: Sequence[bytes], count: int, first: int = 0) -> bytes:
    """Return a tar of images first to first + count - 1, named by their numbers, whose contents take turns."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for number, data in zip(range(first, first + count), itertools.cycle(jpegs), strict=False):
            member = tarfile.TarInfo(f"{number}.JPEG")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def _photo(seed: int, width: int, height: int) -> NDArray[np.uint8]:
    """Return an image (height, width, 3) with details of all sizes."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    frequency[0, 0] = 1
    planes = [np.fft.ifft2(np.fft.fft2(rng.normal(size=(height, width))) / frequency).real for _ in range(3)]
    planes = [plane / plane.std() for plane in planes]
    coloured = [128 + 45 * (0.8 * planes[0] + 0.2 * plane) for plane in planes]
    return np.ascontiguousarray(np.stack(coloured, axis=-1).clip(0, 255).astype(np.uint8))
