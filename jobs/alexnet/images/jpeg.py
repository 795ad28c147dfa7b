"""JPEG: pixels by libjpeg-turbo, at a reduced size where that is enough."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.alexnet.images.bad import BadImageError, check_pixels
from jobs.alexnet.images.libraries import import_decoders
from jobs.alexnet.images.orientation import PREFIX, orientation
from jobs.formatting import one_line

Pixels = NDArray[np.uint8]
MAGIC = b"\xff\xd8\xff"
_FILL, _SCAN, _EXIF, _ADOBE = 0xFF, 0xDA, 0xE1, 0xEE


class JpegDecoder:
    """Decodes JPEGs one after the other into one buffer, which each call overwrites.

    Dask starts workers with a setting by which freed memory goes back to the kernel: a new array for each image, mapped
    and zeroed page by page, was measured to take a fifth of the time.
    """

    def __init__(self) -> None:
        self._buffer = np.empty(0, np.uint8)

    def decode(self, data: bytes, size: int) -> tuple[Pixels, int]:
        """Return pixels (rows, columns, 3) RGB as they are stored, and their EXIF orientation.

        Args:
            data: the file.
            size: what both sides are to become at most: they are halved in decoding, up to three times, as long as
                neither gets smaller. Other reductions, by 5/8 say, were measured to be slower and have more aliasing.

        Raises:
            BadImageError: it is too large or damaged. What libjpeg only warns of is damage too: after the warning's
                place, pixels are often grey.
        """
        _, simplejpeg = import_decoders()
        try:
            height, width, space, _ = _header(simplejpeg, data)
            check_pixels(height, width)
            cmyk = space in ("CMYK", "YCCK")
            halved = next(factor for factor in (8, 4, 2, 1) if min(height, width) >= factor * size or factor == 1)
            pixels = simplejpeg.decode_jpeg(
                data,
                "CMYK" if cmyk else "RGB",
                min_height=-(-height // halved),
                min_width=-(-width // halved),
                buffer=self._room(height * width * (4 if cmyk else 3)),
            )
        except ValueError as error:
            raise BadImageError(f"is a damaged JPEG: {one_line(error)}") from error
        found = dict(_segments(data))
        return _rgb(pixels, inverted=_ADOBE in found) if cmyk else pixels, orientation(found.get(_EXIF, b""))

    def _room(self, count: int) -> Pixels:
        if count > len(self._buffer):
            self._buffer = np.empty(count, np.uint8)
        return self._buffer


def _header(simplejpeg: Any, data: bytes) -> Any:
    """Return height, width, colour space and subsampling of a JPEG's header.

    Raises:
        ValueError: it is damaged.
    """
    try:
        return simplejpeg.decode_jpeg_header(data)
    except KeyError as error:  # of its tables: of two components, say, which no colour space has
        raise ValueError("its colour space or subsampling is unknown") from error


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (marker, content) of EXIF's and Adobe's segments."""
    at = 2
    while at + 4 <= len(data) and data[at] == _FILL and data[at + 1] != _SCAN:
        kind, end = data[at + 1], at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if kind == _FILL:
            at += 1
            continue
        content = data[at + 4 : end]
        if (kind == _EXIF and content.startswith(PREFIX)) or (kind == _ADOBE and content.startswith(b"Adobe")):
            yield kind, content
        at = end


def _rgb(cmyk: Any, *, inverted: bool) -> Pixels:
    """Return CMYK (rows, columns, 4) as RGB; Adobe's programs, hence nearly all, store it inverted."""
    light = (cmyk if inverted else 255 - cmyk).astype(np.uint16)
    rgb: Pixels = (light[..., :3] * light[..., 3:] // 255).astype(np.uint8)
    return rgb
