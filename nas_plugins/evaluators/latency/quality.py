"""How far predicted latencies are from measured ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from nas_plugins.evaluators.latency.features import Floats
from nas_plugins.numerics.ranks import spearman


@dataclass(frozen=True)
class Quality:
    """Errors of predictions on architectures that were not fitted on.

    Attributes:
        mae: Mean absolute error, in the metric's unit.
        relative: Median of the absolute error over the true value, e.g. .05 for 5 %.
        spearman: Rank correlation; 0 where all predictions or all values are equal.
        n: Architectures compared.
    """

    mae: float
    relative: float
    spearman: float
    n: int

    @classmethod
    def of(cls, predicted: Floats, true: Floats) -> Quality:
        """Compares predictions `(n,)` with true values `(n,)`, which are positive."""
        error = np.abs(predicted - true)
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = np.where(error > 0, error / np.abs(true), 0.0)
        return cls(
            float(error.mean()), float(np.median(relative)), spearman(predicted, true), len(true)
        )

    def words(self, unit: str) -> str:
        """E.g. ``"MAE 0.41 ms, median error 6.0 %, Spearman 0.94"``."""
        return (
            f"MAE {self.mae:.3g} {unit}, median error {100 * self.relative:.1f} %, "
            f"Spearman {self.spearman:.2f}"
        )

    def to_json(self) -> dict[str, float]:
        """Returns plain data that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, float]) -> Quality:
        """Reads what `to_json` wrote."""
        return cls(
            float(data["mae"]), float(data["relative"]), float(data["spearman"]), int(data["n"])
        )
