"""The vector instructions that numerical libraries use: all that the machine has, or those of every x86-64-v3 machine.

The same product has other last bits by other instructions, so only processes that use the same ones have equal bits.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Literal, TypeAlias

from jobs.errors import InputError, argument

Cpu: TypeAlias = Literal["native", "portable"]
PORTABLE = {
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_CBWR": "COMPATIBLE",
}
"""Environment variables of x86-64-v3: of OpenBLAS, NumPy, oneDNN (TensorFlow and PyTorch), PyTorch, and MKL, which has
no other level that is the same on processors of all makers. Libraries read them when they are loaded."""
LEVEL = frozenset({"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"})
"""Flags of x86-64-v3 beyond v2, as Linux names them (abm: LZCNT)."""
INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "asimd", "sve")
"""Vector instructions by which oneDNN and Eigen choose their kernels, as Linux names them."""


def use(cpu: Cpu) -> None:
    """Make numerical libraries, which are not loaded yet, use these instructions, here and in processes started here.

    Raises:
        InputError: they are loaded, or this machine does not have the instructions.
    """
    if cpu == "native":
        return
    check_machine()  # also where the variables are set, as in a pod: kernels that it lacks would end the process
    if is_set():
        return
    if "numpy" in sys.modules:
        text = " ".join(f"{name}={value!r}" for name, value in PORTABLE.items())
        raise InputError(
            f"{argument('cpu')} is portable, but NumPy is loaded already, with this machine's own instructions; "
            f"start Python with these environment variables: {text}"
        )
    os.environ.update(PORTABLE)


def is_set() -> bool:
    """Return whether this process was started with the variables of `portable`, or has set them."""
    return all(os.environ.get(name) == value for name, value in PORTABLE.items())


def check_machine() -> None:
    """Check that this machine has the instructions of x86-64-v3.

    Raises:
        InputError: it does not.
    """
    machine = platform.machine()
    lacks = sorted(LEVEL - flags()) if machine == "x86_64" else []
    if machine != "x86_64" or lacks:
        why = f"lacks {', '.join(lacks)}" if lacks else f"is {machine}"
        raise InputError(f"{argument('cpu')} is portable, which needs an x86-64-v3 processor, but this one {why}")


def flags() -> frozenset[str]:
    """Return what the processor can do, as Linux names it; nothing where that is not known."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    found = next((line for line in lines if line.startswith(("flags", "Features"))), "")  # the second is ARM's name
    return frozenset(found.partition(":")[2].split())
