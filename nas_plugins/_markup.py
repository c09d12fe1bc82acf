"""HTML and SVG by composition: every piece of text is escaped unless it is `Markup` already."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from typing import Any

import markupsafe
from markupsafe import Markup

_VOID = frozenset({"meta", "wbr"})
_UNPRINTABLE = {
    code: "\N{REPLACEMENT CHARACTER}" for code in range(32) if chr(code) not in "\t\n\r"
}


def escape(text: object) -> Markup:
    """Escapes `text` for an element or a quoted attribute; `Markup` passes unchanged.

    What UTF-8 or HTML cannot hold (lone surrogates, control characters) is replaced.
    """
    return text if isinstance(text, Markup) else markupsafe.escape(_clean(text))


def plot_text(text: object) -> str:
    """Escapes `text` for plotly, which reads a subset of HTML but has no attributes here."""
    return html.escape(_clean(text), quote=False)


def _clean(text: object) -> str:
    return str(text).encode("utf-8", "replace").decode("utf-8").translate(_UNPRINTABLE)


def element(tag: str, *children: object, **attributes: object) -> Markup:
    """Writes one element.

    Args:
        tag: Name of the element.
        *children: Text or `Markup`; ``None`` is left out.
        **attributes: Underscores become hyphens and a trailing one is dropped, so that
            ``class_`` and ``aria_label`` can be written. ``None`` and ``False`` are left out,
            ``True`` writes the bare name.
    """
    written = "".join(
        f" {name.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(value)}"')
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    if tag in _VOID:
        return Markup(f"<{tag}{written}>")
    return Markup(f"<{tag}{written}>{join(children)}</{tag}>")


def join(parts: Iterable[object], separator: str = "") -> Markup:
    """Concatenates text and `Markup`; ``None`` is left out."""
    return Markup(separator.join(escape(part) for part in parts if part is not None))


def script_json(value: Any) -> Markup:
    """JSON that can stand inside a ``<script>`` element whatever strings it holds."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


__all__ = ["Markup", "element", "escape", "join", "plot_text", "script_json"]
