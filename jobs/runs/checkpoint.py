"""Files in a run folder that are always one complete state, with any writer and after any crash.

`TOP.json`, the state, maps the files to the names of their bytes (`TOP-...`); it is replaced last, atomically. Bytes
that the state no longer names are deleted after that.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Collection, Iterator
from typing import Any

from jobs.errors import ClusterError, InputError
from jobs.storage import Storage, is_plain


@contextlib.contextmanager
def storage_faults() -> Iterator[None]:
    """Translate the storage's InputErrors to a cluster failure: the folder was usable before work began.

    So is a missing file: another writer, started since this one seemed lost, may have stored another state meanwhile.

    Raises:
        ClusterError: the storage raised.
    """
    try:
        yield
    except (InputError, FileNotFoundError) as error:
        raise ClusterError(str(error)) from error


def delete_state(storage: Storage, top: str) -> None:
    """Delete a state that no writer uses, and all its bytes.

    Raises:
        ClusterError: the run folder cannot be written.
    """
    # First: bytes without a state are garbage, a state without bytes is damage.
    storage.delete(f"{top}.json")
    # Also bytes of a writer that was killed before it wrote the state.
    for name in storage.list(f"{top}-"):
        storage.delete(name)


class StoredState:
    """One state of some files, read and replaced by one writer.

    Args:
        storage: the run folder.
        top: prefix of the names of all its files in the run folder, such as `checkpoints/0007`.
        writer: a name that is unique among all writers of this state.
        owner: the owner of the state, for messages: `trial`.

    Attributes:
        places: name of a file -> name of its bytes, as this writer has read or written it last.

    Raises:
        ClusterError: the run folder cannot be read.
        InputError: the stored state is damaged, or names files that are not its own; none of these is read or written.
    """

    def __init__(self, storage: Storage, top: str, writer: str, owner: str) -> None:
        self._storage, self._top, self._writer, self._owner = storage, top, writer, owner
        self._saves = 0
        self.places = self._read_state()

    def read(self, name: str) -> bytes:
        """Return the bytes of one of its files.

        Raises:
            ClusterError: they are missing, or the run folder cannot be read.
        """
        self._storage.check_inside(self.places[name])
        with storage_faults():
            return self._storage.read(self.places[name])

    def copy(self, name: str, target: str) -> None:
        """Copy one of its files within the run folder, a piece at a time.

        Raises:
            InputError: it is missing, or the run folder refuses it.
            ClusterError: the run folder cannot be read or written.
        """
        place = self.places[name]
        self._storage.check_inside(place)
        self._storage.check_inside(target)
        try:
            self._storage.write_chunks(target, self._storage.stream(place))
        except FileNotFoundError as error:
            raise self.damaged(f"{place} is missing") from error

    @storage_faults()
    def save(self, unchanged: Collection[str], changed: Collection[str], content: Callable[[str], bytes]) -> None:
        """Replace the state.

        Args:
            unchanged: names of files whose bytes are those stored.
            changed: names of the others.
            content: returns the bytes of one of these; called once per file.

        Raises:
            ClusterError: the run folder cannot be written, or another writer has stored a state since.
        """
        self._saves += 1
        state = {name: self.places[name] for name in unchanged}
        self._check_alone()
        for index, name in enumerate(sorted(changed)):
            # A new name each time, never the old one: until TOP.json is replaced, the old state must be readable.
            state[name] = f"{self._top}-{self._writer}-{self._saves}-{index}"
            self._storage.write(state[name], content(name))
        self._storage.write(f"{self._top}.json", json.dumps(state).encode())
        old, self.places = self.places, state
        for where in set(old.values()) - set(state.values()):
            self._storage.delete(where)

    def delete(self) -> None:
        """Delete the state and all its bytes.

        Raises:
            ClusterError: another writer has stored a state since, or the run folder cannot be written.
        """
        self._check_alone()
        delete_state(self._storage, self._top)

    def damaged(self, why: str) -> InputError:
        """Return the error for a state that cannot be used."""
        address = f"{self._storage.address(self._top)}.json"
        return InputError(f"checkpoint {address} is damaged ({why}); remove it, and the {self._owner} begins anew")

    def _read_state(self) -> dict[str, str]:
        self._storage.check_inside(f"{self._top}.json")
        with storage_faults():
            try:
                data = self._storage.read(f"{self._top}.json")
            except FileNotFoundError:
                return {}
        try:
            state = json.loads(data)
        except (ValueError, RecursionError) as error:  # the latter of JSON nested a thousand deep
            raise self.damaged(str(error)) from error
        if not isinstance(state, dict):
            raise self.damaged(f"it holds {type(state).__name__}, but must hold name: place")
        for name, place in state.items():
            if not is_plain(name):
                raise self.damaged(f"{name!r} is no name of a file in the {self._owner}'s folder")
            if not self._is_place(place):
                raise self.damaged(f"{place!r} is no place of this {self._owner}'s files, {self._top}-...")
        return state

    def _is_place(self, place: Any) -> bool:
        return isinstance(place, str) and bool(re.fullmatch(rf"{self._top}-[\w.-]{{1,200}}", place, re.ASCII))

    def _check_alone(self) -> None:
        """Refuse to replace what another writer has stored since: this one was superseded as lost.

        Not a lock: a writer that begins between this check and the write is noticed at its, or this one's, next save.

        Raises:
            ClusterError: there is another state.
        """
        if self._read_state() != self.places:
            raise ClusterError(f"another try of the {self._owner} has stored {self._top}.json")
