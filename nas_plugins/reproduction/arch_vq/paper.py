"""What the papers report, as far as it is known here.

The text of Arch-VQ (arXiv 2503.22063v2) was not at hand, only notes on it. A cell that the notes
do not give is absent, and a table shows a dash for it. Every row says where its cells come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_TABLE = "arXiv 2503.22063v2, as noted"
_CITED = "cited in arXiv 2503.22063v2, as noted"


@dataclass(frozen=True)
class PaperRow:
    """One published row.

    Attributes:
        model: Its name there.
        cells: Percentages by column; the published ones are all lenient.
        source: Where they come from.
        temperature: Of sampling, if known.
    """

    model: str
    cells: Mapping[str, float]
    source: str
    temperature: float | None = None


GENERATION: Mapping[str, tuple[PaperRow, ...]] = {
    "nasbench101": (
        PaperRow("Arch-VQ", {"reconstruction": 97.78}, _TABLE),
        PaperRow("Arch-VQ", {"validity": 89.73, "novelty": 11.16}, _TABLE, 0.7),
        PaperRow("Arch-VQ", {"novelty": 60.8}, _TABLE, 2.4),
        PaperRow("Arch2Vec", {"reconstruction": 98.13, "novelty": 85.5}, _CITED),
        PaperRow("AG-Net", {"novelty": 62.3}, _CITED),
    ),
    "nasbench201": (
        PaperRow("Arch-VQ", {"reconstruction": 99.79}, _TABLE),
        PaperRow(
            "Arch-VQ", {"validity": 97.52, "uniqueness": 93.30, "novelty": 69.3}, _TABLE, 2.4
        ),
        PaperRow("Arch-VQ", {"validity": 89.7, "uniqueness": 95.66, "novelty": 91.0}, _TABLE, 2.9),
        PaperRow("AG-Net", {"uniqueness": 73.61}, _CITED),
        PaperRow("DiffusionNAG", {"uniqueness": 73.70}, _CITED),
    ),
    "darts-cell": (
        PaperRow("Arch-VQ", {"reconstruction": 98.40, "validity": 99.46}, _TABLE),
        PaperRow("Arch2Vec", {"reconstruction": 100.0}, _CITED),
    ),
}

ABLATIONS: tuple[PaperRow, ...] = (
    PaperRow("VQ-VAE + Standard Prior", {"uniqueness": 74.84, "novelty": 13.8}, _TABLE),
    PaperRow("VAE + Transformer", {}, _TABLE),
)

CLAIMED_GAIN: Mapping[str, float] = {"nasbench101": 22.0, "nasbench201": 26.0, "darts-cell": 135.0}
"""Claimed rise of valid and unique generations, in percent (abstract)."""

TEMPERATURES: Mapping[str, tuple[float, ...]] = {
    "nasbench101": (0.7, 2.4),
    "nasbench201": (2.4, 2.9),
    "darts-cell": (),
}
"""Temperatures of the published rows."""
