"""Requests and tokens per minute, as token buckets."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from nas_plugins._checks import positive
from nas_plugins.llm.retry import Clock


@dataclass(frozen=True)
class RateLimits:
    """How fast one session may ask; ``None`` is no limit.

    A session may ask a full minute's worth at once and then as it refills. Several processes
    each have these limits, so give each its share.

    Attributes:
        requests_per_minute: > 0.
        tokens_per_minute: > 0; a call is reckoned at the most it may take, and set right when
            its reply is there.
    """

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None

    def __post_init__(self) -> None:
        positive(
            requests_per_minute=self.requests_per_minute, tokens_per_minute=self.tokens_per_minute
        )


class Bucket:
    """A token bucket that may go into debt, so that those who wait are served in order.

    Args:
        per_minute: Rate and capacity; ``None`` never makes anybody wait.
        clock: The time.
    """

    def __init__(self, per_minute: float | None, clock: Clock) -> None:
        self._rate = None if per_minute is None else per_minute / 60
        self._capacity = per_minute or 0.0
        self._level = self._capacity
        self._clock = clock
        self._at = clock.monotonic()
        self._mutex = threading.Lock()

    def take(self, amount: float) -> float:
        """Takes an amount and returns the seconds to wait before using it."""
        if self._rate is None:
            return 0.0
        with self._mutex:
            self._refill(self._rate)
            self._level -= amount
            return max(0.0, -self._level / self._rate)

    def give_back(self, amount: float) -> None:
        """Returns what was taken and not used; a negative amount takes more."""
        if self._rate is not None:
            with self._mutex:
                self._refill(self._rate)
                self._level = min(self._capacity, self._level + amount)

    def _refill(self, rate: float) -> None:
        now = self._clock.monotonic()
        self._level = min(self._capacity, self._level + (now - self._at) * rate)
        self._at = now


class Throttle:
    """Both limits of a session.

    Args:
        limits: The limits.
        clock: The time.
    """

    def __init__(self, limits: RateLimits, clock: Clock) -> None:
        self._requests = Bucket(limits.requests_per_minute, clock)
        self._tokens = Bucket(limits.tokens_per_minute, clock)
        self._clock = clock

    def wait(self, tokens: int) -> None:
        """Waits until one request of that many tokens may be sent."""
        seconds = max(self._requests.take(1), self._tokens.take(tokens))
        if seconds > 0:
            self._clock.sleep(seconds)

    def settle(self, reserved: int, used: int) -> None:
        """Sets right how many tokens a request took."""
        self._tokens.give_back(reserved - used)
