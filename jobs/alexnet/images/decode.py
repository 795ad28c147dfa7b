"""An image's bytes to uint8 RGB of one size."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jobs.alexnet.images import jpeg, pillow
from jobs.alexnet.images.bad import BadImageError
from jobs.alexnet.images.libraries import import_decoders
from jobs.alexnet.images.orientation import UPRIGHT, upright

Pixels = NDArray[np.uint8]
Resize = Literal["squash", "crop"]
"""squash: both sides to the size; crop: the largest square of the image's centre to the size."""
SIZE = 256


class Decoded(NamedTuple):
    """What `decode_all` found.

    Attributes:
        images: the first rows of its `out`, (n, size, size, 3) uint8.
        kept: (n,) int64, which of the items they are.
        bad: name and reason of each item that could not be read.
    """

    images: Pixels
    kept: NDArray[np.int64]
    bad: list[tuple[str, str]]


def decode(data: bytes, size: int = SIZE, resize: Resize = "squash") -> Pixels:
    """Return an image as (size, size, 3) uint8 RGB, upright by its EXIF orientation.

    Its first bytes decide what it is: JPEG, PNG, GIF and WebP (the first frame), or BMP. Transparent pixels lie on
    white. A JPEG is decoded at a half, quarter or eighth of its size where both sides stay large enough. Sides that
    then shrink by up to 2 are interpolated linearly, which reads every pixel; larger ones are averaged by area.

    Raises:
        BadImageError: it is none of these, damaged, cut short, or has more than 50 million pixels.
        InputError: OpenCV or simplejpeg is missing.
    """
    out = np.empty((size, size, 3), np.uint8)
    Decoder(resize)(data, out)
    return out


class Decoder:
    """Decodes images one after the other, as `decode`, with one buffer for all; for one thread.

    Args:
        resize: as of `decode`.
    """

    def __init__(self, resize: Resize = "squash") -> None:
        self._resize, self._jpeg = resize, jpeg.JpegDecoder()

    def __call__(self, data: bytes, out: Pixels) -> None:
        """Decode an image into (size, size, 3) uint8.

        Raises:
            BadImageError: it cannot be read.
            InputError: OpenCV or simplejpeg is missing.
        """
        pixels, orientation = _pixels(data, len(out), self._jpeg)
        if self._resize == "crop":
            pixels = _centre(pixels)
        cv2, _ = import_decoders()
        far = max(pixels.shape[:2]) > 2 * len(out)
        cv2.resize(pixels, out.shape[:2], dst=out, interpolation=cv2.INTER_AREA if far else cv2.INTER_LINEAR)
        if orientation != UPRIGHT:
            out[:] = upright(out, orientation)


def decode_all(items: Iterable[tuple[str, bytes]], out: NDArray[np.uint8], resize: Resize = "squash") -> Decoded:
    """Decode images one after the other into an array; one that cannot be read leaves no gap.

    Args:
        items: name and bytes of each image, which are kept no longer than for its own decoding.
        out: (at least as many as items, size, size, 3) uint8; a memory-mapped file, too.
        resize: as of `decode`.

    Raises:
        InputError: OpenCV or simplejpeg is missing.
        IndexError: there are more images than out has room for.
    """
    decoder, rows = Decoder(resize), np.asarray(out)  # OpenCV does not write into NumPy's memmap class
    kept: list[int] = []
    bad: list[tuple[str, str]] = []
    for number, (name, data) in enumerate(items):
        try:
            decoder(data, rows[len(kept)])
        except BadImageError as error:
            bad.append((name, str(error)))
        else:
            kept.append(number)
    return Decoded(out[: len(kept)], np.array(kept, np.int64), bad)


def _pixels(data: bytes, size: int, decoder: jpeg.JpegDecoder) -> tuple[Pixels, int]:
    if data.startswith(jpeg.MAGIC):
        return decoder.decode(data, size)
    if (other := pillow.decoder_of(data)) is not None:
        return pillow.decode(data, other)
    begins = f"begins with {bytes(data[:8])!r}" if data else "is empty"
    raise BadImageError(f"is no JPEG, PNG, GIF, WebP or BMP: it {begins}")


def _centre(pixels: Any) -> Pixels:
    """Return the largest square of the centre, a view."""
    height, width, _ = pixels.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]  # type: ignore[no-any-return]
