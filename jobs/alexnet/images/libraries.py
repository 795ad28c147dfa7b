"""The libraries that decode, imported when the first image is."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
from typing import Any

from jobs.errors import InputError


@functools.cache
def import_decoders() -> tuple[Any, Any]:
    """Return the modules (cv2, simplejpeg); OpenCV with one thread per call.

    Raises:
        InputError: one of them is missing.
    """
    try:
        cv2: Any = importlib.import_module("cv2")
        simplejpeg: Any = importlib.import_module("simplejpeg")
    except ImportError as error:
        raise InputError(f"OpenCV and simplejpeg are needed here ({error}): pip install '.[images]'") from error
    cv2.setNumThreads(1)
    return cv2, simplejpeg


def decoder_version() -> str:
    """Return the versions that decide the bits of decoded images, for a run's identity.

    The processor does not: with OpenCV's and libjpeg-turbo's vector instructions on and off the bits were equal.

    Raises:
        InputError: one of the libraries is missing.
    """
    cv2, simplejpeg = import_decoders()
    pillow = importlib.metadata.version("pillow")
    return f"simplejpeg {simplejpeg.__version__}, OpenCV {cv2.__version__}, Pillow {pillow}"
