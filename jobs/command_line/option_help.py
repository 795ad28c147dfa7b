"""A field's group and metavar in `--help`; without imports, so that options are cheap to import."""

from __future__ import annotations

from dataclasses import dataclass

COMPUTE = "what to compute"
RUNS = "where it runs"
RESULTS = "where results go"
END = "when it ends"
OTHER = "options"


@dataclass(frozen=True)
class OptionHelp:
    """A field's place in `--help`, as `Annotated[float, OptionHelp(RUNS, "SECONDS")]`.

    Args:
        group: title of the group of options to which it belongs.
        metavar: the placeholder of its value (default: of its type, such as `N` or `name=value,...`).
        path: its value is a path, which shells complete.
    """

    group: str = OTHER
    metavar: str | None = None
    path: bool = False
