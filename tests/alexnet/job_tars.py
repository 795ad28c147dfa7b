"""Tars of generated images, and options of a short training on them, for the tests of the job."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path

from jobs.alexnet.demo.images import DemoImage, demo_images

IMAGES, CLASSES = 240, 3
SMALL = ["--image-size", "57", "--width", "0.0625", "--parts", "4", "--minibatch", "12", "--partition-images", "32",
         "--validation", "0.1", "--epochs", "2"]  # fmt: skip


def tar_of_images(numbers: range, name: Callable[[DemoImage], str] = attrgetter("name")) -> bytes:
    """Return a tar of generated images by number, with the names that they are given."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for image in demo_images(len(numbers), CLASSES, start=numbers.start):
            info = tarfile.TarInfo(name(image))
            info.size = len(image.data)
            tar.addfile(info, io.BytesIO(image.data))
    return file.getvalue()


def write_tars(folder: Path) -> None:
    """Write three tars and a label file."""
    for start in range(0, IMAGES, 80):
        (folder / f"{start:03}.tar").write_bytes(tar_of_images(range(start, start + 80)))
    lines = [f"{image.name} {image.label}\n" for image in demo_images(IMAGES, CLASSES)]
    (folder / "labels.txt").write_text("".join(lines))
