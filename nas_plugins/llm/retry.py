"""When to ask again after a fault of the transport, and how long to wait before."""

from __future__ import annotations

import email.utils
import math
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass

from nas_plugins._checks import at_least, integers, positive

TRANSIENT_STATUSES = (408, 409, 429)


@dataclass(frozen=True)
class RetryPolicy:
    """Exponential back-off with full jitter, capped in number and in total time.

    Before attempt ``k + 1`` it waits ``uniform(0, min(longest, base * 2**(k - 1)))`` seconds,
    and as long as the endpoint asks for (``Retry-After``) on top.

    Attributes:
        attempts: Attempts at most, the first included, >= 1.
        base: Seconds, > 0.
        longest: Most seconds of one jittered wait.
        total: Most seconds of all waits of a call together. Where the endpoint asks for more,
            the call fails at once.
    """

    attempts: int = 4
    base: float = 1.0
    longest: float = 30.0
    total: float = 120.0

    def __post_init__(self) -> None:
        integers(attempts=self.attempts)
        at_least(1, attempts=self.attempts)
        positive(base=self.base, longest=self.longest)
        at_least(0, total=self.total)

    def wait(
        self, attempt: int, waited: float, retry_after: float | None, rng: random.Random
    ) -> float | None:
        """Seconds to wait after a failed attempt, or ``None`` to give up.

        Args:
            attempt: Number of the failed attempt, from 1.
            waited: Seconds that the call has waited already.
            retry_after: What the endpoint asks for, where it does.
            rng: Source of the jitter.
        """
        if attempt >= self.attempts:
            return None
        jitter = rng.uniform(0, min(self.longest, self.base * 2 ** (attempt - 1)))
        wanted = jitter + (retry_after or 0.0)
        return wanted if waited + wanted <= self.total else None


class Clock:
    """The system's time; tests put their own in its place."""

    def time(self) -> float:
        """Seconds since 1970 (UTC)."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Waits."""
        time.sleep(seconds)


def is_transient(status: int) -> bool:
    """Whether a call that got this HTTP status may succeed later."""
    return status in TRANSIENT_STATUSES or status >= 500


def retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """What the header ``Retry-After`` asks for, as seconds or as a date of HTTP.

    Args:
        headers: Of the response; names are matched as the mapping does.
        now: Seconds since 1970 (UTC).

    Returns:
        Seconds, >= 0; ``None`` without the header or where it says nothing sensible.
    """
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - now
        except (TypeError, ValueError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
