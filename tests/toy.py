"""Installs tests/toy_job as somebody's package would be: apart from dask-jobs, which finds it by its entry point."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

TOY = Path(__file__).parent / "toy_job"


def installed(folder: Path) -> dict[str, str]:
    """Install the toy job below a folder; return the environment in which Python sees it."""
    source = shutil.copytree(TOY, folder / "source", ignore=shutil.ignore_patterns("charts", "__pycache__"))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    command += ["--no-deps", "--no-build-isolation", "--target", str(folder / "packages"), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    path = os.pathsep.join([str(folder / "packages"), *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | {"PYTHONPATH": path}
