"""How far work is, on the standard error stream: a bar, lines, or nothing.

A bar is shown on a terminal and in Jupyter, a line every few seconds in files and pipes.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from nas_plugins._doing import Activity, heard_by
from nas_plugins._secrets import without_passwords
from nas_plugins._wording import visible

if TYPE_CHECKING:
    import rich.progress
    from typing_extensions import Self


class BarState(NamedTuple):
    """What a bar shows.

    Attributes:
        name: Which bar; a new name begins a new one below.
        label: Text before it.
        done: How much is done.
        total: Of how much; ``None`` while that is not known.
        text: Text behind it.
    """

    name: str
    label: str
    done: float
    total: float | None
    text: str


class ProgressDisplay(ABC):
    """Shows how far work is; use as a context manager, or `close` it.

    A subclass counts, calls `_moved` whenever it has, and says in `_line` and `_bar` what there
    is to show. All calls come from one thread.

    Args:
        shown: ``True`` shows bars or lines, ``False`` nothing, ``None`` bars
            where they can be drawn, lines in a notebook that has none, and nothing elsewhere.
        clock: Seconds since any moment.
    """

    first_line: ClassVar[float] = 2.0
    """Seconds until the first line."""
    line_every: ClassVar[float] = 5.0
    """Seconds between lines."""
    bar_every: ClassVar[float] = 0.0
    """Seconds between states of a bar."""
    bar_width: ClassVar[int] = 24

    def __init__(
        self, *, shown: bool | None = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._live = shown is not False and takes_bars()
        wanted = shown or (shown is None and in_notebook())
        self._lines = not self._live and bool(wanted) and sys.stderr is not None
        self._bars: rich.progress.Progress | None = None
        self._tasks: dict[str, rich.progress.TaskID] = {}
        self._unwritten = False
        self._begin()

    @property
    def shows(self) -> bool:
        """Whether there is anything to be seen."""
        return self._live or self._lines

    def _begin(self) -> None:
        """Counts the time from now on."""
        self._begun = self._clock()
        self._due = self._begun + (0.0 if self._live else self.first_line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.close()

    def say(self, text: str) -> None:
        """Writes a remark, above the bars where there are any."""
        text = visible(without_passwords(text))  # of models, files and plug-ins, perhaps
        if self._bars is not None:
            self._bars.console.print(text, markup=False, emoji=False)
        elif self.shows:
            with contextlib.suppress(OSError):  # full or closed: the work goes on
                print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Writes what has not been written and leaves the bars as they are; may be repeated."""
        self._write_pending()
        bars, self._bars = self._bars, None
        if bars is not None:
            bars.stop()

    @abstractmethod
    def _line(self) -> str:
        """The state as a line."""

    @abstractmethod
    def _bar(self) -> BarState:
        """The state as a bar."""

    def _moved(self) -> None:
        """Shows the state, if it is time."""
        if self.shows:
            self._unwritten = True
            if self._clock() >= self._due:
                self._write_pending()

    def _write_pending(self) -> None:
        if not self._unwritten:
            return
        self._unwritten = False
        self._due = self._clock() + (self.bar_every if self._live else self.line_every)
        if self._live:
            self._show(self._bar())
        else:
            self.say(self._line())

    def _show(self, state: BarState) -> None:
        bars = self._bars or self._started()
        if state.name not in self._tasks:
            self._tasks[state.name] = bars.add_task("", total=None, text="")
        bars.update(
            self._tasks[state.name],
            description=visible(state.label),
            completed=state.done,
            total=state.total,
            text=visible(state.text),
        )

    def _hide(self, name: str) -> None:
        """Takes a bar away."""
        if self._bars is not None and name in self._tasks:
            self._bars.remove_task(self._tasks.pop(name))

    def _started(self) -> rich.progress.Progress:
        from rich.console import Console
        from rich.progress import Progress

        console = Console(stderr=True, highlight=False)
        self._bars = Progress(*self._columns(), console=console)
        self._bars.start()
        return self._bars

    def _columns(self) -> Sequence[rich.progress.ProgressColumn]:
        """What stands beside one another: label, bar and text."""
        from rich.progress import BarColumn, TextColumn

        bar = BarColumn(bar_width=self.bar_width)
        label = TextColumn("{task.description}", markup=False)
        return label, bar, TextColumn("{task.fields[text]}", markup=False)


class WatchingDisplay(ProgressDisplay):
    """Says what is done while there is nothing else to be seen.

    Within its ``with`` it listens to what `nas_plugins._doing.doing` says. Once `watch` is
    called, a thread looks whether it has been silent for long.

    Args:
        shown: As of `ProgressDisplay`.
        clock: As of `ProgressDisplay`.
    """

    first_silence: ClassVar[float] = 2.0
    """Seconds without anything to show until the first line."""

    def __init__(
        self, *, shown: bool | None = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.activity = Activity(clock)
        self._lock, self._closed = threading.RLock(), threading.Event()
        self._meanwhile, self._spoken = "", 0.0
        self._listening = contextlib.ExitStack()
        super().__init__(shown=shown, clock=clock)

    def __enter__(self) -> Self:
        self._listening.enter_context(heard_by(self.activity))
        return super().__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._listening.close()
        super().__exit__(kind, error, where)

    def _begin(self) -> None:
        super()._begin()
        self._spoken = self._begun

    def watch(self) -> None:
        """Begins to look for silence."""
        if self.shows:
            threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while not self._closed.wait(self.first_silence / 4):
            self.silence()

    def silence(self) -> None:
        """Shows what is done meanwhile, if nothing has been shown for long."""
        with self._lock:
            longest = self.first_silence if self._spoken == self._begun else self.line_every
            if self._closed.is_set() or self._clock() - self._spoken < longest:
                return
            self._meanwhile, self._unwritten = self.activity.text, True
            self._write_pending()
            self._meanwhile = ""

    def _write_pending(self) -> None:
        if self._unwritten:
            self._spoken = self._clock()
        super()._write_pending()

    def close(self) -> None:
        """As of every display."""
        self._closed.set()
        with self._lock:
            super().close()


def clock_time(seconds: float) -> str:
    """Seconds as ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def takes_bars() -> bool:
    """Whether bars can be drawn anew: on a terminal, and in a notebook that has widgets."""
    if sys.stderr is None:  # closed when Python began
        return False
    return sys.stderr.isatty() or (in_notebook() and find_spec("ipywidgets") is not None)


def in_notebook() -> bool:
    """Whether this runs in Jupyter."""
    if "IPython" not in sys.modules:
        return False
    from rich.console import Console

    return Console().is_jupyter
