"""Ray in an environment of its own: it is a peer, and must not become a dependency."""

from __future__ import annotations

import importlib.metadata
import subprocess
import venv
from typing import Literal

from benchmarks.processes import ROOT

RAY = "2.60.0"
FOLDER = ROOT / "build" / "bench-ray"
MODULES = {"tune": "ray.tune", "train": "ray.train.tensorflow", "data": "ray.data"}
"""Ray's extras, and what is imported of each."""
TENSORFLOW = ("tensorflow_cpu", "keras")


def python(extra: Literal["tune", "train", "data"] = "tune") -> str:
    """Return the interpreter of an environment that has Ray and this process's NumPy; make it if need be.

    Args:
        extra: what it has of Ray; with Ray Train, this process's TensorFlow and Keras too.

    Raises:
        subprocess.CalledProcessError: pip cannot install them.
    """
    interpreter = str(FOLDER / "bin" / "python")
    if not FOLDER.exists():
        venv.create(FOLDER, with_pip=True)
    names = ("numpy", *(TENSORFLOW if extra == "train" else ()))
    versions = {name: importlib.metadata.version(name) for name in names}
    wanted = f"all(version(name) == one for name, one in {versions | {'ray': RAY}!r}.items())"
    check = f"from importlib.metadata import version; import {MODULES[extra]}; assert {wanted}"
    if subprocess.run([interpreter, "-c", check], capture_output=True, check=False).returncode:
        install = [interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        packages = [f"{name}=={one}" for name, one in versions.items()]
        subprocess.run([*install, f"ray[{extra}]=={RAY}", *packages], check=True)
    return interpreter
