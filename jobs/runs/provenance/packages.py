"""The installed packages and their versions, as `pip freeze` lists them, in a millisecond."""

from __future__ import annotations

import contextlib
import re
import sys
from pathlib import Path

MAX_ENTRIES = 100_000
"""Maximum files in a folder of the Python path that is looked at: one may be anything, such as a home folder."""
_INFO = re.compile(r"(.+)-([^-]+)\.dist-info")


def packages() -> dict[str, str]:
    """Return name -> version of the packages on the Python path, sorted; of several versions the one that is imported.

    Names are in lower case with hyphens.
    """
    found: dict[str, str] = {}
    for entry in sys.path:
        # By the names of folders, which the format of installed packages fixes: importlib.metadata parses all METADATA,
        # which takes 200 ms.
        with contextlib.suppress(OSError):
            for _, path in zip(range(MAX_ENTRIES), Path(entry or ".").iterdir(), strict=False):
                if info := _INFO.fullmatch(path.name):
                    found.setdefault(re.sub(r"[-_.]+", "-", info[1]).lower(), info[2])
    return dict(sorted(found.items()))
