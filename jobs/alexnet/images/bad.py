"""Images that cannot be used."""

from __future__ import annotations

from jobs.errors import DataError

MAX_PIXELS = 50_000_000
"""Width times height above which an image is not decoded: 150 MB as RGB, in a worker that has other memory to keep.

The largest sensors of usual cameras have about as many; a PNG of 10,000 x 10,000 equal pixels has 100 kB.
"""


class BadImageError(DataError):
    """An image that cannot be read; its text is the reason, without the image's name."""


def check_pixels(height: int, width: int) -> None:
    """Check the size in an image's header.

    Raises:
        BadImageError: it has no pixels, or more than MAX_PIXELS.
    """
    if height < 1 or width < 1:
        raise BadImageError(f"has {width} x {height} pixels")
    if height * width > MAX_PIXELS:
        raise BadImageError(f"has {width:,} x {height:,} pixels, more than {MAX_PIXELS:,}")
