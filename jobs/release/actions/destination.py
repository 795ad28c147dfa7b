"""The destination of a run folder on this machine: what may be replaced, and how, so that nothing is lost."""

from __future__ import annotations

import contextlib
import filecmp
import itertools
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from jobs import registry
from jobs.errors import InputError, print_note
from jobs.options import from_yaml
from jobs.runs import run
from jobs.runs.folder import OWN_FILES
from jobs.storage import TEMPORARY

PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
FILES = ("options.yaml", "result.json", "status.json")
"""Files of a run folder that name its job."""
NO_RUN = f"no {', '.join(FILES[:-1])} or {FILES[-1]} of a job"
REPORT, ATTEMPTS = "report.html", "attempts/"


def default_name(url: str) -> str:
    """Return the default folder for a run: the last part of its URL.

    Raises:
        InputError: that is not a plain name. Anyone who may change the release's Jobs can set it: it is not trusted.
    """
    name = url.rpartition("/")[2]
    if not PLAIN.fullmatch(name):
        raise InputError(f"the release's run folder is {url!r}, whose last part is no plain name: name a FOLDER here")
    return name


def target_of(folder: str, *, force: bool) -> Path:
    """Return the absolute path of a named local folder, checked that a run folder may be put there.

    Raises:
        InputError: the name leads elsewhere; it is a file or a link; it holds files and not `force`, or no run's.
    """
    target = Path(folder)
    if not target.name or ".." in target.parts:
        raise InputError(f"FOLDER is {folder!r}, but must be the name of a folder of its own, without '..'")
    target = target.absolute()
    with translate_errors(target):
        check(target, target=target, new=None, force=force)
    return target


def check(place: Path, *, target: Path, new: Path | None, force: bool) -> None:
    """Check that a run folder may be put at `target`.

    Args:
        place: present path of the folder that is to be replaced: `target`, or where it was moved to.
        target: its path, for messages.
        new: the fetched run folder (None: not yet).
        force: a run folder may be replaced.

    Raises:
        InputError: it is a file or a link; it holds files and not `force`, no run's, or a file that no run has made.
        OSError: it cannot be read.
    """
    if place.is_symlink() or (place.exists() and not place.is_dir()):
        raise InputError(f"{target} is a {'link' if place.is_symlink() else 'file'}, but must be a folder")
    if not holds_files(place):
        return
    if not force:
        raise InputError(f"{target} is not empty: name another folder, or replace it by --force")
    if not is_run_folder(place):
        raise InputError(
            f"{target} holds files, but no run ({NO_RUN}): --force replaces run folders alone; name another folder"
        )
    left = () if new is None else _files(place) - _files(new)
    if own := min((name for name in left if not _made(name, place)), default=""):
        raise InputError(f"{target} holds {own!r}, which no run has made: move it, or name another folder")


def _made(name: str, place: Path) -> bool:
    """Return whether a file is one that runs or reports write: it may be replaced by another state of a run."""
    if name.startswith(ATTEMPTS):  # by its name too: a file of one's own may lie there
        return name[len(ATTEMPTS) :].isdecimal()
    own = {*OWN_FILES, *(file for job in registry.jobs() for file in job.files)}
    saved = mapping(place / "result.json").get("saved")
    return (
        name in own
        or name.startswith((TEMPORARY, *(file for file in own if file.endswith("/"))))
        or (isinstance(saved, list) and name in saved)
    )


def check_run(folder: Path) -> None:
    """Check that the fetched folder is a run folder.

    Raises:
        InputError: no file in it names one of the jobs.
    """
    if not is_run_folder(folder):
        raise InputError(f"the pod sent what is no run folder: {NO_RUN}; nothing here was changed")


def holds_files(folder: Path) -> bool:
    """Return whether a folder exists and is not empty; OSError if it cannot be read."""
    return folder.is_dir() and any(folder.iterdir())


def is_run_folder(folder: Path) -> bool:
    """Return whether a file in it names one of the jobs, so that it is a run folder."""
    return any(str(content.get("job")) in registry.names() for content in (mapping(folder / name) for name in FILES))


def mapping(path: Path) -> dict[str, object]:
    """Return the mapping in a JSON or YAML file; empty if it is missing or holds anything else."""
    try:
        data = path.read_bytes()
        content = json.loads(data) if path.suffix == ".json" else from_yaml(data)
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


@contextlib.contextmanager
def beside(target: Path) -> Iterator[Path]:
    """Yield a new empty folder beside `target`, which is removed at the end unless it was moved.

    Raises:
        InputError: this machine cannot write there.
    """
    with translate_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        # Beside it, so that the move at the end is a rename within one file system: complete or not at all.
        part = Path(tempfile.mkdtemp(prefix=f".{target.name[:200]}-", dir=target.parent))
    try:
        with translate_errors(target):
            yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextlib.contextmanager
def translate_errors(target: Path) -> Iterator[None]:
    """Translate errors of the file system into one line.

    Raises:
        InputError: this machine cannot write the target.
    """
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{target}: cannot be written ({error.strerror or error}); nothing there was changed"
        ) from error


def put(part: Path, target: Path, may_replace: Callable[[Path], None]) -> None:
    """Move a complete folder to `target`; the old one is deleted once the new one is in its place.

    Args:
        part: the folder.
        target: its destination.
        may_replace: raises InputError if what is at a path may not be replaced. It is called at the last moment, and
            again on what was moved aside: anything may have come to `target` meanwhile.

    Raises:
        InputError: what is there may not be replaced, and is unchanged.
        OSError: it cannot be moved, as where `target` is a mount point; what was there is unchanged.
    """
    part.chmod(0o755)  # mkdtemp has created it with 0700
    may_replace(target)
    if not holds_files(target):
        part.replace(target)  # fails if anything has come there meanwhile
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name[:200]}-old-", dir=target.parent))
    try:
        target.replace(aside)
        # Once more: what came between the first check and the move is in `aside` now, where no other program writes.
        may_replace(aside)
        part.replace(target)
    except BaseException:  # Ctrl-C too must not leave the old folder aside
        _move_back(aside, target)
        raise
    shutil.rmtree(aside, ignore_errors=True)
    if aside.exists():
        print_note(f"what was in {target} cannot be deleted, and is now in {aside}")


def put_result(part: Path, base: Path) -> Path:
    """Move a complete run folder to `base`, or to `base-2`, `base-3`, ... if that is another's; return its path.

    A folder of the same run is replaced if it holds no file that the new one lacks, except for a report, which can be
    written again; one that holds the new one's files already is unchanged.

    Raises:
        InputError: something came there at the last moment.
        OSError: it cannot be moved.
    """

    def may_replace(place: Path) -> None:
        if not _may_replace(place, part):
            raise InputError(f"{target} was changed meanwhile")

    names = (base if number == 1 else base.with_name(f"{base.name}-{number}") for number in itertools.count(1))
    target = next(name for name in names if _may_take(name, part))
    if not _holds_all(target, part):
        put(part, target, may_replace)
    return target


def _may_take(place: Path, new: Path) -> bool:
    """Return whether a path suits a new run folder: it can be put there, or is there already."""
    return _may_replace(place, new) or (not place.is_symlink() and _same_run(place, new) and _holds_all(place, new))


def _may_replace(place: Path, new: Path) -> bool:
    """Return whether a new run folder may be put at a path without the loss of a file."""
    if place.is_symlink() or not place.is_dir():
        return not place.is_symlink() and not place.exists()
    return not holds_files(place) or (_same_run(place, new) and _files(place) - _files(new) <= {REPORT})


def _same_run(place: Path, new: Path) -> bool:
    return run_id(new) is not None and run_id(place) == run_id(new)


def _holds_all(old: Path, new: Path) -> bool:
    names = _files(new)
    # Not shallow: size and time may agree.
    return names <= _files(old) and all(filecmp.cmp(old / name, new / name, shallow=False) for name in names)


def _files(folder: Path) -> set[str]:
    paths = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return {path.relative_to(folder).as_posix() for path in paths}


def run_id(folder: Path) -> str | None:
    """Return the id of the run in a folder; None if no file has it."""
    try:
        return run.run_id((folder / run.FIRST).read_bytes())
    except OSError:
        named = mapping(folder / "result.json").get("run_id")
    return named if isinstance(named, str) else None


def _move_back(aside: Path, target: Path) -> None:
    try:
        if holds_files(aside):
            aside.replace(target)
        else:
            aside.rmdir()
    except OSError:
        print_note(f"what was in {target} is now in {aside}")
