"""Architectures as inline SVG: cells, genotypes, chains and any other graph."""

from __future__ import annotations

from nas_plugins.drawing.architectures import draw
from nas_plugins.drawing.svg import distinct, family_of, short

__all__ = ["distinct", "draw", "family_of", "short"]
