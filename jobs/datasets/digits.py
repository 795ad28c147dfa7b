"""The handwritten digits that come with the package: 1,797 images of 8 x 8, see digits/README.md."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from jobs.datasets.dataset import Dataset
from jobs.datasets.idx import from_files
from jobs.storage.local import LocalStorage


class PackageFolder(LocalStorage):
    """The folder of the digits; unpickled, it is that of the package installed in that process."""

    def __reduce__(self) -> tuple[Callable[[], PackageFolder], tuple[()]]:
        """Keep the path of this machine out of the pickle."""
        return _package_folder, ()


def _package_folder() -> PackageFolder:
    return PackageFolder(str(Path(__file__).with_name("digits")))


def open_digits(classes: int | None) -> Dataset:
    """Return the digits: x (1797, 8, 8) uint8 of 0..16, y 0..9."""
    return from_files(_package_folder(), "images-idx3-ubyte", "labels-idx1-ubyte", "digits", classes, scale=1 / 16)
