"""The identity of a problem: by name, as part of a run's identity, and as each worker must have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.errors import InputError
from jobs.minimize.problems.base import CheckedProblem, block_rows, has, rows
from jobs.parts import Parts, code_sources
from jobs.sources import check_sources, digest, home, sources
from jobs.usercode import UserCode, call


@dataclass(frozen=True)
class Expected:
    """What a problem must be on a worker, as the driver has it.

    Attributes:
        text: rows, rows of a block, and the fingerprint if any.
        sources: digests of its source code; none for a problem with a fingerprint, which counts instead, or for one
            whose class is sent by value.
    """

    text: str
    sources: Mapping[str, str]

    def check(self, code: UserCode, problem: Any) -> None:
        """Check the problem that this process has loaded.

        Raises:
            InputError: it differs: other code, or other data.
        """
        if (here := _text(problem)) != self.text:
            raise InputError(
                f"this worker has another problem than the driver: {here}, not {self.text}; "
                "use the same code and the same data for both"
            )
        if self.sources and (roots := roots_of(code, problem)):
            check_sources(self.sources, *roots)


def expected(made: CheckedProblem) -> Expected:
    """Return what the problem must be on each worker."""
    own = has(made.problem, "fingerprint")
    return Expected(_text(made.problem), {} if own else sources(*roots_of(made.code, made.problem)))


def fingerprint(made: CheckedProblem, here: Expected) -> dict[str, str]:
    """Return the identity of a problem, name -> value, so that a journal is never replayed into another one.

    It is the problem's own `fingerprint()` where there is one, else its factory or class with the source of the modules
    they came from, and of an object its attributes; always with the number of rows and the problem's x0.
    """
    problem, code = made.problem, made.code
    parts = {"rows": here.text, "x0 of the problem": digest(made.x0.tobytes())}
    if has(problem, "fingerprint"):
        return parts
    if code.spec is not None:
        return parts | {"problem": code.spec, **here.sources}
    kind = UserCode("problem", type(problem), "")
    held = Parts().describe(getattr(problem, "__dict__", problem))
    return parts | {"problem": kind.name, "attributes of the problem": held, **code_sources(kind)}


def roots_of(code: UserCode, problem: Any) -> tuple[Any, ...]:
    """Return the roots of a problem's modules: the one that is named, its factory and class, if imported."""
    return code.roots() + ((type(problem),) if home(type(problem)) else ())


def _text(problem: Any) -> str:
    own = call("problem.fingerprint()", lambda: str(problem.fingerprint())) if has(problem, "fingerprint") else ""
    return f"{rows(problem)} rows in blocks of {block_rows(problem)} {own}".strip()
