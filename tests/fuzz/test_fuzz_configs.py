"""Options in YAML that are damaged, or of other types: options, or one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from mutations import damaged, of_another_version
from seeds import seeded, times

from jobs.errors import InputError
from jobs.options import parse
from jobs.registry import find
from jobs.tune import space

CONFIGS = {
    "minimize": {"data": "digits", "method": "CG", "options": {"gtol": 1e-3}, "l2": 0.5, "bounds": [[0, 1], [None, 2]]},
    "tune": {"objective": "a:b", "space": "s.yaml", "trials": 5, "metric": ["loss"], "fixed": {"a": [1, {"b": 2.5}]}},
    "train": {"model": "a:b", "data": "digits", "batch_size": 64, "save_every": "60s", "validation": 0.1, "parts": 8},
    "alexnet": {"data": "s3://bucket/train", "label_file": "labels.txt", "epochs": 3, "minibatch": 16},
}
SPACE = {
    "rate": {"log": [1e-5, 0.1]},
    "layers": {"integer": [1, 4]},
    "width": {"choice": [16, 32, "auto"]},
    "drop": {"uniform": [0, 0.5]},
}


@pytest.mark.parametrize("job", CONFIGS)
def test_options_of_a_file(job: str, tmp_path: Path) -> None:
    """Bytes that are lost or flipped, and values that are gone, of another type, or more than there are."""
    options, path = find(job).load_options(), tmp_path / "job.yaml"
    given = yaml.safe_dump(CONFIGS[job]).encode()
    parsed = refused = 0
    for number in range(times(150)):
        random = seeded(f"{job}-{number}")
        content = damaged(given, random) if random.random() < 0.3 else of_another_version("job.yaml", given, random)
        path.write_bytes(content)
        try:
            parse(options, f"dask-jobs {job}", ["--config", str(path)])
            parsed += 1
        except InputError as error:
            assert "\n" not in str(error), content  # noqa: PT017
            refused += 1
    assert parsed
    assert refused


def test_spaces(tmp_path: Path) -> None:
    """A file of hyperparameters, in the same ways."""
    path, given, seen = tmp_path / "space.yaml", yaml.safe_dump(SPACE).encode(), [0, 0]
    for number in range(times(300)):
        random = seeded(f"space-{number}")
        content = damaged(given, random) if random.random() < 0.3 else of_another_version("s.yaml", given, random)
        path.write_bytes(content)
        try:
            space.load(str(path))
            seen[0] += 1
        except InputError as error:
            assert "\n" not in str(error), content  # noqa: PT017
            seen[1] += 1
    assert all(seen)
