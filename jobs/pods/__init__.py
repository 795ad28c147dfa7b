"""The three processes of a release on Kubernetes: driver, scheduler and workers."""

import os
import sys

CODE = "/code"
"""Where the chart's `code` is mounted, before Python's standard library on the path of modules."""


def refuse_hidden_modules(folder: str = CODE) -> None:
    """End the process with code 2 if a file of the release's code hides a module of Python's standard library."""
    # Before all other imports, which would fail with a traceback of Python's own; so only with what Python starts with.
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():  # noqa: PTH112, PTH208
        module, _, kind = name.partition(".")
        if kind in ("py", "pyc") and module in sys.stdlib_module_names:
            sys.stderr.write(
                f"dask-jobs: error: code has the file {name!r}, which hides the module {module} of Python's standard "
                "library: choose another name\n"
            )
            sys.exit(2)


refuse_hidden_modules()
