"""What processes compute with is compared: equal, mixed with a warning, or refused."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jobs.arithmetic import arithmetic, is_portable
from jobs.cluster.bits import Bits, warning
from jobs.cpu import PORTABLE
from jobs.errors import InputError
from jobs.runs.arithmetic_file import NAME, ArithmeticFile
from jobs.storage import open_storage

WIDE = {"BLAS kernels": "SkylakeX", "SIMD": "x86_64 X86_V2 X86_V3 X86_V4"}
NARROW = {"BLAS kernels": "Haswell", "SIMD": "x86_64 X86_V2 X86_V3"}


def test_this_process():
    """Each entry that decides bits is there, and is the same at the next call."""
    found = arithmetic()
    assert {"NumPy", "SciPy", "BLAS", "BLAS kernels", "SIMD"} <= found.keys()
    assert all(found.values())
    assert arithmetic() == found


def test_the_blas_of_another_package_does_not_count(tmp_path):
    """A process that has imported OpenCV, which brings one of its own, computes NumPy's bits all the same."""
    (source,) = (Path(np.__file__).parents[1] / "numpy.libs").glob("libscipy_openblas*")
    copy = tmp_path / "other.libs" / Path(source).name.replace("scipy_openblas", "openblas")
    copy.parent.mkdir()
    shutil.copy(source, copy)
    code = "import ctypes, os, scipy.linalg, jobs.arithmetic; os.environ['OPENBLAS_CORETYPE'] = 'Prescott'; "
    code += f"ctypes.CDLL({str(copy)!r}); print(jobs.arithmetic.arithmetic()['BLAS kernels'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == arithmetic()["BLAS kernels"] != "Prescott"


def test_the_warning_has_what_differs_and_nothing_else():
    """What one process has not loaded is no difference."""
    bits = Bits()
    bits.add("the driver", {**WIDE, "keras": "3.15"})
    bits.add("worker 1", NARROW)
    assert warning(bits.as_result()).startswith("mixed bits: BLAS kernels, SIMD differed (the driver: SkylakeX, ")


def test_processes_that_are_alike(caplog):
    """Equal bits, and one kind with all its processes; who has loaded more than others is not different."""
    bits = Bits()
    bits.add("the driver", WIDE)
    for number in range(3):
        bits.add(f"worker {number}", {**WIDE, "tensorflow": "2.21"})
    bits.add("worker 1", WIDE)
    assert not caplog.records
    result = bits.as_result()
    assert result == {
        "bits": "equal",
        "arithmetic": [{"processes": "the driver, 3 workers", **WIDE, "tensorflow": "2.21"}],
    }
    assert not warning(result)


def test_one_that_differs_is_named_once(caplog):
    """A warning for each kind, with what differs and both values; the summary's last line has all of it."""
    bits = Bits()
    bits.add("the driver", WIDE)
    with caplog.at_level(logging.WARNING):
        bits.add("worker a", NARROW)
        bits.add("worker b", NARROW)
    (record,) = caplog.records
    assert record.getMessage() == (
        "worker a computes other last bits than the driver: its BLAS kernels is 'Haswell', not 'SkylakeX'; the last "
        "bits of the result may depend on which process computed what (cpu portable makes all alike)"
    )
    result = bits.as_result()
    assert (result["bits"], len(result["arithmetic"])) == ("mixed", 2)
    text = warning(result)
    assert text.startswith("mixed bits: BLAS kernels, SIMD differed (the driver: SkylakeX, x86_64")
    assert "2 workers: Haswell, x86_64 X86_V2 X86_V3)" in text


def test_a_result_of_another_version_has_no_warning():
    """It does not say what it was computed with."""
    assert not warning({})


def test_train_refuses_or_admits():
    """The text says what to do; admitted ones are mixed without a warning."""
    strict, open_to_all = Bits(differing="refuse"), Bits(differing="admit")
    for bits in (strict, open_to_all):
        bits.add("worker a", WIDE)
    with pytest.raises(InputError, match=r"worker b computes other bits: its BLAS kernels is 'Haswell'.* with mixed"):
        strict.add("worker b", NARROW)
    open_to_all.add("worker b", NARROW)
    assert open_to_all.as_result()["bits"] == "mixed"


def test_portable_refuses_what_is_not():
    """Also where all processes are alike: another machine would not be."""
    assert is_portable(NARROW)
    assert not is_portable(WIDE)
    assert not is_portable({**NARROW, "oneDNN": "avx2 avx512f"})
    assert not is_portable({**NARROW, "SIMD": "SSE SSE2 AVX2 AVX512F"}), "as NumPy before 2.4 names it"
    bits = Bits("portable")
    bits.add("the driver", {**NARROW, "oneDNN": PORTABLE["ONEDNN_MAX_CPU_ISA"]})
    with pytest.raises(InputError, match=r"worker a does not compute by the instructions of cpu portable \(BLAS ker"):
        bits.add("worker a", WIDE)


def test_an_earlier_attempt_elsewhere(tmp_path, caplog):
    """It is never refused, as it cannot be made again: a warning, and mixed bits; also with portable and without."""
    storage = open_storage(str(tmp_path))
    first = Bits()
    first.add("the driver", WIDE)
    ArithmeticFile(storage, first, 1).write()
    for attempt, (cpu, differing) in enumerate([("portable", "warn"), ("native", "refuse")], start=2):
        caplog.clear()
        bits = Bits(cpu, differing)
        bits.add("the driver", NARROW)
        file = ArithmeticFile(storage, bits, attempt)
        file.write()
        file.write()
        assert "attempt 1 computes other last bits than the driver" in caplog.text
        assert bits.as_result()["bits"] == "mixed"
        assert bits.here == [NARROW]


def test_a_worker_that_joins_later_is_written(tmp_path):
    """The file has each attempt's arithmetic, as far as it is known."""
    storage, bits = open_storage(str(tmp_path)), Bits()
    bits.add("the driver", WIDE)
    file = ArithmeticFile(storage, bits, 1)
    file.write()
    bits.add("worker a", NARROW)
    file.write()
    later = Bits()
    ArithmeticFile(storage, later, 2)
    assert later.as_result()["arithmetic"] == [{"processes": "attempt 1", **WIDE}, {"processes": "attempt 1", **NARROW}]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"1": 3}', b'{"x": [{}]}', b'{"1": [5, {"SIMD": 3}]}', b"\xff\0"])
def test_a_damaged_file_is_no_error(tmp_path, content):
    """It decides about a warning alone."""
    (tmp_path / NAME).write_bytes(content)
    bits = Bits()
    bits.add("the driver", WIDE)
    ArithmeticFile(open_storage(str(tmp_path)), bits, 2).write()
    assert bits.here
