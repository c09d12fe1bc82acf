"""The command ``nas-plugins``.

Only typer is imported here: the commands import what they need when they run, so that
``nas-plugins --help`` answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from nas_plugins import __version__
from nas_plugins._secrets import learn_from_environment, learn_from_url
from nas_plugins._wording import shortened
from nas_plugins.cli._console import others_visible, remark
from nas_plugins.cli._errors import MEANING, ExitCode, show
from nas_plugins.cli._streams import lasting_streams, silence, until_enough
from nas_plugins.cli.data import app as data_app
from nas_plugins.cli.list import list_plugins
from nas_plugins.cli.report import report
from nas_plugins.cli.reproduce import reproduce
from nas_plugins.cli.sample import sample
from nas_plugins.cli.score import score
from nas_plugins.cli.search import search
from nas_plugins.cli.train import app as train_app

_CODES = "\n".join(f"- {code.value}: {text}" for code, text in MEANING.items())

app = typer.Typer(
    name="nas-plugins",
    help="Architecture-aware search over benchmark tables and your own evaluators.",
    epilog=f"Exit codes\n\n{_CODES}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.command("search")(search)
app.command("sample")(sample)
app.command("score")(score)
app.command("report")(report)
app.command("reproduce")(reproduce)
app.command("list")(list_plugins)
app.add_typer(train_app, name="train")
app.add_typer(data_app, name="data")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nas-plugins {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error.")
    ] = False,
) -> None:
    """Typer reads the options of the command itself from here; `main` acts on them."""


# Typer carries its own copy of click from some version on, so the class is taken from there.
_ClickException: type[Exception] = next(
    c
    for c in typer.BadParameter.__mro__
    if issubclass(c, Exception) and c.__name__ == "ClickException"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: Without the program name; default ``sys.argv[1:]``.

    Returns:
        The exit code, see `nas_plugins.cli._errors.ExitCode`.
    """
    words = [*(sys.argv[1:] if arguments is None else arguments)]
    debug = "--debug" in words
    # Accepted anywhere, as people add it to the end of the line that went wrong.
    words = [word for word in words if word != "--debug"]
    learn_from_environment()
    for word in words:
        learn_from_url(word)
    with lasting_streams():
        return _run(words, debug=debug)


def _run(words: list[str], *, debug: bool) -> int:
    code = 0
    try:
        # `nas-plugins list | head` closes the pipe early: nothing is wrong.
        with others_visible(), until_enough():
            code = app(words, prog_name="nas-plugins", standalone_mode=False, obj=words)
        return int(code or ExitCode.OK)
    except _ClickException as error:
        return _usage(error)
    except SystemExit as error:
        if not isinstance(error.__context__, BrokenPipeError):
            raise
        silence(sys.stdout)  # Click ends the process where the reader of its help has enough
        return ExitCode.OK
    except (KeyboardInterrupt, typer.Abort):
        remark("interrupted")
        return ExitCode.INTERRUPTED
    except Exception as error:
        return show(error, debug=debug)


def _usage(error: Exception) -> int:
    message = " ".join(str(getattr(error, "format_message", error.__str__)()).split())
    if message:  # `no_args_is_help` has printed the help and has nothing to add
        remark(f"error: {shortened(message)}")
    return ExitCode.USAGE


__all__ = ["app", "main"]
