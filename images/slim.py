# ruff: noqa: INP001
"""Remove from an image's packages what no job reads, compile the rest, and print what is large.

It runs in the Containerfile, with the Python of the packages: `/opt/venv/bin/python slim.py`. Compiled files are
unchecked (PEP 552): pods cannot write any, and copying a file must not make its compiled one stale.
"""

from __future__ import annotations

import compileall
import py_compile
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

# Where boto3 looks for S3 and for credentials; the other 430 services of AWS are 25 MB.
BOTOCORE_SERVICES = {"s3", "signin", "sso", "sso-oidc", "sts"}
TESTED = ("dask", "distributed", "fsspec", "numpy", "pyarrow", "scipy", "tblib")


def main() -> None:
    """Slim the packages of the running Python."""
    site = Path(sysconfig.get_path("purelib"))
    for path in list(unneeded(site)):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    strip(site)
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(site, quiet=1, force=True, invalidation_mode=mode)
    for package in sorted(site.iterdir(), key=size, reverse=True)[:15]:
        print(f"{size(package) / 1e6:8.1f} MB  {package.name}")  # noqa: T201
    print(f"{size(site) / 1e6:8.1f} MB  in all")  # noqa: T201


def unneeded(site: Path) -> Iterator[Path]:
    """Yield the files and folders below `site` (site-packages) that no job reads."""
    for pattern in ("__pycache__", "*.pyi", "*.pyx", "*.a"):
        yield from site.rglob(pattern)
    for package in TESTED:
        yield from (path for path in (site / package).rglob("tests") if path.is_dir())
    for service in (site / "botocore/data").iterdir():
        if service.is_dir() and service.name not in BOTOCORE_SERVICES:
            yield service
    for_compilers = ("tensorflow/include", "clang/native", "torch/include", "pyarrow/include", "pyarrow/src")
    yield from filter(Path.exists, (site / name for name in for_compilers))
    yield from (site / "pyarrow").glob("*_flight*")  # Arrow's servers, which nothing else loads: 33 MB
    yield from (site / "nvidia").glob("*/include")
    yield from site.glob("triton*")  # torch.compile's compiler for GPUs: a gigabyte
    static = site / "bokeh/server/static"  # browsers get the minified scripts
    yield static / "lib"
    yield static / "js/lib"
    yield from (path for path in (static / "js").glob("*.js") if not path.name.endswith(".min.js"))


def strip(site: Path) -> None:
    """Remove symbols and debugging data from extension modules; `.libs` are patched files that strip may break."""
    modules = [path for path in site.rglob("*.so") if ".libs/" not in str(path)]
    subprocess.run(["strip", "--strip-unneeded", *modules], check=True)  # noqa: S603, S607


def size(path: Path) -> int:
    """Return the bytes of the files at or below a path."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file() and not file.is_symlink())


if __name__ == "__main__":
    main()
