"""The data that a user names or gives: a data set, a function of the user's, an object, or arrays."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from jobs.code_files import named_file
from jobs.datasets.open import is_table
from jobs.datasets.rows import RowSource, row_source
from jobs.datasets.tables.table import Table
from jobs.errors import InputError, argument
from jobs.parts import code_sources
from jobs.train.data.rows import ArrayRows
from jobs.usercode import UserCode, call

if TYPE_CHECKING:
    from typing_extensions import TypeIs

Factory = Callable[[int, int, int, int], Any]
"""data(part, parts, epoch, seed) -> a tf.data.Dataset or keras PyDataset of the part's batches in that epoch."""
KINDS = ("idx", "npz", "npy", "parquet", "csv", "s3")
"""What may stand before the colon of a data set's spec, see `jobs.datasets.open`."""


class Data:
    """Data, by reference or by value; small when pickled unless it is arrays.

    Args:
        name: the argument, `data` or `validation_data`.
        given: a data set's spec, `module:function` or that function, a `RowSource`, or a tuple of arrays.
        columns: of a table: `label`, `features` and `weight`, as `open_dataset` takes them.
        like: other data, whose mapping of a table's values to numbers is to be this one's.

    Attributes:
        table: the data, once they are opened, if they are a table.
    """

    def __init__(
        self, name: str, given: Any, columns: Mapping[str, Any] = MappingProxyType({}), like: Data | None = None
    ) -> None:
        self._name, self._spec, self._code = name, "", None
        self._columns, self._like = dict(columns), like
        self.table: Table | None = None
        if isinstance(given, str) and not is_function(given):
            self._spec = given
        elif isinstance(given, tuple):
            self._code = UserCode(name, ArrayRows(*given), "my_data:data")
        else:
            self._code = UserCode(name, given, "my_data:data")

    def open(self) -> RowSource | Factory:
        """Return the source of rows, or the factory of batches, in this process.

        Raises:
            InputError, DataError: the data cannot be used.
            UserCodeError: the user's function raised.
        """
        if self._code is None:
            return self._opened()
        if self._columns:
            name, value = next(iter(self._columns.items()))
            raise InputError(
                f"{argument(name)} is {value!r}, but {self._code.name} is a function of yours: leave it out; it is for "
                "the columns of parquet: and csv: data"
            )
        value = self._code.load()
        if inspect.isroutine(value):
            if takes_parts(value):
                factory: Factory = value
                return factory
            value = call(f"{self._name} {self._code.name}", value)
        return row_source(ArrayRows(*value) if isinstance(value, tuple) else value)

    def _opened(self) -> RowSource:
        """Return the data set; a table, which is looked through to open it, is opened once, and sent as it is."""
        if self.table is not None:
            return self.table
        columns = self._columns
        if self._like is not None and is_table(self._spec) and isinstance(other := self._like.open(), Table):
            columns = {"columns": other.columns}
        opened = row_source(self._spec, targets=True, columns=columns)
        if isinstance(opened, Table):
            self.table = opened
        return opened

    @property
    def text(self) -> str:
        """What the data are called, for the run's identity and messages."""
        return self._spec if self._code is None else self._code.name

    @property
    def by_value(self) -> bool:
        """Whether they are given as an object, which is sent."""
        return self._code is not None and self._code.spec is None

    def own_sources(self) -> dict[str, str]:
        """Return the digests of the source of a function that is given as an object."""
        if self._code is None or self._code.spec is not None or not inspect.isroutine(self._code.load()):
            return {}
        return code_sources(self._code)

    @property
    def roots(self) -> tuple[Any, ...]:
        """The roots of a function's modules, for the run's identity."""
        return () if self._code is None else self._code.roots()


def is_factory(opened: RowSource | Factory) -> TypeIs[Factory]:
    """Return whether opened data are a factory of batches, not a source of rows."""
    return callable(opened) and not hasattr(opened, "read")


def is_function(text: str) -> bool:
    """Return whether a text is `module:function` or `file.py:function`, not a data set's spec."""
    if named_file(text):
        return text.partition(":")[0] not in KINDS
    found = re.fullmatch(r"([A-Za-z_][\w.]*):[A-Za-z_]\w*", text)
    return bool(found) and found[1] not in KINDS  # type: ignore[index]


def takes_parts(function: Any) -> bool:
    """Return whether a function of the user's makes one part's batches, rather than all rows.

    Raises:
        InputError: it takes neither no arguments nor the four.
    """
    parameters = list(inspect.signature(function).parameters.values())
    required = [one for one in parameters if one.default is one.empty and one.kind in (0, 1, 3)]
    if not required:
        return False
    if len(required) != 4:
        names = ", ".join(one.name for one in parameters)
        raise InputError(
            f"data is a function of ({names}), but must take nothing and return rows, or (part, parts, epoch, seed) "
            "and return that part's batches"
        )
    return True
