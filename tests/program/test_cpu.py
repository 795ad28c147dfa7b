"""--cpu: the same bits on any x86-64-v3 machine, by variables that are set before NumPy is loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs import connect, cpu
from jobs.cli import main
from jobs.errors import InputError

JOBS = ("minimize", "tune", "train", "alexnet")
SCRIPT = str(Path(sys.executable).parent / "dask-jobs")
RUN = [SCRIPT, "minimize", "--data", "digits", "--l2", "1", "--max-iterations", "30"]


def _bits(run: Path, *arguments: str, **environment: str) -> bytes:
    done = subprocess.run(
        [*RUN, "--run", str(run), *arguments], env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return (run / "x.npy").read_bytes()


@pytest.mark.parametrize("job", JOBS)
def test_options_are_parsed_before_numpy_is_loaded(job: str):
    """Else --cpu came too late."""
    lines = [
        "import contextlib, sys",
        "from jobs.errors import JobError",
        "from jobs.options import parse",
        "from jobs.registry import find",
        "with contextlib.suppress(JobError):",  # of a job that needs some
        f"    parse(find({job!r}).load_options(), 'dask-jobs {job}', ['--cpu', 'portable'])",
        "sys.exit('numpy' in sys.modules)",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_portable_has_equal_bits_whatever_the_environment_says(tmp_path: Path):
    """In one process and on workers; and those of a process that was started with the variables."""
    one = _bits(tmp_path / "1", "--cpu", "portable", "--workers", "0", OPENBLAS_CORETYPE="Sandybridge")
    two = _bits(tmp_path / "2", "--cpu", "portable", "--workers", "2", OPENBLAS_CORETYPE="SkylakeX")
    native = _bits(tmp_path / "3", "--workers", "0", **cpu.PORTABLE)
    assert one == two == native
    result = json.loads((tmp_path / "2" / "result.json").read_text())
    assert result["bits"] == "equal"
    (kind,) = result["arithmetic"]
    assert (kind["processes"], kind["BLAS kernels"], kind["SIMD"]) == (
        "the driver, 2 workers",
        "Haswell",
        "x86_64 X86_V2 X86_V3",
    )


def test_a_run_goes_on_with_the_other_cpu(tmp_path: Path):
    """It is the same run, whose bits are mixed, which its last line says."""
    _bits(tmp_path / "run", "--workers", "0", OPENBLAS_CORETYPE="Sandybridge")
    line = [*RUN, "--run", str(tmp_path / "run"), "--workers", "0", "--cpu", "portable", "--max-iterations", "60"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "attempt 1 computes other last bits than the driver" in done.stderr
    assert done.stdout.splitlines()[-1].startswith("warning: mixed bits: BLAS kernels")
    assert json.loads((tmp_path / "run" / "result.json").read_text())["bits"] == "mixed"


def test_numpy_is_loaded_already(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """As in this process, which was started without the variables: one line, with what to do."""
    with (
        pytest.raises(InputError, match="NumPy is loaded already.*OPENBLAS_CORETYPE='Haswell'"),
        connect(workers=1, cpu="portable"),
    ):
        pass
    assert main(["minimize", "--cpu", "portable", "--run", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err.startswith("dask-jobs: error: --cpu is portable, but NumPy is loaded already")
    assert not (tmp_path / "run").exists()


def test_a_machine_that_lacks_the_instructions(monkeypatch: pytest.MonkeyPatch):
    """Another architecture, and an older processor, by what they lack; native is always there."""
    monkeypatch.setattr(cpu.platform, "machine", lambda: "aarch64")
    with pytest.raises(InputError, match="cpu is portable, which needs an x86-64-v3 processor.* is aarch64"):
        cpu.use("portable")
    cpu.use("native")
    monkeypatch.setattr(cpu.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(cpu, "flags", lambda: cpu.LEVEL - {"fma", "avx2"})
    with pytest.raises(InputError, match="lacks avx2, fma"):
        cpu.use("portable")


def test_it_is_set_already(monkeypatch: pytest.MonkeyPatch):
    """As in a pod, or a script's second cluster: nothing to do, but on a machine that can."""
    for name, value in cpu.PORTABLE.items():
        monkeypatch.setenv(name, value)
    cpu.use("portable")
    monkeypatch.setattr(cpu, "flags", frozenset)
    with pytest.raises(InputError, match="lacks"):
        cpu.use("portable")
