"""From the files of a table, and the names of its columns, to a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from jobs.datasets.dataset import TARGETS, UNLABELLED
from jobs.datasets.tables import csv, parquet
from jobs.datasets.tables.arrow import import_arrow
from jobs.datasets.tables.columns import Columns, TableColumn, Wanted, check_there, listed
from jobs.datasets.tables.csv import CsvForm
from jobs.datasets.tables.files import TableFile, find_files, side_by_side
from jobs.datasets.tables.form import Field, Form, check_fields
from jobs.datasets.tables.parquet import ParquetForm
from jobs.datasets.tables.survey import class_values, survey
from jobs.datasets.tables.table import Table
from jobs.errors import DataError, InputError, argument
from jobs.formatting import given


def open_table(
    form: str, path: str, spec: str, classes: int | None, wanted: Wanted, *, columns: Columns | None = None
) -> Table:
    """Return the table of the files at a path, in one pass over the columns whose values must be known before.

    Args:
        form: `parquet` or `csv`.
        path: a file, or a folder of such files.
        spec: the argument of `open_dataset`.
        classes: of the label, or `TARGETS` or `UNLABELLED`.
        wanted: the names that were given.
        columns: the mapping of other data, which these are to have; None: a new one.

    Raises:
        InputError: PyArrow is missing, or a column or the files are not there.
        DataError: a file is damaged, or a column or a value cannot be used.
        ClusterError: the storage cannot be reached.
    """
    import_arrow()
    where = f"data set {spec!r}"
    files = find_files(path, form)
    if form == "csv":
        opened = _open_csv(files)
    else:
        opened = ParquetForm(), [(file, 0) for file in files], [field.name for field in parquet.fields(files[0])]
    of_form, placed, names = opened
    if columns is None:
        chosen = wanted.check(names, where, needs_label=classes != UNLABELLED)
        read = [*(chosen.features or ()), *(name for name in (chosen.label, chosen.weight) if name is not None)]
        fields = _fields(of_form, placed, read)
        drafted, new = _drafted(chosen, fields, classes)
        if classes == UNLABELLED and (odd := [one.name for one in drafted.features if one.values or one.name in new]):
            raise DataError(
                f"{where}: column {given(odd[0])} is not of numbers, but the model knows no columns: it was fitted to "
                "arrays; give it such"
            )
    else:
        drafted, new = _mapped(columns, names, where, unlabelled=classes == UNLABELLED), frozenset[str]()
        fields = _fields(of_form, placed, drafted.read, drafted)
    chunks, found = survey(of_form, placed, drafted, new)
    if not chunks:
        raise DataError(f"{where}: there are no rows")
    label = found.label
    if label is not None and label.values is None and (integer := fields[label.name].integer) is not None:
        label = replace(label, integer=integer)
    elif label is not None and columns is None and label.values is not None:
        label = class_values(label, None if classes in (TARGETS, UNLABELLED) else classes, where)
    found = replace(found, label=label)
    small = all(fields[column.name].small for column in found.features if column.values is None)
    return Table.of(spec, of_form, found, chunks, "float32" if small else "float64")


def _open_csv(files: Sequence[TableFile]) -> tuple[Form, list[tuple[TableFile, int]], list[str]]:
    """Return the form of CSV files, each with the byte after its header, and the names of the columns.

    Raises:
        DataError: headers differ, or one cannot be read.
    """
    headers = side_by_side(csv.header, files)
    names = headers[0][0]
    for file, (others, _) in zip(files, headers, strict=True):
        if others != names:
            raise DataError(
                f"{file.address}: its header has {listed(others)}, but that of {files[0].address} has {listed(names)}: "
                "all files of a folder must have the same columns in the same order"
            )
    placed = [(file, begin) for file, (_, begin) in zip(files, headers, strict=True)]
    return CsvForm(names), placed, list(names)


def _fields(
    form: Form, files: Sequence[tuple[TableFile, int]], names: Sequence[str], known: Columns | None = None
) -> dict[str, Field]:
    """Return the columns that are read, by name, after checking that they are alike in all files.

    Args:
        form: of the files.
        files: each with the byte after its header.
        names: of the columns.
        known: the mapping that they must fit.

    Raises:
        DataError: they do not.
    """
    if isinstance(form, CsvForm):
        kinds = form.kinds(known) if known else dict.fromkeys(names)
        per_file = [csv.first_fields(form, files, kinds)]
    else:
        per_file = side_by_side(parquet.fields, [file for file, _ in files])
    first: dict[str, Field] = {}
    for (file, _), fields in zip(files, per_file, strict=isinstance(form, ParquetForm)):
        there = [field.name for field in fields]
        for name in names:
            check_there(name, there, file.address, "features")
        for field in check_fields(fields, names, file.address):
            other = first.setdefault(field.name, field)
            if (field.kind, field.categories) != (other.kind, other.categories):
                raise DataError(
                    f"{file.address}: column {given(field.name)} is of type {field.type}, but of {other.type} in "
                    f"{files[0][0].address}: make it alike in all files"
                )
            # Arithmetic of the widest type: float32 only where all files have such numbers.
            first[field.name] = replace(
                other, small=other.small and field.small, integer=other.integer and field.integer
            )
            _check_kind(field, known, file)
    return first


def _check_kind(field: Field, known: Columns | None, file: TableFile) -> None:
    columns = (*known.features, *([known.label] if known.label else [])) if known else ()
    for column in columns:
        if column.name == field.name and column.kind != field.kind:
            raise DataError(
                f"{file.address}: column {given(field.name)} is of type {field.type}, but of {column.kind} in the data "
                "that the model was fitted to"
            )


def _drafted(wanted: Wanted, fields: dict[str, Field], classes: int | None) -> tuple[Columns, frozenset[str]]:
    """Return the columns as far as their types tell, and the names of those whose values must be found."""
    new: set[str] = set()

    def column(field: Field, *, classified: bool = False) -> TableColumn:
        assert field.kind is not None
        if field.kind == "boolean":
            return TableColumn(field.name, field.kind, (False, True))
        if field.kind == "text" or classified or field.categories:
            new.add(field.name)
        return TableColumn(field.name, field.kind, None, integer=False)

    features = tuple(column(fields[name]) for name in wanted.features or ())
    label = None
    if wanted.label is not None:
        field = fields[wanted.label]
        label = column(field, classified=classes not in (TARGETS, UNLABELLED))
    return Columns(features, label, wanted.weight), frozenset(new)


def _mapped(columns: Columns, names: Sequence[str], where: str, *, unlabelled: bool) -> Columns:
    """Return the mapping of other data for these, whose label may be missing.

    Raises:
        InputError: a column is missing.
    """
    for column in columns.features:
        check_there(column.name, names, f"{where} (the model's columns)", "features")
    if columns.label is None or (unlabelled and columns.label.name not in names):
        return replace(columns, label=None, weight=None)
    check_there(columns.label.name, names, where, "label")
    if columns.weight is not None:
        check_there(columns.weight, names, where, "weight")
    return replace(columns, weight=None) if unlabelled else columns


def check_untabular(wanted: Wanted, spec: str) -> None:
    """Check that no columns are named for data without.

    Raises:
        InputError: there are.
    """
    if (named := wanted.given()) is not None:
        name, value = named
        shown = ",".join(value) if isinstance(value, tuple) else value
        raise InputError(
            f"{argument(name)} is {given(shown)}, but the columns of {given(spec)} have no names: leave it out; those "
            "of 'parquet:PATH' and 'csv:PATH' have"
        )
