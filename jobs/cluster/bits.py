"""Whether all processes of a run compute the same bits; else those of its result depend on which computed what."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from jobs.arithmetic import is_portable
from jobs.cpu import Cpu
from jobs.errors import InputError, argument
from jobs.formatting import plural

log = logging.getLogger(__name__)
Differing = Literal["warn", "refuse", "admit"]
Found = Mapping[str, str]


@dataclass
class _Kind:
    """Processes of the same arithmetic."""

    found: dict[str, str]
    processes: list[str] = field(default_factory=list)


class Bits:
    """The arithmetic of a run's processes, as `jobs.arithmetic` has it, and where it differs.

    Args:
        cpu: as of `jobs.cpu`; with 'portable' a process that does not use those instructions is refused.
        differing: what happens where one differs from the first: a warning, an error, or nothing.

    Attributes:
        differing: as given.
    """

    def __init__(self, cpu: Cpu = "native", differing: Differing = "warn") -> None:
        self._cpu, self.differing = cpu, differing
        self._kinds: list[_Kind] = []

    @property
    def first(self) -> dict[str, str]:
        """The arithmetic of the first process; empty before there is one."""
        return self._kinds[0].found if self._kinds else {}

    @property
    def here(self) -> list[dict[str, str]]:
        """Each arithmetic of this attempt's processes once."""
        return [kind.found for kind in self._kinds if any(not name.startswith("attempt ") for name in kind.processes)]

    @property
    def is_mixed(self) -> bool:
        """Whether two processes differ."""
        return len(self._kinds) > 1

    def add(self, process: str, found: Found, *, is_here: bool = True) -> None:
        """Compare a process with those before it.

        Args:
            process: its name: `the driver`, `worker ADDRESS`, or `attempt 2`.
            found: its arithmetic; names that only one of two processes has do not make them different.
            is_here: False of an earlier attempt, which cannot be refused any more: a difference is a warning.

        Raises:
            InputError: it differs, and such are refused.
        """
        if is_here and self._cpu == "portable" and not is_portable(found):
            raise InputError(
                f"{process} does not compute by the instructions of {argument('cpu')} portable ({_text(found)}): start "
                "it with the environment variables that docs/bits.md lists, and NumPy 2.4 or later"
            )
        for kind in self._kinds:
            if not _differences(kind.found, found):
                kind.found |= found
                if process not in kind.processes:
                    kind.processes.append(process)
                return
        if self._kinds:
            self._judge(process, found, self.differing if is_here else "warn")
        self._kinds.append(_Kind(dict(found), [process]))

    def _judge(self, process: str, found: Found, differing: Differing) -> None:
        """Warn of a process that differs from all before it, or refuse it."""
        first = self._kinds[0]
        name = _differences(first.found, found)[0]
        if differing == "refuse":
            raise InputError(
                f"{process} computes other bits: its {name} is {found[name]!r}, that of the first "
                f"{first.found[name]!r}; make workers alike ({argument('cpu')} portable), or give up equal bits with "
                f"{argument('mixed')}"
            )
        if differing == "warn":
            log.warning(
                "%s computes other last bits than %s: its %s is %r, not %r; the last bits of the result may depend on "
                "which process computed what (cpu portable makes all alike)",
                process,
                first.processes[0],
                name,
                found[name],
                first.found[name],
            )

    def as_result(self) -> dict[str, Any]:
        """Return the fields of result.json: `bits` and `arithmetic`, one mapping per kind with its `processes`."""
        return {
            "bits": "mixed" if self.is_mixed else "equal",
            "arithmetic": [{"processes": _counted(kind.processes), **kind.found} for kind in self._kinds],
        }


def _differences(one: Found, other: Found) -> list[str]:
    return [name for name in one if name in other and one[name] != other[name]]


def _text(found: Found) -> str:
    return "; ".join(f"{name} {value}" for name, value in found.items() if name in ("BLAS kernels", "SIMD", "oneDNN"))


def _counted(processes: Sequence[str]) -> str:
    """Return processes as `the driver, attempt 1, 3 workers`."""
    workers = sum(name.startswith("worker ") for name in processes)
    others = [name for name in processes if not name.startswith("worker ")]
    return ", ".join([*others, *([plural(workers, "worker")] if workers else [])])


def warning(result: Mapping[str, Any]) -> str:
    """Return the last line of the summary of a result whose processes differed; nothing if they did not."""
    if result.get("bits") != "mixed":
        return ""
    kinds: Sequence[Mapping[str, str]] = result["arithmetic"]
    names = [name for name in kinds[0] if name != "processes" and len({k[name] for k in kinds if name in k}) > 1]
    each = "; ".join(f"{kind['processes']}: {', '.join(kind.get(name, 'none') for name in names)}" for kind in kinds)
    return f"mixed bits: {', '.join(names)} differed ({each}); another run may end with other last bits"
