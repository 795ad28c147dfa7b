"""All releases of a namespace, a line each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from jobs.catalog.output import in_columns
from jobs.errors import InputError
from jobs.formatting import duration, one_line
from jobs.release.api.snapshot import names, read
from jobs.release.status.show import as_json as as_dict
from jobs.release.status.show import progress_text
from jobs.release.status.state import Release, release_state

if TYPE_CHECKING:
    from jobs.release.api.client import Cluster

HEADS = ("RELEASE", "PHASE", "WORKERS", "AGE", "PROGRESS", "CAUSE")
REQUESTS = 8
"""Maximum releases that are read at a time, by a few requests each."""


def read_all(cluster: Cluster) -> list[Release]:
    """Return the state of each release of the namespace, by name; without those that vanish meanwhile.

    Raises:
        JobError: the cluster did not answer or refused.
    """
    with ThreadPoolExecutor(REQUESTS) as pool:
        found = list(pool.map(lambda name: _read(cluster, name), names(cluster)))
    return [release for release in found if release is not None]


def _read(cluster: Cluster, name: str) -> Release | None:
    try:
        return release_state(*read(cluster, name))
    except InputError:
        if name in names(cluster):
            raise
        return None


def text(cluster: Cluster, found: Sequence[Release], *, as_json: bool) -> str:
    """Return the releases as a table, or as a JSON list of what `status --json` prints of each."""
    if as_json:
        return json.dumps([json.loads(as_dict(release)) for release in found], indent=2) + "\n"
    if not found:
        return f"no releases in namespace {cluster.namespace}; dask-jobs list lists run folders\n"
    return in_columns(HEADS, [_row(release, cluster.now) for release in found])


def _row(release: Release, now: float) -> tuple[str, ...]:
    cause = next((finding.cause for finding in release.findings if finding.active), release.error)
    running = release.phase == "running"
    return (
        release.name,
        release.phase,
        f"{release.workers.ready}/{release.workers.wanted}",
        duration(now - release.began),
        progress_text(release.progress, running=running) if release.progress else "",
        one_line(cause),
    )
