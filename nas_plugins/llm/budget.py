"""Hard limits on what a search may spend on a language model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nas_plugins._checks import at_least
from nas_plugins.llm.errors import BudgetExceededError


@dataclass(frozen=True)
class Spent:
    """What calls have used up, those under way counted at the most they may cost.

    Attributes:
        calls: Attempts; a call that is tried three times counts three.
        tokens: Of prompts and replies.
        usd: US dollars; unpriced calls count nothing.
        seconds: Time in which at least one call was under way.
    """

    calls: int = 0
    tokens: int = 0
    usd: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class Budget:
    """The most that a search may spend, all processes together; ``None`` is no limit.

    Checked before every attempt. Replies out of a cache or a recorded run spend nothing.

    Attributes:
        max_calls: Attempts, >= 0.
        max_tokens: Tokens of prompts and replies. A call is not made if its prompt, reckoned at
            two bytes a token, and the longest reply would exceed it.
        max_usd: US dollars, by the prices given.
        max_seconds: Seconds in which at least one call is under way. The last one may exceed
            it by the time-out of the model.
    """

    max_calls: int | None = None
    max_tokens: int | None = None
    max_usd: float | None = None
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        at_least(0, **vars(self))

    def check(
        self, spent: Spent, *, calls: int = 1, tokens: int = 0, usd: float = 0.0, wait: float = 0.0
    ) -> None:
        """Raises if something would be exceeded.

        Args:
            spent: What is used up already.
            calls: Attempts to come.
            tokens: Most tokens to come.
            usd: Most US dollars to come.
            wait: Seconds to wait before.

        Raises:
            BudgetExceededError: Says which limit and what is used up.
        """
        for which, limit, used, more in (
            ("calls", self.max_calls, spent.calls, calls),
            ("tokens", self.max_tokens, spent.tokens, tokens),
            ("usd", self.max_usd, spent.usd, usd),
        ):
            if limit is not None and not used + more <= limit:  # NaN passes no limit
                raise _exceeded(which, limit, used, f"the next call may take {more:g}")
        limit = self.max_seconds
        if limit is not None and not spent.seconds + wait < limit:
            raise _exceeded("seconds", limit, spent.seconds, f"with {wait:.3g} to wait")


def measure(spans: Iterable[tuple[float, float]]) -> float:
    """Length of the union of time spans, each a start and an end."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def _exceeded(which: str, limit: float, spent: float, ahead: str) -> BudgetExceededError:
    return BudgetExceededError(
        f"the budget of {limit:g} {which} is used up: {spent:g} spent, {ahead}",
        which=which,
        limit=limit,
        spent=spent,
    )
