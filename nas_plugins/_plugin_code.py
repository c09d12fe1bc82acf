"""Around the code of plug-ins: what it raises is told with its name, and it cannot end a process.

Third parties' code may do anything. Our own errors, and those by which Python refuses arguments,
pass where they are expected; everything else becomes a `PluginError` with its cause.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from nas_plugins.errors import MissingDependencyError, NasPluginsError, PluginError

_MAX_SHOWN = 200


def writable(text: str) -> str:
    r"""The text with lone surrogates escaped, which no file, database or terminal would take.

    >>> writable("acc\ud800") == "acc" + chr(92) + "ud800"
    True
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def shown(thing: object) -> str:
    """What an object says of itself, at most 200 characters; its class where that fails."""
    try:
        text = writable(repr(thing))
    except Exception as error:  # whatever a third party's `__repr__` raises
        kind = type(thing)
        return f"<{kind.__module__}.{kind.__qualname__}, whose repr raises {type(error).__name__}>"
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 3]}..."


def named_reason(error: BaseException) -> str:
    """Class and message of an error on one line."""
    try:
        text = " ".join(writable(str(error)).split())
    except Exception:  # whatever a third party's `__str__` raises
        text = "(its message cannot be read)"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@contextmanager
def plugin_code(
    plugin: str | Callable[[], str],
    fails: str,
    *,
    passing: type[BaseException] | tuple[type[BaseException], ...] = (),
) -> Iterator[None]:
    """A block in which code of a plug-in runs.

    Args:
        plugin: What is called, for messages, e.g. ``"strategy 'random'"``; or what finds that
            out where it is needed.
        fails: What has gone wrong if it raises, e.g. ``"cannot be built"``.
        passing: Errors that pass, beside our own and a Ctrl-C.

    Raises:
        PluginError: The code raises anything else, `SystemExit` included.
    """
    try:
        yield
    except (NasPluginsError, KeyboardInterrupt):
        raise
    except passing:
        raise
    except BaseException as error:
        name = plugin if isinstance(plugin, str) else plugin()
        raise PluginError(f"{name} {fails}: {named_reason(error)}") from error


@contextmanager
def module_code(plugin: str) -> Iterator[None]:
    """As `plugin_code` where a module of the plug-in is imported.

    Raises:
        MissingDependencyError: The module says which package it needs.
        PluginError: It raises anything else. `KeyboardInterrupt` passes where the user has
            pressed Ctrl-C, and is the module's own where nobody has.
    """
    pressed: list[bool] = []
    try:
        with _noticing_ctrl_c(pressed):
            yield
    except MissingDependencyError:
        raise
    except BaseException as error:
        others = threading.current_thread() is not threading.main_thread()
        if isinstance(error, KeyboardInterrupt) and (pressed or others):
            raise
        raise PluginError(f"{plugin} cannot be imported: {named_reason(error)}") from error


@contextmanager
def _noticing_ctrl_c(pressed: list[bool]) -> Iterator[None]:
    """Notes in `pressed` that SIGINT came; whoever has handled it still does."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return

    def notice(number: int, frame: FrameType | None) -> None:
        pressed.append(True)
        before(number, frame)

    signal.signal(signal.SIGINT, notice)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is notice:  # a module may have set a handler of its own
            signal.signal(signal.SIGINT, before)
