"""Shared arguments of the release commands: the release, its cluster, and the types of values."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from jobs.command_line.command import Argument, Command, Option
from jobs.errors import InputError

if TYPE_CHECKING:
    from jobs.release.api.client import Cluster

WHERE = "where the release is"
ROLES = ("driver", "scheduler", "workers")


class ClusterOptions(NamedTuple):
    """The options that name the cluster."""

    namespace: str | None
    context: str | None
    kubeconfig: str | None

    def connect(self) -> Cluster:
        """Return the cluster that they name.

        Raises:
            InputError: no kubeconfig, or one that cannot be used.
        """
        from jobs.release.api.client import Cluster

        return Cluster(*self)


def seconds(context: click.Context, param: click.Parameter, text: str | None) -> float | None:
    """Read a positive number of seconds, as a callback of an option.

    Raises:
        click.BadParameter: it is not one.
    """
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise click.BadParameter(f"{text!r} must be a positive number of seconds", context, param)
    return number


def non_negative_int(context: click.Context, param: click.Parameter, text: str | None) -> int | None:
    """Read a whole number >= 0, as a callback of an option.

    Raises:
        click.BadParameter: it is not one.
    """
    if text is not None and not text.isdecimal():
        raise click.BadParameter(f"{text!r} must be a whole number", context, param)
    return None if text is None else int(text)


def role(context: click.Context, param: click.Parameter, text: str | None) -> str | None:
    """Check a role, as a callback of an option.

    Raises:
        click.BadParameter: there is none of that name.
    """
    if text not in (None, *ROLES):
        known = ", ".join(map(repr, ROLES))
        raise click.BadParameter(f"invalid choice: {text!r} (choose from {known})", context, param)
    return text


def command(about: str, *, examples: str, exit_codes: Mapping[str, str]) -> Callable[[Callable[..., int]], Command]:
    """Return a decorator that makes a command of a function, named as the function is.

    Its keyword arguments are the options that click's decorators add below this one, and `cluster`.

    Args:
        about: its help text.
        examples: command lines, one per line.
        exit_codes: code -> its meaning.
    """

    def decorate(run: Callable[..., int]) -> Command:
        @functools.wraps(run)
        def wrapped(*, namespace: str | None, context: str | None, kubeconfig: str | None, **options: Any) -> int:
            return run(cluster=ClusterOptions(namespace, context, kubeconfig), **options)

        made = click.command(cls=Command, help=about, examples=examples, exit_codes=exit_codes, name=run.__name__)
        found = made(wrapped)
        found.params += _cluster_options()
        return found

    return decorate


def release_argument(*, optional: str = "") -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Return a decorator that adds the release's name.

    Args:
        optional: what is done without one; it must be given if that is empty.
    """
    return click.argument(
        "release",
        cls=Argument,
        metavar="[RELEASE]" if optional else "RELEASE",
        required=not optional,
        callback=_release,
        help="the name that helm install gave it" + (f" (default: {optional})" if optional else ""),
    )


def _release(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
    """Refuse a path, as a callback of the argument.

    Raises:
        InputError: it is one.
    """
    if text is not None and ("/" in text or text.startswith("s3:")):
        what = "a run folder" if (Path(text) / "options.yaml").exists() else "a path, and no release's name"
        raise InputError(
            f"{text} is {what}: dask-jobs show {text} shows a run's state, dask-jobs list those in a folder"
        )
    return text


def _cluster_options() -> list[Option]:
    """Return the options that name the cluster."""
    texts = (
        (("-n", "--namespace"), "NAME", "default: the kubeconfig context's"),
        (("--context",), "NAME", "context of the kubeconfig (default: its current one)"),
        (("--kubeconfig",), "PATH", "default: $KUBECONFIG, ~/.kube/config, or the pod's service account"),
    )
    return [Option(names, group=WHERE, metavar=metavar, help=text) for names, metavar, text in texts]
