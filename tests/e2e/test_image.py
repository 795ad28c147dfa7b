"""The image as pods see it: uid 1000, a read-only root, compiled, complete, and small."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import release as tools

ROOT = Path(__file__).parents[2]
MEGABYTES = 450
LOOK = """
import hashlib, importlib.metadata, importlib.util, json, os, pathlib, shutil, subprocess, sys

def writable(folder):
    try:
        (folder / "new").write_text("")
    except OSError:
        return False
    return True

def size():
    files, device = {}, os.stat("/").st_dev
    for folder, folders, names in os.walk("/"):
        folders[:] = [name for name in folders if os.lstat(f"{folder}/{name}").st_dev == device]
        for name in names:
            found = os.lstat(f"{folder}/{name}")
            files[found.st_ino] = found.st_size if found.st_dev == device else 0
    return sum(files.values())

site = pathlib.Path(importlib.util.find_spec("jobs").origin).parents[1]
modules = (
    "import jobs.minimize.job, jobs.tune.job, jobs.report, jobs.pods.worker, distributed, scipy.optimize, boto3, csv"
)
loaded = subprocess.run([sys.executable, "-v", "-c", modules], capture_output=True, text=True, check=True).stderr
print(json.dumps({
    "ids": [os.getuid(), os.getgid()],
    "init": pathlib.Path("/proc/1/cmdline").read_text().split(chr(0))[:2],
    "folder": os.getcwd(),
    "writable": [path for path in ("/", "/opt/venv", "/tmp", str(site)) if writable(pathlib.Path(path))],
    "version": subprocess.run(["dask-jobs", "--version"], capture_output=True, text=True).stdout.split(),
    "compiled now": [line for line in loaded.splitlines() if "code object from" in line and ".pyc" not in line],
    "pip": [shutil.which("pip"), bool(importlib.util.find_spec("pip"))],
    "caches": [str(path) for path in map(pathlib.Path, ("/root/.cache", "/tmp/.cache")) if os.path.isdir(path)],
    "package lists": len(list(pathlib.Path("/var/lib/apt/lists").glob("*Packages*"))),
    "code": {str(path.relative_to(site)): hashlib.sha256(path.read_bytes()).hexdigest()
             for path in (site / "jobs").rglob("*") if path.is_file() and path.suffix != ".pyc"},
    "size": size(),
}))
"""


def pod(image: str, pull_policy: str) -> dict[str, Any]:
    """Return a pod that runs LOOK as a job's pods run: uid 1000, nothing but /tmp to write to."""
    security = {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "runAsGroup": 1000,
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {
        "name": "look",
        "image": image,
        "imagePullPolicy": pull_policy,
        "args": ["python", "-c", LOOK],
        "securityContext": security,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    spec = {"restartPolicy": "Never", "containers": [container], "volumes": [{"name": "tmp", "emptyDir": {}}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "look"}, "spec": spec}


@pytest.fixture
def seen(kubectl: tools.Kubectl, image: str, pull_policy: str) -> dict[str, Any]:
    """Return what LOOK printed."""
    kubectl("apply", "--filename=-", input=json.dumps(pod(image, pull_policy)))
    phase = ("get", "pod", "look", "--output=jsonpath={.status.phase}")
    tools.wait_until("the pod has ended", lambda: kubectl(*phase) in ("Succeeded", "Failed"))
    return json.loads(kubectl("logs", "look").splitlines()[-1])


def test_image(seen: dict[str, Any]) -> None:
    """tini starts it as uid 1000 on a read-only root, nothing is compiled at start, and it is at most 450 MB."""
    assert seen["ids"] == [1000, 1000]
    assert seen["init"] == ["tini", "--"]
    assert seen["folder"] == "/tmp"
    assert seen["writable"] == ["/tmp"]
    assert seen["version"][0] == "dask-jobs"
    assert seen["compiled now"] == []
    assert seen["pip"] == [None, False]
    assert seen["caches"] == []
    assert seen["package lists"] == 0
    assert seen["size"] <= MEGABYTES * 10**6


def test_code(seen: dict[str, Any]) -> None:
    """The image has the code and the data of this checkout, all of it and nothing else."""
    files = [path for path in (ROOT / "jobs").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    here = {str(path.relative_to(ROOT)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    assert seen["code"] == here
