"""`python -m benchmarks.torch`: measure the torch optimizer and problem, and write benchmarks/TORCH.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from benchmarks.arguments import parsed
from benchmarks.minimize import portable
from benchmarks.report import Table, document
from benchmarks.torch import batch, newton, packing, products, sharded

SUBJECTS = {"newton": newton, "products": products, "packing": packing, "batch": batch, "sharded": sharded}


def main() -> None:
    """Measure, print and write."""
    arguments = parsed(
        "benchmarks.torch", __doc__, "TORCH.md", quick="small data, one round", subjects=[*SUBJECTS, "portable"]
    )
    torch.set_num_threads(1)
    tables = []
    for name, measure in _subjects(quick=arguments.quick).items():
        if name in arguments.only:
            tables.append(measure())
            print(tables[-1].markdown(), flush=True)
    notes = [f"PyTorch {torch.__version__}"]
    if arguments.quick:
        notes.append("a quick run on small data (--quick): it shows that everything works, no figures")
    arguments.output.write_text(document(tables, notes))


def _subjects(*, quick: bool) -> Mapping[str, Callable[[], Table]]:
    measured = {name: _measure(module, quick=quick) for name, module in SUBJECTS.items()}
    return measured | {"portable": lambda: portable.run(("torch",), 2 if quick else 30)}


def _measure(module: object, *, quick: bool) -> Callable[[], Table]:
    return lambda: module.run(module.QUICK if quick else module.Extent())  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
