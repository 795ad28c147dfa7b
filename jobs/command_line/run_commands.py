"""The commands of run folders: their arguments, options and help."""

from __future__ import annotations

import click

from jobs.command_line.command import Argument, Command, Option, completer

PREDICT = """Predicts the rows of a data set by the model of a run that has ended, and writes a CSV: the row, what is
predicted, a number for each class, and the label where there is one. With labels of classes the accuracy is said at
the end.

Of alexnet, images are read and resized as the training did; the likeliest classes of each one are printed."""
PREDICT_EXAMPLES = """dask-jobs predict runs/digits --data digits --output digits.csv
dask-jobs predict runs/mnist --data idx:/data/mnist/t10k | head
dask-jobs predict runs/my-problem --data npz:s3://bucket/new.npz --output s3://bucket/new.csv
dask-jobs predict runs/cnn --data npy:/data/new
dask-jobs predict runs/a1 cat.jpg dog.jpg"""
LIST = """Lists the runs in some folders and below them, the newest first: a row each, with its state, its progress
and its most important number. stale: its driver, of this machine, is gone; the same command resumes it. A folder
that cannot be read is a row that says so."""
LIST_EXAMPLES = """dask-jobs list
dask-jobs list runs/project s3://bucket/runs
dask-jobs list --state failed --output json
dask-jobs list --job tune"""
COMPARE = """Compares runs: the options in which they differ, their results side by side, and what they were made
of: code, commit, data, arithmetic, packages. As html a page with the curves of all runs in one plot."""
COMPARE_EXAMPLES = """dask-jobs compare runs/a runs/b
dask-jobs compare runs/* --output csv > runs.csv
dask-jobs compare runs/a s3://bucket/runs/7 --output html > compared.html"""
RERUN = """Starts the job of a run again in a new folder, on this machine or another, with the run's options and
those given here in their place, which are those of its job: 'dask-jobs rerun RUN --help' lists them. At the end a
line says whether the result has the same bits.

The code is that on the Python path here, and a line says in what it differs from the run's; with --code run it is
the copy in the run folder, which is run as any program is: of a folder that you trust."""
RERUN_EXAMPLES = """dask-jobs rerun runs/digits
dask-jobs rerun runs/digits --run runs/stronger --l2 1e-3
dask-jobs rerun s3://bucket/runs/7 --code run --workers 4 --run runs/7"""
STATES = ("running", "done", "failed", "stopped", "stale", "not started", "damaged")


class PredictCommand(Command):
    """The command `predict`, whose usage begins with the run, as that of the other commands of a run folder does."""

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return the parts of its usage."""
        run, files = (param.metavar or "" for param in self.get_params(ctx) if isinstance(param, click.Argument))
        return [run, "--data DATA [--output FILE] |", run, files.strip("[]")]


def run_command(name: str, about: str) -> Command:
    """Return a command that takes a run folder and nothing else, for its help and for completion.

    Args:
        name: its name.
        about: its help text.
    """
    run = _run_argument()
    examples = f"dask-jobs {name} runs/digits\ndask-jobs {name} s3://bucket/runs/7"
    return Command(name, params=[run], help=about, examples=examples, options_metavar="")


def predict_command() -> Command:
    """Return the command that predicts by a run's model."""
    path = completer((), path=True)
    files = Argument(
        ["files"],
        metavar="[FILE...]",
        nargs=-1,
        help="images, paths of this machine, for a run of alexnet",
        shell_complete=path,
    )
    data = Option(
        ["--data"],
        metavar="DATA",
        help="rows to predict: digits, idx:FOLDER, npz:FILE or npy:FOLDER, local or s3://; labels may be missing",
        shell_complete=path,
    )
    output = Option(
        ["--output"],
        metavar="FILE",
        help="CSV file, a path or s3://bucket/key, which is written completely or not at all (default: standard "
        "output)",
        shell_complete=path,
    )
    return PredictCommand(
        "predict",
        params=[_run_argument(), files, data, output],
        help=PREDICT,
        examples=PREDICT_EXAMPLES,
        options_metavar="",
    )


def _run_argument() -> Argument:
    return Argument(
        ["run"], metavar="RUN", help="run folder, a path or s3://bucket/prefix", shell_complete=completer((), path=True)
    )


def list_command() -> Command:
    """Return the command that lists runs."""
    folders = Argument(
        ["folders"],
        metavar="[FOLDER...]",
        nargs=-1,
        help="folders of runs, paths or s3://bucket/prefix (default: runs)",
        shell_complete=completer((), path=True),
    )
    state = Option(["--state"], metavar="STATE", help=f"only runs that are {', '.join(STATES[:-1])} or {STATES[-1]}",
                   type=click.Choice(STATES), shell_complete=completer(STATES))  # fmt: skip
    job = Option(["--job"], metavar="JOB", help="only runs of this job")
    return Command(
        "list", params=[folders, state, job, _output("table", "json", "csv")], help=LIST, examples=LIST_EXAMPLES
    )


def compare_command() -> Command:
    """Return the command that compares runs."""
    runs = Argument(
        ["runs"],
        metavar="RUN RUN...",
        nargs=-1,
        required=True,
        help="run folders, paths or s3://bucket/prefix",
        shell_complete=completer((), path=True),
    )
    return Command(
        "compare", params=[runs, _output("table", "json", "csv", "html")], help=COMPARE, examples=COMPARE_EXAMPLES
    )


def rerun_command() -> Command:
    """Return the command that runs again, with the options that do not depend on the job."""
    run = Option(["--run", "new"], metavar="FOLDER", help="the new run folder (default: RUN-rerun-1, -2, ...)",
                 shell_complete=completer((), path=True))  # fmt: skip
    code = Option(["--code"], metavar="here|run", help="the user's modules: those here (default), or the run's copy",
                  shell_complete=completer(("here", "run")))  # fmt: skip
    return Command("rerun", params=[_run_argument(), run, code], help=RERUN, examples=RERUN_EXAMPLES)


def _output(*forms: str) -> Option:
    return Option(
        ["--output"],
        metavar="|".join(forms),
        type=click.Choice(forms),
        default=forms[0],
        help=f"how it is printed (default: {forms[0]})",
        shell_complete=completer(forms),
    )
