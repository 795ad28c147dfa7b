"""The command lines of the release commands."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

from jobs.errors import InputError, nearest
from jobs.release.api.client import Cluster


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one-line InputErrors, and whose help ends with examples.

    Args:
        command: the command's name.
        text: what it does.
        examples: command lines, and what is to be known of exit codes.
    """

    def __init__(self, command: str, text: str, examples: str) -> None:
        super().__init__(
            prog=f"dask-jobs {command}",
            description=text,
            epilog=examples,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """Raise the complaint.

        Raises:
            InputError: always.
        """
        unknown, _, rest = message.partition("unrecognized arguments: ")
        if not unknown and rest.startswith("-"):
            name = rest.split()[0].partition("=")[0]
            near = nearest(name, (option for option in self._option_string_actions if option.startswith("--")))
            raise InputError(f"{name}: there is no such option{near} ({self.prog} --help lists them)")
        raise InputError(f"{message} ({self.prog} --help)")


def release_parser(command: str, text: str, examples: str) -> Parser:
    """Return a parser of a release's name and where it is."""
    parser = Parser(command, text, examples)
    parser.add_argument("release", metavar="RELEASE", help="the name that helm install gave it")
    add_cluster(parser)
    return parser


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the cluster is."""
    parser.add_argument("-n", "--namespace", help="default: the kubeconfig context's")
    parser.add_argument("--context", help="context of the kubeconfig (default: its current one)")
    parser.add_argument("--kubeconfig", help="default: $KUBECONFIG, ~/.kube/config, or the pod's service account")


def cluster_of(options: argparse.Namespace) -> Cluster:
    """Return the cluster that the options name.

    Raises:
        InputError: no kubeconfig, or one that cannot be used.
    """
    return Cluster(options.namespace, options.context, options.kubeconfig)


def seconds(text: str) -> float:
    """Read a positive number of seconds, for argparse."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} must be a positive number of seconds")
    return number


def whole(text: str) -> int:
    """Read a whole number >= 0, for argparse."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number")
    return int(text)


def parsed(parser: Parser, arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options of a command line.

    Raises:
        InputError: one line on what is wrong.
        SystemExit: for --help, with code 0.
    """
    return parser.parse_intermixed_args(list(arguments))
