"""`dask-jobs fetch`: brings a release's run folder to this machine, through a pod that can read it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from jobs.errors import ClusterError, InputError, JobError
from jobs.release.client import Cluster
from jobs.release.exec import Output
from jobs.release.helper import CONTAINER, helper_pod
from jobs.release.objects import RUN_URL, Objects, Run, annotation, containers, live, name, phase, started, terminated
from jobs.release.reading import read
from jobs.release.state import is_scratch
from jobs.release.trouble_pod import pending_pod

START_SECONDS = 300.0
POLL_SECONDS = 0.5


def fetch(cluster: Cluster, release: str, folder: str | None, *, journal: bool, force: bool) -> Path:
    """Bring the run folder of a release to a local folder, completely or not at all; return the folder.

    Args:
        cluster: where the release is.
        release: its name.
        folder: where to (None: the run folder's own name, in the current folder).
        journal: the journal too, with which the run can go on here.
        force: replace a folder that holds files.

    Raises:
        InputError: no such release; its run folder is gone or empty; the local folder is not empty.
        ClusterError: no pod could be started that reads it, or the connection was lost.
    """
    objects, run = read(cluster, release, follows=True)
    url = annotation(run.driver, RUN_URL)
    target = Path(folder or url.rstrip("/").rpartition("/")[2]).absolute()
    check_target(target, force=force)
    with _reader(cluster, objects, run, url) as (pod, container):
        command = ["python", "-m", "jobs.release.pack", url, *(["--journal"] if journal else [])]
        output = Output(cluster.execute(pod, container, command))
        unpack(output, target, force=force)
    return target


def check_target(target: Path, *, force: bool) -> None:
    """Refuse a target that would be overwritten.

    Raises:
        InputError: it is a file, or a folder with files and not `force`; or its parent is no folder.
    """
    if target.is_dir() and any(target.iterdir()) and not force:
        raise InputError(f"{target} is not empty: name another folder, or replace it by --force")
    if target.exists() and not target.is_dir():
        raise InputError(f"{target} is a file, but must be a folder")


@contextlib.contextmanager
def _reader(cluster: Cluster, objects: Objects, run: Run, url: str) -> Iterator[tuple[str, str]]:
    """Yield (pod, container) that can read the run folder: the driver if it runs, else a helper that is then removed.

    Raises:
        InputError: the run folder went with the driver's pod.
    """
    for pod in reversed(run.driver_pods):
        if live(pod) and started(pod, "driver") and terminated(pod, "driver") is None:
            yield name(pod), "driver"
            return
    if is_scratch(run.driver):
        raise InputError(
            f"nothing is left of run folder {url}: it was scratch space of the driver's pod, which has ended; "
            "to keep results, set run.s3 or run.claim in the values"
        )
    sys.stderr.write("dask-jobs: the driver does not run: a helper pod reads its run folder\n")
    helper = cluster.create_pod(helper_pod(run.driver))
    try:
        _await(cluster, objects, helper)
        yield helper, CONTAINER
    finally:
        cluster.delete_pod(helper)


def _await(cluster: Cluster, objects: Objects, helper: str) -> None:
    end = time.monotonic() + START_SECONDS
    told: set[str] = set()
    while True:
        pod = cluster.pod(helper)
        if pod is None or phase(pod) in ("Failed", "Succeeded"):
            raise ClusterError(f"the helper pod {helper} was ended from outside; the same command tries again")
        if any("running" in status.get("state", {}) for status in containers(pod)):
            return
        seen = replace(objects, pods=(pod,), events=cluster.warnings())
        causes = [trouble.what for trouble in pending_pod("driver", pod, seen)]
        for cause in causes:
            if cause not in told:
                sys.stderr.write(f"dask-jobs: the helper pod waits: {cause}\n")
                told.add(cause)
        if time.monotonic() > end:
            why = "; ".join(causes) or "the cluster does not say why"
            raise ClusterError(f"the helper pod {helper} did not start within {START_SECONDS:g} s: {why}")
        time.sleep(POLL_SECONDS)


def unpack(output: Output, target: Path, *, force: bool) -> None:
    """Unpack the tar that a pod sends beside `target`, check that it is complete, and move it there.

    Raises:
        InputError: the pod could not read the run folder, or this machine cannot write the target.
        ClusterError: not all of it came.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror})") from error
    try:
        _receive(output, part)
        part.chmod(0o755)
        if force and target.is_dir():
            shutil.rmtree(target)
        os.replace(part, target)  # noqa: PTH105  Path.replace says the same
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _receive(output: Output, part: Path) -> None:
    broken: Exception | None = None
    try:
        with tarfile.open(fileobj=io.BufferedReader(output, 1 << 20), mode="r|") as tar:
            tar.extractall(part, filter="data")
    except tarfile.TarError as error:
        broken = error
    code, text = output.finish()
    lines = text.strip().splitlines() or [""]
    if code:
        raise _failure(code, lines[-1])
    trailer = json.loads(lines[-1])
    if broken or (trailer["bytes"], trailer["sha256"]) != (output.size, output.digest):
        raise ClusterError("not all of the run folder came; the same command tries again")


def _failure(code: int, text: str) -> JobError:
    if code == ClusterError.exit_code:
        return ClusterError(text)
    return InputError(text or f"the run folder could not be read (exit code {code})")
