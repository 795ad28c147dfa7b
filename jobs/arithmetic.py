"""What decides the bits of this process's arithmetic: libraries, their versions, and the kernels that they chose."""

from __future__ import annotations

import functools
import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping
from importlib.util import find_spec

from jobs.cpu import INSTRUCTIONS, PORTABLE, flags

NETWORKS = ("tensorflow", "keras", "torch")
"""Libraries that compute by oneDNN, or by one that does."""
_BUNDLED = re.compile(r"[/\\](?!numpy\.libs|scipy\.libs)[^/\\]+\.libs[/\\][^/\\]+$")
"""The path of a BLAS that another package's wheel has for itself, such as OpenCV's, which Keras imports if it can."""


def arithmetic(*, later: bool = False) -> dict[str, str]:
    """Return name -> value of what decides the bits of this process's arithmetic; some 30 ms at the first call.

    TensorFlow and PyTorch count where they are loaded.

    Args:
        later: whether TensorFlow or PyTorch, if installed, may be loaded later.
    """
    modules = {name: sys.modules[name] for name in NETWORKS if name in sys.modules}
    loaded = {name: str(module.__version__) for name, module in modules.items() if hasattr(module, "__version__")}
    by_onednn = bool(loaded) or (later and any(find_spec(name) for name in NETWORKS))
    return {**_arrays(), **loaded, **({"oneDNN": _onednn()} if by_onednn else {})}


@functools.cache
def _arrays() -> Mapping[str, str]:
    import numpy as np
    import scipy.linalg  # which loads SciPy's own BLAS, in all processes alike
    from threadpoolctl import threadpool_info

    blas = [one for one in threadpool_info() if one["user_api"] == "blas" and not _BUNDLED.search(one["filepath"])]
    simd = np.show_config(mode="dicts")["SIMD Extensions"]
    return {
        "NumPy": np.__version__,
        "SciPy": scipy.__version__,
        "BLAS": _listed(f"{one['internal_api']} {one['version']}" for one in blas),
        "BLAS kernels": _listed(str(one.get("architecture", "unknown")) for one in blas),
        "SIMD": " ".join([platform.machine(), *simd["baseline"], *simd.get("found", ())]),
    }


def _onednn() -> str:
    has = flags()
    # The variable caps what the processor has.
    return os.environ.get("ONEDNN_MAX_CPU_ISA") or " ".join(name for name in INSTRUCTIONS if name in has)


def is_portable(found: Mapping[str, str]) -> bool:
    """Return whether arithmetic is that of any x86-64-v3 machine, as `jobs.cpu` has it."""
    wide = {*PORTABLE["NPY_DISABLE_CPU_FEATURES"].split(), "AVX512F"}  # the last is what NumPy before 2.4 has for it
    return (
        found["BLAS kernels"] == PORTABLE["OPENBLAS_CORETYPE"]
        and not wide & set(found["SIMD"].split())
        and found.get("oneDNN", PORTABLE["ONEDNN_MAX_CPU_ISA"]) == PORTABLE["ONEDNN_MAX_CPU_ISA"]
    )


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(sorted(set(texts)))
