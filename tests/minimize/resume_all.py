"""For each method: kill -9 the driver in the middle, run the same command again, compare with an uninterrupted run.

Usage: resume_all.py FOLDER. Prints JSON: method -> what happened. Processes are forked from this one, which has
imported everything and started no thread.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import traceback
from pathlib import Path

os.environ["COUNTER"] = ""
from jobs.minimize.job import run
from jobs.minimize.optimize.methods import METHODS
from jobs.minimize.options import Options

OPTIONS = {"COBYLA": {"tol": 1e-3}, "Nelder-Mead": {"xatol": 1e-2, "fatol": 1e-2}}


def job(method: str, folder: Path, dies_at: int = 0) -> int:
    """Run the job in a forked process and return what ended it: the exit code, or minus the signal."""
    if process := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    os.environ |= {"COUNTER": f"{folder}.passes", "DIES_AT": str(dies_at)}
    try:
        run(
            Options(
                check=False,  # it evaluates, too, and what is repeated is counted
                problem="mortal:problem",
                method=method,
                workers=0,
                l2=1.0,
                run=str(folder),
                options=OPTIONS.get(method, {}),
            )
        )
    except BaseException:  # noqa: BLE001  a forked process must end here
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def passes(folder: Path) -> int:
    """Return how many passes over the data were begun."""
    return Path(f"{folder}.passes").stat().st_size


def outcome(folder: Path) -> list[object]:
    """Return what must be equal: the optimum's bytes, and what SciPy says."""
    result = json.loads((folder / "result.json").read_bytes())
    digest = hashlib.sha256((folder / "x.npy").read_bytes()).hexdigest()
    return [digest, *(result[name] for name in ("fun", "nit", "nfev", "njev", "nhev", "message", "success"))]


def resumed(method: str, top: Path) -> dict[str, object]:
    """Interrupt a run of a method at a third and at two thirds of its passes, and resume it."""
    whole, cut = top / f"{method}-whole", top / f"{method}-cut"
    codes = [job(method, whole)]
    total = passes(whole)
    codes += [job(method, cut, dies_at=max(1, total * part // 3)) for part in (1, 2)]
    codes.append(job(method, cut))
    return {
        "codes": codes,
        "equal": outcome(whole) == outcome(cut),
        "passes": total,
        "repeated": passes(cut) - total,
        "success": outcome(whole)[-1],
    }


if __name__ == "__main__":
    print(json.dumps({method: resumed(method, Path(sys.argv[1])) for method in METHODS}))  # noqa: T201
