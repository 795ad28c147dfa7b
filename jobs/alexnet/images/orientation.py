"""EXIF orientation: how an image has to be turned to be upright."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

TAG = 0x0112
UPRIGHT = 1
PREFIX = b"Exif\0\0"


def orientation(exif: bytes) -> int:
    """Return the orientation, 1 to 8, in EXIF data with or without their prefix; 1 where they have none or are broken.

    Args:
        exif: a TIFF header and its first directory.
    """
    tiff = exif.removeprefix(PREFIX)
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return UPRIGHT
    try:
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, start)
        entries = (struct.unpack_from(order + "HHIH", tiff, start + 2 + 12 * number) for number in range(count))
        found = next((value for tag, _, _, value in entries if tag == TAG), UPRIGHT)
    except struct.error:
        return UPRIGHT
    return found if 1 <= found <= 8 else UPRIGHT


def upright(pixels: NDArray[np.uint8], found: int) -> NDArray[np.uint8]:
    """Return an image (rows, columns, channels) as its orientation says it is to be seen; a view."""
    if found >= 5:
        pixels = pixels.swapaxes(0, 1)
    if found in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if found in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels
