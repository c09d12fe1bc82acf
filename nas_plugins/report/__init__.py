"""Reports: an HTML page per search or model, with the architectures drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas_plugins._lazy import lazy
from nas_plugins.drawing import draw

if TYPE_CHECKING:
    from nas_plugins.report._document import LATENT_FILE, page_file
    from nas_plugins.report._latent import render_latent_report, write_latent_report
    from nas_plugins.report._latent_data import Latent, measure
    from nas_plugins.report._page import render_report, write_report

__getattr__, __dir__ = lazy(
    __name__,
    {
        "LATENT_FILE": "_document",
        "Latent": "_latent_data",
        "measure": "_latent_data",
        "page_file": "_document",
        "render_latent_report": "_latent",
        "render_report": "_page",
        "write_latent_report": "_latent",
        "write_report": "_page",
    },
)

__all__ = [
    "LATENT_FILE",
    "Latent",
    "draw",
    "measure",
    "page_file",
    "render_latent_report",
    "render_report",
    "write_latent_report",
    "write_report",
]
