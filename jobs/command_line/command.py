"""A command: its usage errors are InputErrors of one line; help has groups of options, examples and exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from jobs.command_line import help_text
from jobs.command_line.overview import WIDTH
from jobs.command_line.scan import scan, title
from jobs.errors import InputError, nearest


class Option(click.Option):
    """An option in a group of `--help`.

    Args:
        names: as click's.
        group: the title of its group.
        settings: click's own.
    """

    def __init__(self, names: Sequence[str], *, group: str = "options", **settings: Any) -> None:
        super().__init__(names, **settings)
        self.group = group


class Argument(click.Argument):
    """A positional argument with a line of help.

    Args:
        names: as click's.
        help: its line.
        settings: click's own.
    """

    def __init__(self, names: Sequence[str], *, help: str, **settings: Any) -> None:  # noqa: A002  click's name
        super().__init__(names, **settings)
        self.help = help


class Command(click.Command):
    """A command whose usage errors are InputErrors of one line, and which is called with its arguments.

    Args:
        name: its name, as typed after the program's, or the whole command of a program of its own.
        examples: command lines, one per line.
        exit_codes: code -> its meaning.
        program: the program of which it is a command; "" if it is one itself.
        settings: click's own.
    """

    def __init__(
        self,
        name: str,
        *,
        examples: str = "",
        exit_codes: Mapping[str, str] | None = None,
        program: str = "dask-jobs",
        **settings: Any,
    ) -> None:
        settings.setdefault("options_metavar", "[options]")
        super().__init__(name, **settings)
        self.context_settings = {"help_option_names": ["-h", "--help"], "max_content_width": WIDTH}
        self.examples = examples
        self.exit_codes = exit_codes or {}
        self.path = f"{program} {name}".strip()

    def __call__(self, arguments: Sequence[str]) -> int:
        """Run it with a command line's arguments and return its exit code.

        Raises:
            InputError: the usage error.
            SystemExit: for --help, with code 0.
        """
        with self.context(arguments) as context:
            return int(self.invoke(context) or 0)

    def context(self, arguments: Sequence[str]) -> click.Context:
        """Return the parsed arguments.

        Raises:
            InputError: the usage error.
            SystemExit: for --help, with code 0.
        """
        try:
            return self.make_context(self.path, list(arguments))
        except click.exceptions.Exit as end:
            raise SystemExit(end.exit_code) from None
        except click.UsageError as error:
            raise InputError(f"{_usage_error_text(error)} {self.hint()}") from None

    def hint(self) -> str:
        """Return the hint at the end of every usage error."""
        return f"({self.path} --help)"

    def help_page(self) -> str:
        """Return the text of --help."""
        return self.get_help(self._empty()) + "\n"

    def names(self) -> dict[str, click.Option]:
        """Return the options by each of their names."""
        params = self.get_params(self._empty())
        options = [param for param in params if isinstance(param, click.Option)]
        return {name: option for option in options for name in [*option.opts, *option.secondary_opts]}

    def _empty(self) -> click.Context:
        return click.Context(self, info_name=self.path, **self.context_settings)

    def no_such_option(self, name: str) -> InputError:
        """Return the error for an option that does not exist, with the nearest one that does."""
        near = nearest(name, [option.opts[-1] for option in self.names().values() if "--help" not in option.opts])
        return InputError(f"{name}: there is no such option{near} ({self.path} --help lists them)")

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; shell completion, whose arguments are not complete, is click's alone."""
        if ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        taken = [param.nargs for param in self.params if isinstance(param, click.Argument)]
        line = scan(args, self.names(), sys.maxsize if -1 in taken else sum(taken))
        super().parse_args(ctx, [*line.options, "--", *line.positionals])
        if line.extra:
            raise self.unexpected(line.extra)
        return []

    def unexpected(self, extra: Sequence[str]) -> Exception:
        """Return the error for arguments that it does not take."""
        if extra[0].startswith("-"):
            return self.no_such_option(extra[0].split()[0].partition("=")[0])
        return click.UsageError(f"unrecognized arguments: {' '.join(extra)}")

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return --help, described as the others are."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.help = "show this help"
        return option

    def get_help(self, ctx: click.Context) -> str:
        """Return the help."""
        return super().get_help(ctx).replace(help_text.HYPHEN, "-")

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help."""
        help_text.write(self, ctx, formatter)


def _usage_error_text(error: click.UsageError) -> str:
    """Return the text of click's error; those of missing and bad arguments are as argparse has them."""
    if isinstance(error, click.MissingParameter) and error.param is not None:
        return f"the following arguments are required: {error.param.metavar}"
    if isinstance(error, click.BadParameter) and error.param is not None:
        return f"argument {title(error.param)}: {error.message}"
    return error.message


def completer(choices: Sequence[str], *, path: bool = False) -> Callable[..., list[CompletionItem]] | None:
    """Return the completer of a value in a shell: one of the choices, also after a comma, or a path."""
    if not (choices or path):
        return None

    def complete(_: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        if path:
            return [CompletionItem(incomplete, type="file")]
        before, comma, last = incomplete.rpartition(",") if param.multiple else ("", "", incomplete)
        return [CompletionItem(before + comma + choice) for choice in choices if choice.startswith(last)]

    return complete
