"""PNG, GIF, WebP and BMP, by Pillow."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.alexnet.images.bad import BadImageError, check_pixels
from jobs.alexnet.images.orientation import orientation
from jobs.formatting import error_line

Pixels = NDArray[np.uint8]


def decoder_of(data: bytes) -> Callable[[Any], Any] | None:
    """Return Pillow's class for an image of one of these formats, by its first bytes; None for any other."""
    from PIL import BmpImagePlugin, GifImagePlugin, PngImagePlugin, WebPImagePlugin

    found: Any = None
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        found = PngImagePlugin.PngImageFile
    elif data.startswith((b"GIF87a", b"GIF89a")):
        found = GifImagePlugin.GifImageFile
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        found = WebPImagePlugin.WebPImageFile
    elif data.startswith(b"BM"):
        found = BmpImagePlugin.BmpImageFile
    return found  # type: ignore[no-any-return]


def decode(data: bytes, decoder: Callable[[Any], Any]) -> tuple[Pixels, int]:
    """Return pixels (rows, columns, 3) RGB as they are stored, and their EXIF orientation; of several frames the first.

    Raises:
        BadImageError: it is too large or damaged.
    """
    try:
        if data.startswith(b"RIFF"):  # Pillow makes room for a WebP's pixels as soon as it is opened
            check_pixels(*_webp_size(data))
        # Not Image.open, which has a limit of its own and warns below it.
        with decoder(io.BytesIO(data)) as image:
            check_pixels(image.height, image.width)
            image.load()
            return _rgb(image), orientation(image.info.get("exif") or b"")
    except (BadImageError, MemoryError):
        raise
    except Exception as error:  # Pillow's decoders raise whatever broken bytes lead to
        raise BadImageError(f"is damaged: {error_line(error)}") from error


def _webp_size(data: bytes) -> tuple[int, int]:
    """Return (height, width) of a WebP's header: lossless, extended or lossy."""
    if data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if data[12:16] == b"VP8X":
        return int.from_bytes(data[27:30], "little") + 1, int.from_bytes(data[24:27], "little") + 1
    return int.from_bytes(data[28:30], "little") & 0x3FFF, int.from_bytes(data[26:28], "little") & 0x3FFF


def _rgb(image: Any) -> Pixels:
    """Return an image of any of Pillow's modes as RGB: transparent pixels on white, of 16 bits the upper 8."""
    from PIL import Image

    if image.mode.startswith("I"):
        grey = (np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        return np.asarray(white)
    return np.asarray(image.convert("RGB"))
