"""Exit codes, and how an error becomes one sentence on the standard error stream."""

from __future__ import annotations

import re
import sys
import traceback
from enum import IntEnum

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
    (NasPluginsError, ExitCode.USAGE),
)


_OPTIONS = {
    "evaluators": "--evaluator NAME",
    "objectives": "--objective",
    "constraints": "--constraint",
    "benchmark": "--benchmark NAME",
    "space": "--space NAME",
    "strategy": "--strategy NAME",
    "benchmark_options": "--benchmark-option",
    "evaluator_options": "--evaluator-option",
    "space_options": "--space-option",
    "strategy_options": "--strategy-option",
    "warm_start": "--warm-start NAME",
    "warm_start_trials": "--warm-start-trials",
    "warm_start_options": "--warm-start-option",
    "trials": "--trials",
    "timeout": "--timeout",
    "engine": "--engine",
    "workers": "--workers",
    "pruner": "--pruner",
    "seed": "--seed",
    "storage": "--storage URL",
    "study": "--study NAME",
    "resume": "--resume",
    "take_over": "--take-over",
    "out": "--out",
    "llm": "--llm",
    **{
        f"llm[{word}]": f"--llm-{word}"
        for word in ("calls", "tokens", "usd", "seconds", "ledger", "record", "cache", "prices")
    },
    "llm[options]": "--llm-option",
    "model": "--model DIR",
    "temperature": "--temperature",
    "decoding": "--decoding",
    "unique": "--unique",
    "exclude": "--exclude FILE",
    "device": "--device",
    "force": "--force",
    "epochs_vqvae": "--epochs-vqvae",
    "epochs_prior": "--epochs-prior",
    "architectures": "--architectures",
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
    """Returns the exit code that stands for `error`."""
    if isinstance(error, OutputError):
        return ExitCode.OUTPUT
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return ExitCode.INTERNAL


def sentence(error: BaseException) -> str:
    """Returns the message of `error` on one line."""
    text = " ".join(str(error).split())
    if isinstance(error, UsageError | OutputError | EngineError | UnknownNameError):
        return in_options(text)
    if exit_code(error) is not ExitCode.INTERNAL:
        return text
    what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return f"internal error, {what} (--debug shows where)"


def show(error: BaseException, *, debug: bool = False) -> ExitCode:
    """Writes `error` to the standard error stream and returns its exit code."""
    if debug:
        traceback.print_exception(error)
    print(f"error: {sentence(error)}", file=sys.stderr)
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
