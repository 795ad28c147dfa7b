"""`python -m benchmarks.kubernetes`: from `helm install` to the first evaluation and to the end, on a cluster.

Needs KUBECONFIG, helm, kubectl, and the image in the cluster: DASK_JOBS_IMAGE, say localhost/dask-jobs:test. Writes
benchmarks/KUBERNETES.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from benchmarks.processes import ROOT
from benchmarks.report import Table, Target, document, spread
from jobs.release.api.driver_log import time_of

FIRST, LONGEST = "first evaluation", 180.0
PEERS = Path(__file__).parent / "peers"
Times = dict[str, float]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kubernetes", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "KUBERNETES.md", help="file to write")
    arguments = parser.parse_args()
    image = os.environ["DASK_JOBS_IMAGE"]
    peers: dict[str, Callable[[str, str], Times]] = {"ours": _release, "dask": _dask, "nothing": _nothing}
    taken: dict[str, list[Times]] = {name: [] for name in peers}
    with _namespace() as namespace:
        for number in range(arguments.rounds + 1):
            for name, peer in peers.items():
                times = peer(namespace, image)
                if number:  # the first round warms the node's page cache up
                    taken[name].append(times)
    table = _table(taken)
    print(table.markdown())
    notes = [f"Kubernetes {_kubectl('version', '-o', 'json')['serverVersion']['gitVersion']}, one node, image loaded"]
    arguments.output.write_text(document([table], notes, "make bench-kubernetes"))


def _table(taken: dict[str, list[Times]]) -> Table:
    names = {
        "ours": "ours: helm install charts/minimize, 2 workers, digits",
        "dask": "dask scheduler, 2 x dask worker, a script that sums once",
        "nothing": "a pod of the same image that does nothing",
    }
    header = ("", *(step for step in taken["ours"][0]))
    rows = [
        (
            names[name],
            *(spread([times[step] for times in rounds], 1) if step in rounds[0] else "" for step in header[1:]),
        )
        for name, rounds in taken.items()
    ]
    first = [times[FIRST] for times in taken["ours"]]
    done = [ours["Complete"] / dask["Complete"] for ours, dask in zip(taken["ours"], taken["dask"], strict=True)]
    sooner = spread([1 / ratio for ratio in done])
    median = sorted(first)[len(first) // 2]
    text = (
        "Seconds from the command to each step. 'Python imports' is what the driver's process took to import all it "
        "needs,\nas it says itself; it is part of the seconds to the first evaluation. All processes start at once and "
        f"share the node's cores.\nDask's own commands take {sooner} times as long to Complete as ours."
    )
    return Table(
        "From install to result",
        text,
        header,
        rows,
        [Target("first evaluation at most 12 s after helm install", f"{spread(first, 1)} s", median <= 12)],
    )


def _release(namespace: str, image: str) -> Times:
    """Install the chart and return seconds to each step."""
    repository, _, tag = image.rpartition(":")
    settings = {"image.repository": repository, "image.tag": tag, "image.pullPolicy": "IfNotPresent"}
    name = f"fit-{uuid.uuid4().hex[:6]}"
    chart = [name, str(ROOT / "charts/minimize"), "-n", namespace]
    chart += [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    began = time.time()
    _run("helm", "install", *chart)
    installed = time.time() - began
    selector = f"app.kubernetes.io/instance={name},app.kubernetes.io/component=driver"
    complete = _until_complete(namespace, selector) - began
    log = _run("kubectl", "logs", "-n", namespace, "-l", selector, "-c", "driver", "--tail", "-1")
    events = {event["event"]: event for event in reversed(_events(log))}
    created = events["started"]["time"] - events["started"]["import_seconds"]
    _run("helm", "uninstall", name, "-n", namespace, "--wait")
    return {
        "helm returns": installed,
        "driver's process": created - began,
        "Python imports": events["run"]["time"] - created,
        FIRST: events["progress"]["time"] - began,
        "Complete": complete,
    }


def _dask(namespace: str, image: str) -> Times:
    """Start the same roles by Dask's own commands and return seconds to the first sum and to the end."""
    name = f"dask-{uuid.uuid4().hex[:6]}"
    script = (PEERS / "kubernetes_script.py").read_text()
    text = (PEERS / "kubernetes.yaml").read_text().replace("NAME", name).replace("IMAGE", image)
    objects = list(yaml.safe_load_all(text))
    objects.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"script.py": script}})
    manifest = "\n---\n".join(yaml.safe_dump(item) for item in objects)
    began = time.time()
    _run("kubectl", "apply", "-n", namespace, "-f", "-", text=manifest)
    complete = _until_complete(namespace, f"role={name}-driver") - began
    log = _run("kubectl", "logs", "-n", namespace, "-l", f"role={name}-driver", "--tail", "-1")
    first = next(event for event in _events(log) if event["event"] == "sum")
    _run("kubectl", "delete", "-n", namespace, "-f", "-", "--wait=true", text=manifest)
    return {FIRST: first["time"] - began, "Complete": complete}


def _nothing(namespace: str, image: str) -> Times:
    """Run a Job that does nothing and return seconds to its end: the cluster's own share."""
    name = f"nothing-{uuid.uuid4().hex[:6]}"
    began = time.time()
    _run("kubectl", "create", "job", name, "-n", namespace, f"--image={image}", "--", "true")
    complete = _until_complete(namespace, f"job-name={name}", pods=True) - began
    _run("kubectl", "delete", "job", name, "-n", namespace)
    return {"Complete": complete}


def _until_complete(namespace: str, selector: str, *, pods: bool = False) -> float:
    """Wait until the Job (or pod) is complete and return when that was seen.

    Raises:
        TimeoutError: it was not in time.
    """
    end = time.time() + LONGEST
    while time.time() < end:
        for item in _kubectl("get", "pods" if pods else "jobs", "-n", namespace, "-l", selector, "-o", "json")["items"]:
            conditions = {entry["type"]: entry["status"] for entry in item["status"].get("conditions", [])}
            if conditions.get("Complete") == "True" or item["status"].get("phase") == "Succeeded":
                return time.time()
        time.sleep(0.1)
    raise TimeoutError(f"{selector} was not complete in {LONGEST:g} s")


def _events(log: str) -> list[dict[str, Any]]:
    """Return the JSON lines of a log, their times in seconds since 1970."""
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    return [{**line, "time": time_of(line)} for line in lines]


@contextmanager
def _namespace() -> Iterator[str]:
    name = f"bench-{uuid.uuid4().hex[:6]}"
    _run("kubectl", "create", "namespace", name)
    try:
        yield name
    finally:
        _run("kubectl", "delete", "namespace", name, "--wait=false")


def _kubectl(*arguments: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(_run("kubectl", *arguments))
    return content


def _run(*command: str, text: str | None = None) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=LONGEST, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
