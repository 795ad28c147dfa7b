"""The chart train: what people set reaches the job's options."""

from __future__ import annotations

from typing import Any

import pytest
from chart_tools import ROOT, Rendered, helm

from jobs.options import validated
from jobs.train.options import Options


@pytest.mark.parametrize(
    ("given", "name", "value"),
    [
        ("job.save_every=200", "save_every", "200"),
        ("job.save_every=90s", "save_every", "90s"),
        ("job.parts=workers", "parts", "workers"),
        ("job.parts=16", "parts", 16),
        ("job.validation=0.1", "validation", "0.1"),
    ],
)
def test_options_may_be_set_on_the_command_line(given: str, name: str, value: Any) -> None:
    """`--set` takes what people write there, numbers and texts, and the job's options read it."""
    done = helm("template", "fit", str(ROOT / "charts/train"), "--set", given)
    assert done.returncode == 0, done.stderr
    own = {key: one for key, one in Rendered(done.stdout).options.items() if key in Options.model_fields}
    assert getattr(validated(Options, own), name) == value
