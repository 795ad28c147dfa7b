"""Whether workers are alike: the same model, the same data, the same arithmetic."""

from __future__ import annotations

from jobs.cluster.bits import Bits
from jobs.errors import InputError
from jobs.train.process.messages import Built, Facts


class Likeness:
    """What the first worker is like, with which all others are compared.

    Args:
        bits: the arithmetic of the run's processes, to which the workers' is added.

    Attributes:
        facts: of its data, None before they are opened.
    """

    def __init__(self, bits: Bits) -> None:
        self._bits, self._structure = bits, ""
        self.facts: Facts | None = None

    @property
    def fingerprint(self) -> dict[str, str]:
        """What decides the bits of its arithmetic, name -> value."""
        return self._bits.first

    def check_built(self, address: str, built: Built) -> None:
        """Compare a worker that has built its model.

        Raises:
            InputError: its arithmetic or its model is another one.
        """
        self._bits.add(f"worker {address}", built["fingerprint"])
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
