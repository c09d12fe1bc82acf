"""What strategies say of their searches, rendered: see `nas_plugins.sections`."""

from __future__ import annotations

from collections.abc import Sequence

from nas_plugins._markup import Markup, element, join
from nas_plugins.report import _document
from nas_plugins.report._grouped import MAX_GROUPED_PAIRS, grouped_figures
from nas_plugins.report._links import Links
from nas_plugins.report._tables import plain_table, tile
from nas_plugins.results import SearchResult
from nas_plugins.sections import Block, DataTable, Details, Figure, GroupedTrials, Text


def render_blocks(
    blocks: Sequence[Block], result: SearchResult, links: Links
) -> tuple[Markup, list[Figure]]:
    """Writes blocks in order; returns their plots too, which the page has to draw."""
    figures: list[Figure] = []
    written = [_block(block, result, links, figures) for block in blocks]
    return join(written), figures


def _block(
    block: Block, result: SearchResult, links: Links, figures: list[Figure]
) -> Markup | None:
    if isinstance(block, Text):
        return _text(block, links)
    if isinstance(block, DataTable):
        return _table(block, links)
    if isinstance(block, Details):
        inside = [_block(inner, result, links, figures) for inner in block.blocks]
        remark = element("span", block.remark, class_="muted")
        summary = element("summary", element("b", block.title), remark)
        return element("details", summary, *inside, class_="trial")
    if isinstance(block, GroupedTrials):
        found = grouped_figures(result, block)
        limit = f"At most {MAX_GROUPED_PAIRS} pairs of objectives are drawn."
        remarks = [limit] if len(found) == MAX_GROUPED_PAIRS else []
    else:
        found, remarks = [block], []
    figures += found
    return _document.plots(found, remarks=remarks) if found else None


def _text(text: Text, links: Links) -> Markup:
    written = links.line(text.line)
    if text.style == "heading":
        return element("h3", written)
    if text.style == "command":
        return element("div", element("code", written), class_="notation command")
    return element("p", written, class_=text.style or None)


def _table(table: DataTable, links: Links) -> Markup:
    if table.style == "tiles":
        tiles = (tile(*(links.line(cell) for cell in row)) for row in table.rows)
        return element("ul", *tiles, class_="tiles")
    rows = [[links.line(cell) for cell in row] for row in table.rows]
    style = f"plain {table.style}".strip()
    return plain_table(table.head, rows, numbers=table.numbers, class_=style)
