"""What a job's options and the other values must keep between them; so does charts/dask-job/templates/_checks.tpl."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from typing import Any


def check_trial(job: Mapping[str, Any], threads: int, gpus: int) -> None:
    """Refuse trials that no worker takes; each has so many compute threads and GPUs.

    Raises:
        ValueError: a trial wants more.
    """
    wanted = {name: _number(job.get(f"{name}_per_trial")) for name in ("threads", "gpus")}
    if wanted["threads"] > threads:
        raise ValueError(
            f"job.threads_per_trial is {wanted['threads']:g}, but a worker has {threads} (workers.threads, or the "
            "whole cores of workers.cpu): give workers more, or trials fewer"
        )
    if wanted["gpus"] > gpus:
        raise ValueError(
            f"job.gpus_per_trial is {wanted['gpus']:g}, but workers.gpu is {gpus}: give workers more, or trials fewer"
        )
    if wanted["gpus"] and gpus > math.ceil(wanted["gpus"]):
        raise ValueError(
            f"workers.gpu is {gpus}, but job.gpus_per_trial is {wanted['gpus']:g}, and all trials of a worker see all "
            "of its GPUs: give a worker those of one trial, and take more workers"
        )


def check_space(job: Mapping[str, Any], code: Container[str]) -> None:
    """Refuse a file for the search space that no pod sees; `code` has the names of those that come with the release.

    Raises:
        ValueError: it is a relative path, or not in `code`.
    """
    space = job.get("space")
    if not isinstance(space, str):
        return
    if not space.startswith("/"):
        raise ValueError(
            f"job.space is {space!r}, but must be a file that the pods see, such as /code/space.yaml with "
            r"--set-file code.space\.yaml=space.yaml, or the space itself: name: {kind: [...]}"
        )
    if space.startswith("/code/") and space.removeprefix("/code/") not in code:
        raise ValueError(f"job.space is {space!r}, but code has no such file: add it by --set-file code.NAME=FILE")


def _number(value: Any) -> float:
    """Return a number that may be given as text; 0 for what is none, which the job's options refuse."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0
