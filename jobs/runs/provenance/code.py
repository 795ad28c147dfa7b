"""A copy of the user's modules in the run folder, `code/NAME/`; NAME is that of their digests together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.errors import InputError
from jobs.formatting import plural
from jobs.runs.identity import code_of
from jobs.sources import SOURCE, THIS, Source, digest, user_modules
from jobs.storage import MIB, is_plain

if TYPE_CHECKING:
    from jobs.storage import Storage

FOLDER = "code/"
MAX_BYTES, MAX_FILES = MIB, 200
LEFT_OUT = "looks like a secret"
_SECRET_NAME = re.compile(r"secret|credential|password|passwd|token|api_?key|private_?key", re.IGNORECASE)
_SECRET_TEXT = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_\w{36}")
_LABEL = re.compile(r"(?:\w+/)*\w+\.py", re.ASCII)


def modules_of(roots: Sequence[object]) -> list[Source]:
    """Return the modules of the user's code, that of the first root first; none of this package's, such as examples."""
    return [source for source in user_modules(*roots) if source.name.partition(".")[0] != THIS]


def name_of(digests: Mapping[str, str]) -> str:
    """Return the name of a code by label -> digest, as a run's identity has it."""
    return code_of({SOURCE + label: value for label, value in digests.items()})


def keep(storage: Storage, folder: str, modules: Sequence[Source]) -> dict[str, str]:
    """Write the modules below `folder`, unless they are there; return label -> reason of those that are left out.

    Raises:
        ClusterError: the storage failed.
    """
    size = sum(len(one.content) for one in modules)
    if len(modules) > MAX_FILES or size > MAX_BYTES:
        why = f"{plural(len(modules), 'module')} of {size / MIB:.1f} MiB are more than {MAX_FILES}, or 1 MiB"
        return {one.label: why for one in modules}
    left_out, there = {}, set(storage.list(folder))
    for one in modules:
        if why := _why_not(one):
            left_out[one.label] = why
        elif folder + one.label not in there:
            storage.write(folder + one.label, one.content)
    return left_out


def _why_not(module: Source) -> str:
    """Return why a module is not copied; nothing if it is."""
    if _SECRET_NAME.search(module.label) or _SECRET_TEXT.search(module.text):
        return LEFT_OUT
    return "" if _LABEL.fullmatch(module.label) else "its name is none of plain letters"


def restore(storage: Storage, folder: str, digests: Mapping[str, str], to: Path) -> None:
    """Write a kept code into a folder of this machine, after a check that it is what the provenance says.

    Args:
        storage: the run folder.
        folder: of the code in it.
        digests: label -> digest.
        to: an empty folder.

    Raises:
        InputError: a module is missing, or has been changed.
    """
    for label, expected in digests.items():
        address = storage.address(folder + label)
        if not (_LABEL.fullmatch(label) and is_plain(label)):
            raise InputError(f"{storage.url}: its provenance names the module {label!r}, which is no name of one")
        try:
            content = storage.read(folder + label)
        except FileNotFoundError as error:
            raise InputError(f"{address} is missing: the run folder has no whole copy of its code") from error
        if digest(content) != expected:
            raise InputError(f"{address} was changed since it was copied: its digest is not that of the provenance")
        path = to / label
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
