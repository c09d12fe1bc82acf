"""What a strategy adds to the result and the report of a search, as plain data.

A strategy returns these values from `Strategy.summary`, `Strategy.sections` and
`Strategy.facts`; `nas_plugins.report` renders them for every strategy alike. All text is text:
it is escaped where it is written, so whatever a model or another program wrote may stand in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

COLOURS = 8
"""Number of colours that groups of trials have; further groups begin anew."""


@dataclass(frozen=True)
class StrategySummary:
    """What a result says beside the trials.

    Attributes:
        name: Of the block in ``result.json`` and in the document of ``--json``.
        data: The block: JSON values.
        lines: The same in a few lines for a terminal.
    """

    name: str
    data: Mapping[str, Any]
    lines: tuple[str, ...] = ()


# -- inside a line -------------------------------------------------------------------------


@dataclass(frozen=True)
class Trials:
    """Numbers of trials, as links where the page shows the trials.

    Attributes:
        numbers: Of the trials.
        most: How many are listed.
    """

    numbers: tuple[int, ...]
    most: int = 12


@dataclass(frozen=True)
class Badge:
    """A short text that stands out.

    Attributes:
        text: A word or two.
        tone: ``"good"``, ``"warn"`` or empty.
    """

    text: str
    tone: str = ""


@dataclass(frozen=True)
class Swatch:
    """The colour that `GroupedTrials` draws a group in.

    Attributes:
        group: Position of the group.
    """

    group: int


Inline: TypeAlias = str | Trials | Badge | Swatch
Line: TypeAlias = Inline | tuple[Inline, ...]
Facts: TypeAlias = tuple[tuple[str, Line], ...]
"""Terms, each with what is to be said of it."""


# -- blocks --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Text:
    """A paragraph.

    Attributes:
        line: What it says.
        style: ``"lead"``, ``"caption"``, ``"heading"``, ``"command"`` (of a shell) or empty.
    """

    line: Line
    style: str = ""


@dataclass(frozen=True)
class DataTable:
    """A table; the first cell of a row names it.

    Attributes:
        head: One title per column.
        rows: One cell per column.
        numbers: Positions of the columns that are set to the right.
        style: ``"words"`` (long texts), ``"labelled"`` (long names), ``"dense"`` (many columns),
            ``"tiles"`` (headline figures: rows of name, value and note, without titles) or empty.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[Line, ...], ...]
    numbers: tuple[int, ...] = ()
    style: str = ""


@dataclass(frozen=True)
class Details:
    """Blocks that are shown when asked for.

    Attributes:
        title: What they are.
        remark: Beside the title.
        blocks: What is inside.
    """

    title: str
    remark: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class GroupedTrials:
    """A plot of the objectives, every trial in the colour of its group.

    Attributes:
        noun: What a group is called, e.g. ``"niche"``.
        labels: One per group.
        members: Numbers of each group's trials.
        fronts: Numbers of those that are the best of their group.
    """

    noun: str
    labels: tuple[str, ...]
    members: tuple[tuple[int, ...], ...]
    fronts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Figure:
    """One plot, as a plotly figure.

    Two kinds of placeholder are resolved in the browser: ``{"$css": "--name"}`` is the value of
    a CSS variable (``--ink``, ``--muted``, ``--front``, ``--group-0``, ...), so that plots follow
    the colour scheme, and ``{"$ref": "name", "take": [...]}`` is a list that the page shares.

    Attributes:
        name: Unique in the page.
        caption: What is shown and what is left out, one sentence each, as plain text.
        spec: ``data`` and ``layout``.
        label: Description for those who do not see it.
        views: Axis ranges that a button switches to, by the button's text.
        min_width: Width in pixels below which the plot scrolls sideways.
        title: Stands above the plot where several share a section.
        tall: Whether it needs room for a long legend under it.
    """

    name: str
    caption: tuple[str, ...]
    spec: dict[str, Any]
    label: str
    views: dict[str, dict[str, Any]] = field(default_factory=dict)
    min_width: int = 0
    title: str = ""
    tall: bool = False


Block: TypeAlias = Text | DataTable | Details | GroupedTrials | Figure


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes:
        anchor: Unique in the page; that of a section of the page itself, e.g. ``"settings"``,
            to stand in that section.
        title: Heading.
        blocks: In order.
    """

    anchor: str
    title: str
    blocks: tuple[Block, ...]
