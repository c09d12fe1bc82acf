"""Search spaces: decisions, architectures, graphs, canonical keys."""

from __future__ import annotations

from nas_plugins.spaces.base import (
    Architecture,
    Choice,
    Complexity,
    Decision,
    Key,
    Rows,
    SearchSpace,
    space_from_json,
)
from nas_plugins.spaces.graph import ABSENT, Graph, wl_keys, wl_md5

__all__ = [
    "ABSENT",
    "Architecture",
    "Choice",
    "Complexity",
    "Decision",
    "Graph",
    "Key",
    "Rows",
    "SearchSpace",
    "space_from_json",
    "wl_keys",
    "wl_md5",
]
