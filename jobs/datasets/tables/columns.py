"""Which columns of a table are features, label and weight, and which number or class each value is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from jobs.errors import InputError, argument, nearest
from jobs.formatting import given

Kind: TypeAlias = Literal["number", "text", "boolean"]
Value: TypeAlias = int | float | str | bool
SHOWN = 12
"""Maximum names in an error's text."""
MAX_VALUES = 10_000
"""Maximum different values of a column of categories or classes: one with more is an identifier, or a number."""


@dataclass(frozen=True)
class TableColumn:
    """A column that is read, and what its values become.

    Attributes:
        name: as in the files.
        kind: what its values are.
        values: categories or classes in ascending order; None: numbers, which are taken as they are.
        integer: whether such numbers are integers; of a label alone.
    """

    name: str
    kind: Kind
    values: tuple[Value, ...] | None = None
    integer: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the values, as people see them."""
        return tuple(map(value_name, self.values or ()))

    def feature_names(self) -> list[str]:
        """Return the name of each number that the column becomes: its own, or `column=category`."""
        return [self.name] if self.values is None else [f"{self.name}={name}" for name in self.names]


@dataclass(frozen=True)
class Columns:
    """All columns that are read: the mapping from a table's values to x, y and weights, which a run keeps.

    Attributes:
        features: of x, in this order.
        label: of y; None: there is none.
        weight: the column of the rows' weights; None: there is none.
    """

    features: tuple[TableColumn, ...]
    label: TableColumn | None = None
    weight: str | None = None

    @property
    def feature_names(self) -> list[str]:
        """The name of each number of a row of x."""
        return [name for column in self.features for name in column.feature_names()]

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes 0, 1, ...; empty where y are numbers."""
        return self.label.names if self.label else ()

    @property
    def read(self) -> list[str]:
        """The names of all columns, each once."""
        label = [self.label.name] if self.label else []
        return [*(column.name for column in self.features), *label, *([self.weight] if self.weight else [])]

    def as_json(self) -> dict[str, Any]:
        """Return the same as JSON has it; `from_json` reads it."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Columns:
        """Return what `as_json` was made of, without the weight, which predictions do not need.

        Raises:
            ValueError, LookupError, TypeError: it is damaged.
        """
        label = content["label"]
        columns = cls(tuple(map(_column, content["features"])), None if label is None else _column(label))
        if not columns.features:
            raise ValueError("there are no features")
        return columns


def _column(content: Mapping[str, Any]) -> TableColumn:
    name, kind, values = content["name"], content["kind"], content["values"]
    types: dict[str, tuple[type, ...]] = {"number": (int, float), "text": (str,), "boolean": (bool,)}
    if not isinstance(name, str) or not isinstance(content["integer"], bool):
        raise TypeError(f"the column {given(name)} has no name, or no type")
    if values is not None and not (values and all(isinstance(value, types[kind]) for value in values)):
        raise TypeError(f"the values of the column {given(name)} are not of the kind {given(kind)}")
    if values is not None and sorted(set(values)) != values:
        raise ValueError(f"the values of the column {given(name)} are not in ascending order")
    return TableColumn(name, kind, None if values is None else tuple(values), content["integer"])


@dataclass(frozen=True)
class Wanted:
    """The names that a user gave for the columns of a table.

    Attributes:
        label: the column to predict.
        features: the columns to predict it from; None: all others.
        weight: the column of the rows' weights.
    """

    label: str | None = None
    features: tuple[str, ...] | None = None
    weight: str | None = None

    def given(self) -> tuple[str, object] | None:
        """Return name and value of the first argument that was given; None: none was."""
        return next(((name, value) for name, value in vars(self).items() if value is not None), None)

    def check(self, names: Sequence[str], where: str, *, needs_label: bool) -> Wanted:
        """Return the same with all features, after checking that each column is there, and has one use.

        Args:
            names: of the table's columns.
            where: the table, for messages.
            needs_label: whether the label must be given.

        Raises:
            InputError: a column is missing, there twice, or has two uses.
        """
        if self.label is None and needs_label:
            raise InputError(
                f"{where}: {argument('label')} is missing: name the column that is to be predicted, one of "
                f"{listed(names)}"
            )
        used = [name for name in (self.label, self.weight) if name is not None]
        features = self.features
        if features is None:
            # pandas writes the index of a frame as a column, where it is not just the rows' numbers.
            features = tuple(name for name in names if name not in used and not name.startswith("__index_level_"))
        if not features:
            raise InputError(f"{where}: no column is left for the features, only {listed(names)}")
        what = {"label": [self.label] if self.label is not None else [], "features": list(features)}
        what["weight"] = [self.weight] if self.weight is not None else []
        seen: dict[str, str] = {}
        for name, chosen in what.items():
            for column in chosen:
                check_there(column, names, where, name)
                if column in seen:
                    raise InputError(
                        f"{where}: column {given(column)} is in {argument(seen[column])} and in {argument(name)}: it "
                        "has one use"
                    )
                seen[column] = name
        return Wanted(self.label, features, self.weight)


def check_there(column: str, names: Sequence[str], where: str, name: str) -> None:
    """Check that a table has a column once, with a name.

    Args:
        column: its name.
        names: of all columns of the table.
        where: the table.
        name: of the argument that has the column.

    Raises:
        InputError: it has not.
    """
    count = names.count(column)
    if not count:
        near = nearest(column, names) or f"; there are {listed(names)}"
        raise InputError(f"{where}: {argument(name)} has {given(column)}, but there is no such column{near}")
    if count > 1:
        raise InputError(f"{where}: {count} columns are called {given(column)}: give each a name of its own")
    if not column.strip():
        raise InputError(
            f"{where}: column {list(names).index(column) + 1} has no name (pandas writes its index so: use "
            f"index=False): give it one, or say which columns {argument('features')} are"
        )


def listed(names: Sequence[object]) -> str:
    """Return names for an error's text."""
    more = f", ... ({len(names):,} in all)" if len(names) > SHOWN else ""
    return ", ".join(map(given, names[:SHOWN])) + more


def value_name(value: Value) -> str:
    """Return the name of a category or class: that of a float without fraction is the integer's."""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)
