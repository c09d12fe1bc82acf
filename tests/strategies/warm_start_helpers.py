"""A cheap evaluator for the tests of the warm start, importable from other processes."""

from __future__ import annotations

from collections.abc import Sequence

import nas_plugins as nap
from nas_plugins.protocols import Metric


class Cheap:
    """Two cheap scores on any space; counts its calls."""

    def __init__(self, *, gaps: bool = False) -> None:
        self.gaps = gaps
        self.asked: list[int] = []

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (Metric("score", "", "max"), Metric("cost", "", "min"))

    def evaluate(self, architectures: Sequence[nap.Architecture]) -> list[dict[str, float]]:
        self.asked.append(len(architectures))
        return [self._one(a) for a in architectures]

    def _one(self, architecture: nap.Architecture) -> dict[str, float]:
        score = float(sum(architecture.indices))
        if self.gaps and architecture.indices[0] == 0:
            return {"cost": float("nan")}
        return {"score": score, "cost": float(architecture.indices[-1])}
