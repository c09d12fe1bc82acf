"""What takes so long: a word from whoever works to whoever shows how far the work is.

Whoever shows it listens with `heard_by`, and hears what `doing` says in the same context. A thread
or process of its own has another context: it passes on what it hears, or listens itself.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Deed:
    """Something that is done at the moment.

    Attributes:
        text: What, e.g. ``"scoring 500 candidates"``.
        once: Whether it comes before the work that is counted, so that it tells nothing of how
            long the rest will take.
    """

    text: str
    once: bool = False


class Activity:
    """What is done at the moment, by anybody; safe to use from several threads.

    Args:
        clock: Seconds since any moment.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._now: dict[Hashable, Deed] = {}
        self._once = 0.0  # seconds
        self._once_since: float | None = None

    def tell(self, key: Hashable, deed: Deed | None) -> None:
        """Takes in what is done under a key now; ``None`` when that is over."""
        with self._lock:
            if deed is None:
                self._now.pop(key, None)
            else:
                self._now[key] = deed
            once = any(one.once for one in self._now.values())
            if once and self._once_since is None:
                self._once_since = self._clock()
            elif not once and self._once_since is not None:
                self._once += self._clock() - self._once_since
                self._once_since = None

    @property
    def text(self) -> str:
        """What was begun last and is not over; empty where nobody has said anything."""
        with self._lock:
            return next((deed.text for deed in reversed(self._now.values())), "")

    @property
    def once_seconds(self) -> float:
        """How long something was done that comes once, until now."""
        with self._lock:
            running = 0.0 if self._once_since is None else self._clock() - self._once_since
            return self._once + running


_HEARD: ContextVar[Activity | None] = ContextVar("_HEARD", default=None)


@contextlib.contextmanager
def heard_by(activity: Activity) -> Iterator[None]:
    """Lets what is said in the block be heard, rather than by whoever listens outside."""
    token = _HEARD.set(activity)
    try:
        yield
    finally:
        _HEARD.reset(token)


@contextlib.contextmanager
def doing(text: str, *, once: bool = False) -> Iterator[Callable[[str], None]]:
    """Says what is done in the block.

    Args:
        text: What, e.g. ``"scoring 500 candidates"``.
        once: As of `Deed`.

    Yields:
        What says it anew, e.g. how far it is.
    """
    activity, key = _HEARD.get(), object()

    def tell(text: str) -> None:
        if activity is not None:
            activity.tell(key, Deed(text, once))

    tell(text)
    try:
        yield tell
    finally:
        if activity is not None:
            activity.tell(key, None)
