"""Exit codes, and how an error becomes one sentence on the standard error stream."""

from __future__ import annotations

import sys
import traceback
from enum import IntEnum

from nas_plugins.errors import (
    DataError,
    EngineError,
    MissingDependencyError,
    NasPluginsError,
    OutputError,
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


__all__ = ["MEANING", "ExitCode", "OutputError", "UsageError", "exit_code", "sentence", "show"]
