"""Generated images of classes that can be learned: coloured shapes and textures on noise, a few in odd formats."""

from __future__ import annotations

import colorsys
import io
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

CLASS_NAMES = ("disc", "square", "triangle", "ring", "cross", "stripes", "checks", "dots")
"""Names of the classes; a data set of n classes has the first n."""
SIDES = (72, 160)
"""Shortest and longest side in pixels."""
ODD = ("PNG", "GIF", "WEBP", "BMP", "CMYK", "GREY", "TURNED")
"""What every ODD_EVERY-th image is in turn, under the name of a JPEG like all others: the formats, a JPEG in CMYK or
grey, and one on its side whose EXIF orientation says so."""
ODD_EVERY = 20
ORIENTATION, QUARTER_LEFT = 0x0112, 6
Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


class DemoImage(NamedTuple):
    """One image.

    Attributes:
        name: such as disc_00012.JPEG; no other image has it.
        label: number of its class.
        data: the file's bytes.
    """

    name: str
    label: int
    data: bytes


def demo_images(count: int, classes: int = 5, seed: int = 0, start: int = 0) -> Iterator[DemoImage]:
    """Yield images start to start + count - 1 of the sequence that a seed has; labels take turns.

    Args:
        count: number of images.
        classes: number of classes, up to 8.
        seed: of all images.
        start: number of the first: others for validation.
    """
    for number in range(start, start + count):
        rng = np.random.default_rng([seed, number])
        label = number % classes
        kind = ODD[number // ODD_EVERY % len(ODD)] if number % ODD_EVERY == 0 else "JPEG"
        yield DemoImage(f"{CLASS_NAMES[label]}_{number:05d}.JPEG", label, _encoded(_drawn(rng, label), kind))


def _drawn(rng: np.random.Generator, label: int) -> Any:
    """Return a Pillow image: the class's figure, in a colour near the class's own, anywhere, at any size."""
    from PIL import Image, ImageDraw

    width, height = (int(side) for side in rng.integers(SIDES[0], SIDES[1] + 1, 2))
    image = Image.new("RGB", (width, height), _colour(rng.random(), 0.3, rng.uniform(0.2, 0.9)))
    hue = (label + rng.uniform(-0.35, 0.35)) / len(CLASS_NAMES)
    radius = rng.uniform(0.2, 0.4) * min(width, height)
    x, y = rng.uniform(radius, width - radius), rng.uniform(radius, height - radius)
    box = (x - radius, y - radius, x + radius, y + radius)
    _draw(ImageDraw.Draw(image), CLASS_NAMES[label], box, _colour(hue, 0.9, rng.uniform(0.6, 1.0)))
    noise = rng.normal(0, rng.uniform(2, 15), (height, width, 3))
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


def _colour(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue % 1, saturation, value))
    return red, green, blue


def _draw(draw: Any, figure: str, box: Box, colour: tuple[int, int, int]) -> None:
    left, top, right, bottom = box
    side = right - left
    if figure == "disc":
        draw.ellipse(box, fill=colour)
    elif figure == "square":
        draw.rectangle(box, fill=colour)
    elif figure == "triangle":
        draw.regular_polygon((left + side / 2, top + side / 2, side / 2), 3, fill=colour)
    elif figure == "ring":
        draw.ellipse(box, outline=colour, width=math.ceil(side / 8))
    elif figure == "cross":
        draw.rectangle((left, top + side / 3, right, bottom - side / 3), fill=colour)
        draw.rectangle((left + side / 3, top, right - side / 3, bottom), fill=colour)
    else:
        _draw_texture(draw, figure, box, colour)


def _draw_texture(draw: Any, figure: str, box: Box, colour: tuple[int, int, int]) -> None:
    """Draw stripes, checks or dots into 6 x 6 squares."""
    step = (box[2] - box[0]) / 6
    for row in range(6):
        for column in range(6):
            x, y = box[0] + column * step, box[1] + row * step
            if figure == "dots":
                draw.ellipse((x, y, x + 0.7 * step, y + 0.7 * step), fill=colour)
            elif (row + (column if figure == "checks" else 0)) % 2 == 0:
                draw.rectangle((x, y, x + step, y + step), fill=colour)


def _encoded(image: Any, kind: str) -> bytes:
    from PIL import Image

    file, exif = io.BytesIO(), Image.Exif()
    if kind in ("PNG", "GIF", "WEBP", "BMP"):
        image.save(file, kind)
        return file.getvalue()
    if kind == "TURNED":
        image, exif[ORIENTATION] = image.rotate(90, expand=True), QUARTER_LEFT
    modes = {"CMYK": "CMYK", "GREY": "L"}
    image.convert(modes.get(kind, "RGB")).save(file, "JPEG", quality=90, exif=exif)
    return file.getvalue()
