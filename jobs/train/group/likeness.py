"""Whether workers are alike: the same model, the same data, the same arithmetic."""

from __future__ import annotations

from jobs.errors import InputError, argument
from jobs.train.process.messages import Built, Facts


class Likeness:
    """What the first worker is like, with which all others are compared.

    Args:
        mixed: whether workers whose arithmetic differs are admitted.

    Attributes:
        fingerprint: what decides the bits of its arithmetic, name -> value.
        facts: of its data, None before they are opened.
    """

    def __init__(self, *, mixed: bool) -> None:
        self._mixed, self._structure = mixed, ""
        self.fingerprint: dict[str, str] = {}
        self.facts: Facts | None = None

    def check_built(self, address: str, built: Built) -> None:
        """Compare a worker that has built its model.

        Raises:
            InputError: its arithmetic or its model is another one.
        """
        self.fingerprint = self.fingerprint or built["fingerprint"]
        for name, value in built["fingerprint"].items():
            if value != self.fingerprint[name] and not self._mixed:
                raise InputError(
                    f"worker {address} computes other bits: its {name} is {value!r}, that of the first "
                    f"{self.fingerprint[name]!r}; make workers alike, or give up equal bits with {argument('mixed')}"
                )
        self._check_structure(address, built["structure"])

    def check_facts(self, address: str, facts: Facts) -> None:
        """Compare a worker that has opened the data.

        Raises:
            InputError: its data or its model are others.
        """
        self._check_structure(address, facts["structure"])
        self.facts = self.facts or facts
        if facts != self.facts:
            raise InputError(
                f"worker {address} sees other data than the first: {facts['steps']} steps of {facts['samples']} rows, "
                f"not {self.facts['steps']} of {self.facts['samples']}"
            )

    def _check_structure(self, address: str, structure: str) -> None:
        # "" before the data are open, of a model that has its shapes from them.
        if structure and self._structure and structure != self._structure:
            raise InputError(
                f"worker {address} has built another model: names or shapes of its variables differ; create_model must "
                "make the same one everywhere"
            )
        self._structure = self._structure or structure
