"""Links from one place of a page to the trials on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nas_plugins._markup import Markup, element, join


@dataclass(frozen=True)
class Links:
    """Where on the page a trial is found.

    Attributes:
        best: Numbers of the trials in the table of the best.
        noted: Numbers of the trials in the list of notes.
    """

    best: frozenset[int] = frozenset()
    noted: frozenset[int] = frozenset()

    def to(self, number: int) -> Markup:
        """The number of a trial, as a link where the page shows the trial."""
        place = "trial" if number in self.best else "notes" if number in self.noted else ""
        if not place:
            return join([f"{number}"])
        return element("a", f"{number}", href=f"#{place}-{number}")

    def listed(self, numbers: Sequence[int], *, most: int = 12) -> Markup:
        """Several numbers with commas, the first ones where there are many."""
        shown = join((self.to(n) for n in numbers[:most]), ", ")
        left = len(numbers) - most
        return join([shown, f" and {left:,} more" if left > 0 else None])


__all__ = ["Links"]
