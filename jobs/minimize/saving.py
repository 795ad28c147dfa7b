"""The files that a problem's `save` writes, brought into the run folder."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jobs.errors import InputError, UserCodeError
from jobs.formatting import error_line, given
from jobs.minimize.entry import JOB
from jobs.minimize.objective import Vector
from jobs.minimize.problems.base import has
from jobs.runs.folder import OWN_FILES
from jobs.storage import Storage
from jobs.usercode import call

SAVE = "problem.save(theta, folder)"
MAX_NAME = 200
_RESERVED = {name.strip("/").casefold() for name in (*OWN_FILES, *JOB.files)}


def saved(problem: Any, theta: Vector, run: Storage) -> dict[str, Any]:
    """Bring what a problem saves into the run folder; return the names for the result, or the error.

    The result must not be lost because of it, so that only a failure of the run folder itself is raised.

    Args:
        problem: the user's.
        theta: the optimum.
        run: the run folder.

    Raises:
        ClusterError: the run folder cannot be written.
    """
    try:
        if not has(problem, "save"):
            return {}
        with TemporaryDirectory(prefix="dask-jobs-") as folder:
            with contextlib.chdir(os.curdir):  # it may have gone into the folder, which is deleted
                call(SAVE, problem.save, theta.copy(), folder)
            files = dict(_files(Path(folder)))
            for name in files:
                run.check_inside(name)
            for name, path in files.items():
                run.write_file(name, path)
    except (UserCodeError, InputError) as error:
        return {"save_error": str(error)}
    except OSError as error:
        return {"save_error": f"{SAVE}: {error_line(error)}"}
    return {"saved": list(files)}


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield name and path of each file.

    Raises:
        InputError: a name is the run folder's own, or what it names is no file.
    """
    for top, folders, files in os.walk(folder, onerror=_fail):
        for name in sorted([*folders, *files]):
            path = Path(top, name)
            mode, relative = path.lstat().st_mode, str(path.relative_to(folder))
            if stat.S_ISDIR(mode):
                continue
            if not stat.S_ISREG(mode):
                kind = "a link" if stat.S_ISLNK(mode) else "no file"
                raise InputError(f"{SAVE} wrote {given(relative)}, which is {kind}, but must write plain files")
            _check(relative)
            yield relative, path


def _fail(error: OSError) -> None:
    raise error


def _check(name: str) -> None:
    parts = name.split("/")
    if parts[0].casefold() in _RESERVED:
        raise InputError(f"{SAVE} wrote {name!r}, which the run folder uses itself: give it another name")
    if len(name) > MAX_NAME or not name.isprintable() or any(part.startswith(".") for part in parts):
        raise InputError(
            f"{SAVE} wrote {given(name)}, but a name must have at most {MAX_NAME} printable characters, and no part of "
            "it may begin with '.'"
        )
