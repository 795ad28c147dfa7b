"""What all benchmarks are asked on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.processes import ROOT


def parsed(
    program: str, about: str | None, output: str, *, quick: str, subjects: Sequence[str] = ()
) -> argparse.Namespace:
    """Return the arguments of this process: quick, without_ray, output, and only where there are subjects.

    Args:
        program: `benchmarks...`, after `python -m`.
        about: for the help.
        output: the file of the results, in `benchmarks/`.
        quick: what a quick run is of.
        subjects: what may be measured alone.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=about)
    parser.add_argument("--quick", action="store_true", help=f"{quick}: does everything run?")
    parser.add_argument("--without-ray", action="store_true", help="leave Ray out, which is installed into build/ else")
    if subjects:
        parser.add_argument("--only", nargs="+", choices=subjects, default=subjects, help="measure these subjects")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / output, help="file to write")
    return parser.parse_args()
