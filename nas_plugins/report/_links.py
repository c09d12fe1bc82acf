"""Text with links to the trials of a page, badges and colours in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nas_plugins._markup import Markup, element, join
from nas_plugins.sections import COLOURS, Badge, Inline, Line, Swatch, Trials


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

    def line(self, told: Line) -> Markup:
        """What a strategy says on one line."""
        parts = told if isinstance(told, tuple) else (told,)
        return join(self._inline(part) for part in parts)

    def _inline(self, part: Inline) -> Markup:
        if isinstance(part, Trials):
            return self.listed(part.numbers, most=part.most)
        if isinstance(part, Badge):
            return element("span", part.text, class_=f"badge {part.tone}".strip())
        if isinstance(part, Swatch):
            style = f"background:var(--{group_colour(part.group)})"
            return element("i", class_="swatch", style=style, aria_hidden="true")
        return join([part])


def group_colour(position: int) -> str:
    """Name of the CSS variable of the colour of a group of trials."""
    return f"group-{position % COLOURS}"
