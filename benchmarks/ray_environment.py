"""Ray in an environment of its own: it is a peer, and must not become a dependency."""

from __future__ import annotations

import importlib.metadata
import subprocess
import venv

from benchmarks.rounds import ROOT

RAY = "2.60.0"
FOLDER = ROOT / "build" / "bench-ray"


def python() -> str:
    """Return the interpreter of an environment that has Ray with Tune and this process's NumPy; make it if need be.

    Raises:
        subprocess.CalledProcessError: pip cannot install them.
    """
    interpreter = str(FOLDER / "bin" / "python")
    numpy = importlib.metadata.version("numpy")
    if not FOLDER.exists():
        venv.create(FOLDER, with_pip=True)
    wanted = f"import ray.tune, numpy; assert (ray.__version__, numpy.__version__) == ({RAY!r}, {numpy!r})"
    if subprocess.run([interpreter, "-c", wanted], capture_output=True, check=False).returncode:
        install = [interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, f"ray[tune]=={RAY}", f"numpy=={numpy}"], check=True)
    return interpreter
