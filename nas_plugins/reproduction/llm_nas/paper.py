"""What LLM-NAS (arXiv 2510.01472) reports, as far as it is known here.

Its text was not at hand, only notes on it: the cells of its tables are not known but for these.
Its code is not public, nor are its reference point, its normalisation and its seeds.
"""

from __future__ import annotations

from collections.abc import Mapping

from nas_plugins.reproduction.documents import Spread

SOURCE = "arXiv 2510.01472, as noted"

LOWEST_LATENCY_MS: Mapping[str, float] = {"edgegpu": 1.78, "fpga": 1.65}
"""Table 2 by device. Of which data set is not known."""

CALLS, MINUTES, MODEL = 120, 3.0, "GPT-4.1"
"""Table 4, per data set and device; the training of the predictor is not counted there."""


# `n` says no more than that there is a deviation: over how many runs is not known.
ABLATIONS: tuple[tuple[str, Spread | None], ...] = (
    ("full", Spread(0.978, 0.017, n=2)),
    ("without partition", Spread(0.516, 0.155, n=2)),
    ("without LLM operator", None),
    ("without ZC predictor", None),
)
"""Table 5: what was changed, and the hypervolume. The notes say that the partition matters most,
then the predictor, the LLM least."""
