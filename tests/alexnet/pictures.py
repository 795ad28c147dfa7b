"""Images of known content in any format, for the tests of alexnet."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

RED, GREEN, BLUE, WHITE = (220, 30, 30), (30, 200, 40), (30, 40, 210), (255, 255, 255)
ORIENTATION = 0x0112


def quarters(width: int = 120, height: int = 80) -> Image.Image:
    """Return an image whose upper left quarter is red, the upper right green, the lower left blue, the last white."""
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2], pixels[: height // 2, width // 2 :] = RED, GREEN
    pixels[height // 2 :, : width // 2], pixels[height // 2 :, width // 2 :] = BLUE, WHITE
    return Image.fromarray(pixels)


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    """Return an image's file; a JPEG without loss of colours at edges."""
    file = io.BytesIO()
    if kind == "JPEG":
        options = {"quality": 95, "subsampling": 0} | options
    image.save(file, kind, **options)
    return file.getvalue()


def turned(image: Image.Image, orientation: int, kind: str = "JPEG") -> bytes:
    """Return a file with an EXIF orientation; its pixels are those given."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encoded(image, kind, exif=exif)


def corners(pixels: np.ndarray) -> list[tuple[int, ...]]:
    """Return the colours in the middles of the quarters: upper left and right, lower left and right."""
    quarter = len(pixels) // 4
    places = [(quarter, quarter), (quarter, -quarter), (-quarter, quarter), (-quarter, -quarter)]
    return [tuple(int(value) for value in pixels[place]) for place in places]


def near(found: list[tuple[int, ...]], wanted: list[tuple[int, ...]], tolerance: int = 12) -> bool:
    """Return whether colours are equal but for the losses of a format."""
    return int(np.abs(np.array(found) - np.array(wanted)).max()) <= tolerance


def photo(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Return (height, width, 3) uint8 with details of all sizes, as a photograph has them."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    frequency[0, 0] = 1
    planes = [np.fft.ifft2(np.fft.fft2(rng.normal(size=(height, width))) / frequency).real for _ in range(3)]
    return np.stack([(128 + 45 * plane / plane.std()).clip(0, 255) for plane in planes], axis=-1).astype(np.uint8)
