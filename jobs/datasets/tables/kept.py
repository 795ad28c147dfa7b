"""The mapping from a table's values to numbers that a run keeps: new data are mapped by it, not by their own values."""

from __future__ import annotations

import json
from typing import Any

from jobs.datasets.tables.columns import Columns
from jobs.datasets.tables.table import Table
from jobs.errors import DAMAGED, InputError
from jobs.formatting import error_line
from jobs.storage import Storage

NAME = "columns.json"


def keep_columns(run: Storage, data: Any) -> None:
    """Write the mapping of a run's data into its folder, if they are a table.

    Args:
        run: the run folder.
        data: what the run reads its rows from, of any type.

    Raises:
        ClusterError: the folder cannot be written.
    """
    if isinstance(data, Table):
        run.write(NAME, json.dumps(data.columns.as_json(), indent=1).encode())


def kept_columns(run: Storage) -> Columns | None:
    """Return the mapping that a run keeps; None: its data had no named columns.

    Raises:
        InputError: the file is damaged.
    """
    try:
        return Columns.from_json(json.loads(run.read(NAME)))
    except FileNotFoundError:
        return None
    except DAMAGED as error:
        raise InputError(
            f"{run.address(NAME)} is damaged ({error_line(error)}): bring it back; the run's command writes it anew in "
            "another folder"
        ) from error
