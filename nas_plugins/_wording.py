"""Numbers in words: for terminals, reports and what strategies say of themselves."""

from __future__ import annotations


def count(number: int, singular: str, plural: str | None = None) -> str:
    """``1 trial``, ``2 trials``, ``1,000 trials``."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def duration(seconds: float) -> str:
    """Seconds in the unit that fits."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
