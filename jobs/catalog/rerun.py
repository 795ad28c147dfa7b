"""A run that is started again elsewhere: its options, and which code it is made with."""

from __future__ import annotations

import contextlib
import itertools
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, create_model

from jobs.command_line.option_help import COMPUTE, OptionHelp
from jobs.errors import InputError, argument, print_note
from jobs.options import JobOptions, parse_typed, validated
from jobs.runs.named_code import check_named
from jobs.runs.provenance.code import modules_of, restore
from jobs.runs.provenance.reading import read_provenance
from jobs.storage import open_storage

if TYPE_CHECKING:
    from jobs.job import Job
    from jobs.runs.folder import RunFolder
    from jobs.runs.provenance.reading import Code
    from jobs.storage import Storage

NAMED = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
"""`module:function`."""
HOOKS = ("on_end", "observer")
"""Options that call programs beside the job: a folder from elsewhere must not choose a command."""
ABOUT = """Start a run again, in a new folder: with its options, those given here in their place, and the code that is
here, or the copy of it in the run folder. At the end a line says whether the result has the same bits.

Examples:
  dask-jobs rerun runs/digits
  dask-jobs rerun runs/digits --run runs/stronger --l2 1e-3
  dask-jobs rerun s3://bucket/runs/7 --code run --workers 4 --run runs/7
"""
CODE: tuple[Any, Any] = (
    Annotated[Literal["here", "run"], OptionHelp(COMPUTE)],
    Field(
        default="here",
        description="the user's modules: those on the Python path here, or the copy in the run folder, which is run "
        "as any program is: of a folder that you trust",
    ),
)


@dataclass(frozen=True)
class Rerun:
    """What is to be run.

    Attributes:
        url: the folder of the run before.
        options: of the new run.
        kept: whether the code is the run folder's copy.
    """

    url: str
    options: JobOptions
    kept: bool


def plan_rerun(job: Job, run: RunFolder, url: str, arguments: Sequence[str]) -> Rerun:
    """Return what is to be run.

    Args:
        job: of the run.
        run: the run folder.
        url: as typed.
        arguments: options in the place of the run's; `--run` and `--code`.

    Raises:
        InputError: an option is wrong.
        SystemExit: for --help, with code 0.
    """
    model = job.load_options()
    asking = create_model("Rerun", __base__=model, __doc__=ABOUT, code=CODE)
    typed = parse_typed(asking, "dask-jobs rerun RUN", arguments)
    kept = typed.pop("code", "here")
    if kept not in ("here", "run"):
        raise InputError(f"{argument('code')} is {kept!r}, but must be here or run")
    if "config" in typed:
        raise InputError(
            f"{argument('config')} {typed['config']}: rerun takes the options of {url}; give others singly"
        )
    left_out = _left_out(model, run, typed)
    before = {name: value for name, value in run.options.items() if name not in left_out}
    options = validated(model, {**before, **typed, "run": typed.get("run") or next_folder(url)})
    if open_storage(url) == open_storage(str(options.run)):
        raise InputError(f"{argument('run')} {options.run} is the run that is to be repeated: give another folder")
    return Rerun(url, options, kept == "run")


def _left_out(model: type[JobOptions], run: RunFolder, typed: Mapping[str, Any]) -> set[str]:
    """Return the options of a run that do not count elsewhere: its place, and what resumed it."""
    names = {"job", "run", "config", *model.RESUMES, *HOOKS}
    for name in HOOKS:
        if run.options.get(name) and name not in typed:
            print_note(f"--{name.replace('_', '-')} of the run is not taken over: give it anew, if it is to be called")
    if scheduler := run.options.get("scheduler"):
        # The number of workers was of that cluster, too.
        names |= {"scheduler", "workers"}
        if "scheduler" not in typed:
            print_note(f"the run's scheduler {scheduler} is not used: give --scheduler, or --workers of this machine")
    return names


def next_folder(url: str) -> str:
    """Return the first of `RUN-rerun-1`, `RUN-rerun-2`, ... that is not a run folder yet."""
    names = (f"{url.rstrip('/')}-rerun-{number}" for number in itertools.count(1))
    return next(name for name in names if not _is_taken(open_storage(name)))


def _is_taken(storage: Storage) -> bool:
    return storage.exists("attempts/0001") or storage.exists("options.yaml")


@contextlib.contextmanager
def code_on_path(again: Rerun, run: RunFolder, storage: Storage) -> Iterator[None]:
    """Have the code on the Python path within, after a note that says which it is, and in what it differs.

    Raises:
        InputError: the code here is none that may be loaded, or is missing; or the copy is missing, or was changed.
    """
    modules = named_modules(again.options)
    found = read_provenance(storage)
    code = found.code if found else None
    if not again.kept:
        for spec in modules:
            check_named(run, spec)
        if modules:
            _compare(again.url, code, [spec.partition(":")[0] for spec in modules])
        yield
        return
    if code is None:
        raise InputError(f"{argument('code')} run: {again.url} has no copy of any code; leave the option out")
    with tempfile.TemporaryDirectory(prefix="dask-jobs-code-") as folder:
        digests = {label: value for label, value in code.sources.items() if label not in code.left_out}
        restore(storage, code.folder, digests, Path(folder))
        missing = f"; not copied, so from here: {', '.join(code.left_out)}" if code.left_out else ""
        print_note(f"code: the copy in {again.url}/{code.folder}{missing}")
        sys.path.insert(0, folder)
        try:
            yield
        finally:
            sys.path.remove(folder)


def named_modules(options: JobOptions) -> list[str]:
    """Return the options that name a `module:function`."""
    values = (value for value in options.model_dump().values() if isinstance(value, str))
    return [value for value in values if NAMED.fullmatch(value)]


def _compare(url: str, code: Code | None, modules: Sequence[str]) -> None:
    """Say in a line in what the code here differs from that of the run.

    Raises:
        InputError: a module is not here, though the run has a copy of it.
    """
    here = {one.label: one.digest for one in modules_of(modules)}
    if code is None:
        if here:
            print_note(f"code: {', '.join(here)} of here; {url} does not say what its code was")
        return
    copy = f"--code run takes the copy in {url}/{code.folder}"
    if not here:
        raise InputError(
            f"{next(iter(code.sources), modules[0])} is not on the Python path here: go to its folder; {copy}"
        )
    other = sorted(name for name in {*here, *code.sources} if here.get(name) != code.sources.get(name))
    if not other:
        print_note(f"code: that of here, which is the run's ({code.text})")
        return
    differ = "differs" if len(other) == 1 else "differ"
    print_note(f"code: that of here; {', '.join(other)} {differ} from the run's ({code.text}); {copy}")
