"""Workers are compared with the first: arithmetic, model, data."""

from __future__ import annotations

import pytest

from jobs.cluster.bits import Bits
from jobs.errors import InputError
from jobs.train.group.likeness import Likeness
from jobs.train.process.messages import Built, Facts


def _built(structure: str = "s", **fingerprint: str) -> Built:
    return {"structure": structure, "fingerprint": {"threads": "1", "processor": "avx2", **fingerprint}}


def _facts(**changed: object) -> Facts:
    return {"steps": 3, "samples": 100, "held_out": 0, "structure": "s", **changed}  # type: ignore[return-value]


def test_other_arithmetic_is_refused_or_admitted_aloud():
    """The name of what differs, both values, and what to do; with mixed it is admitted."""
    strict, mixed = Likeness(Bits(differing="refuse")), Likeness(Bits(differing="admit"))
    for one in (strict, mixed):
        one.check_built("a", _built())
        one.check_built("b", _built())
    message = "worker b computes other bits: its threads is '2', that of the first '1'; .* with mixed"
    with pytest.raises(InputError, match=message):
        strict.check_built("b", _built(threads="2"))
    mixed.check_built("b", _built(threads="2"))


def test_another_model_and_other_data_are_refused():
    """A model without shapes is compared once the data have given it some."""
    one = Likeness(Bits(differing="admit"))
    one.check_built("a", _built(structure=""))
    one.check_facts("a", _facts())
    with pytest.raises(InputError, match="worker b has built another model"):
        one.check_facts("b", _facts(structure="t"))
    with pytest.raises(InputError, match="worker b sees other data than the first: 4 steps of 100 rows, not 3 of 100"):
        one.check_facts("b", _facts(steps=4))
