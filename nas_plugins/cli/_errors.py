"""Exit codes, and how an error becomes one sentence on the standard error stream."""

from __future__ import annotations

import re
import traceback
from enum import IntEnum

from nas_plugins._wording import shortened
from nas_plugins.cli._console import remark
from nas_plugins.errors import (
    DataError,
    EngineError,
    MissingDependencyError,
    NasPluginsError,
    OutputError,
    UnknownNameError,
    UsageError,
)


class ExitCode(IntEnum):
    """What the exit code of ``nas-plugins`` says."""

    OK = 0
    ALL_FAILED = 1
    USAGE = 2
    DATA = 3
    STORAGE = 4
    OUTPUT = 5
    INTERNAL = 70
    INTERRUPTED = 130
    TERMINATED = 143


MEANING = {
    ExitCode.OK: "done; also when --timeout ended the search",
    ExitCode.ALL_FAILED: "the search ended and no trial has a value, or nothing was scored",
    ExitCode.USAGE: "unknown name, wrong value or broken plug-in",
    ExitCode.DATA: "a benchmark file or an optional package is missing or damaged",
    ExitCode.STORAGE: "the storage fails, its study does not fit, or all workers were lost",
    ExitCode.OUTPUT: "a result or report cannot be written",
    ExitCode.INTERNAL: "an error inside nas-plugins; --debug shows where",
    ExitCode.INTERRUPTED: "interrupted with Ctrl-C; finished trials, epochs and scores are kept",
    ExitCode.TERMINATED: "ended by SIGTERM; finished trials and epochs are kept",
}

# The first match counts, so a subclass stands before its base.
_CODES: tuple[tuple[type[BaseException], ExitCode], ...] = (
    (DataError, ExitCode.DATA),
    (MissingDependencyError, ExitCode.DATA),
    (EngineError, ExitCode.STORAGE),
    (OutputError, ExitCode.OUTPUT),
    (NasPluginsError, ExitCode.USAGE),
)


_PLAIN = (
    "architectures budget datasets decoding device devices draws engine epochs_prior "
    "epochs_vqvae evaluations force llm llm_seeds models out pruner resume samples "
    "seed seeds take_over temperature timeout trials unique warm_start_trials workers"
)
_OPTIONS = {
    **{name: f"--{name.replace('_', '-')}" for name in _PLAIN.split()},
    **{
        f"{name}s": f"--{name.replace('_', '-')}"
        for name in (
            *("objective", "constraint", "benchmark_option", "evaluator_option", "space_option"),
            *("strategy_option", "warm_start_option"),
        )
    },
    **{
        f"llm[{word}]": f"--llm-{word}"
        for word in ("calls", "tokens", "usd", "seconds", "ledger", "record", "cache", "prices")
    },
    "llm[options]": "--llm-option",
    "benchmark": "--benchmark NAME",
    "evaluators": "--evaluator NAME",
    "exclude": "--exclude FILE",
    "model": "--model DIR",
    "space": "--space NAME",
    "storage": "--storage URL",
    "strategy": "--strategy NAME",
    "study": "--study NAME",
    "warm_start": "--warm-start NAME",
}
"""Option of the command line, with its placeholder, by the argument that it gives."""

_ARGUMENT = re.compile(r"(?:(?<=one )of )?`(?P<name>[\w\[\]]+)(?:=(?P<value>[^`]*))?`")
_OF_A_PLUGIN = re.compile(
    r"(?:(?:benchmark|chat model|evaluator|space|strategy) '[^']*'|zero-cost): "
)


def in_options(text: str) -> str:
    """A message that names arguments of a public function, in the words of the command line.

    >>> in_options("`storage` needs `study=...`; `trials` must be >= 1; pass `resume=True`")
    '--storage needs --study NAME; --trials must be >= 1; pass --resume'
    """
    return text if _OF_A_PLUGIN.match(text) else _ARGUMENT.sub(_option, text)


def _option(found: re.Match[str]) -> str:
    option, _, placeholder = _OPTIONS.get(found["name"], "").partition(" ")
    if not option:
        return found[0]
    given = {None: "", "True": "", "...": placeholder}.get(found["value"], found["value"])
    return f"{option} {given}".rstrip()


def exit_code(error: BaseException) -> ExitCode:
    """Returns the exit code that stands for `error`: a broken search's is that of its cause."""
    if isinstance(error, EngineError) and isinstance(error.__cause__, NasPluginsError):
        return exit_code(error.__cause__)
    return next((code for kind, code in _CODES if isinstance(error, kind)), ExitCode.INTERNAL)


def sentence(error: BaseException) -> str:
    """Returns the message of `error` on one line."""
    text = shortened(" ".join(str(error).split()))
    if isinstance(error, UsageError | OutputError | EngineError | UnknownNameError):
        return in_options(text)
    if exit_code(error) is not ExitCode.INTERNAL:
        return text
    what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return f"internal error, {what} (--debug shows where)"


def show(error: BaseException, *, debug: bool = False) -> ExitCode:
    """Writes `error` to the standard error stream and returns its exit code."""
    if debug:
        remark("".join(traceback.format_exception(error)).rstrip())
    remark(f"error: {sentence(error)}")
    return exit_code(error)


__all__ = [
    "MEANING",
    "ExitCode",
    "OutputError",
    "UsageError",
    "exit_code",
    "in_options",
    "sentence",
    "show",
]
