"""What is logged during a search goes to its display."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator

import optuna

from nas_plugins.runner.display import Display


class _DisplayHandler(logging.Handler):
    """Shows what is logged between the lines of the display, each text once."""

    def __init__(self, shown: Display) -> None:
        super().__init__(logging.WARNING)
        self._shown = shown
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg not in self._said:
            self._said.add(record.msg)
            self._shown.say(record.getMessage())


@contextlib.contextmanager
def logging_to(shown: Display) -> Iterator[None]:
    """Sends the package's warnings to the display and keeps Optuna's chatter away."""
    logger, handler = logging.getLogger("nas_plugins"), _DisplayHandler(shown)
    propagate, verbosity = logger.propagate, optuna.logging.get_verbosity()
    logger.addHandler(handler)
    logger.propagate = False
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
        optuna.logging.set_verbosity(verbosity)


__all__ = ["logging_to"]
