"""Reports: one self-contained HTML page per search, with the architectures drawn."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas_plugins.report._drawing import draw
    from nas_plugins.report._page import render_report, write_report

_EXPORTS = {"draw": "_drawing", "render_report": "_page", "write_report": "_page"}


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'nas_plugins.report' has no attribute {name!r}")
    return getattr(import_module(f"nas_plugins.report.{_EXPORTS[name]}"), name)


__all__ = ["draw", "render_report", "write_report"]
