"""From labels to what the models learn, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nas_plugins.numerics.ranks import normal_scores

Floats = npt.NDArray[np.float64]

TARGETS = ("rank", "z")


@dataclass(frozen=True, eq=False)
class Scale:
    """A strictly increasing map between labels and scores, piecewise linear.

    Attributes:
        labels: Distinct labels, ascending; beyond the ends the map goes on straight.
        scores: Their scores.
        slopes: Labels per score below and above.
    """

    labels: Floats
    scores: Floats
    slopes: tuple[float, float]

    @classmethod
    def of(cls, labels: Floats, target: str) -> Scale:
        """The map of normal scores (``"rank"``) or of z-scores (``"z"``)."""
        distinct, first = np.unique(labels, return_index=True)
        deviation = float(labels.std()) or 1.0
        if target == "z" or len(distinct) < 2:
            # Two points carry a straight line.
            ends = np.array([labels.mean(), labels.mean() + deviation])
            return cls(ends, np.array([0.0, 1.0]), (deviation, deviation))
        scores = normal_scores(labels)[first]
        middle = len(distinct) // 2
        # The outer half sets the slope: the last two labels alone may be almost equal.
        low = (distinct[middle] - distinct[0]) / (scores[middle] - scores[0])
        above = min(middle, len(distinct) - 2)
        high = (distinct[-1] - distinct[above]) / (scores[-1] - scores[above])
        return cls(distinct, scores, (float(low), float(high)))

    def score(self, labels: Floats) -> Floats:
        """Scores of labels."""
        return _through(labels, self.labels, self.scores, 1 / self.slopes[0], 1 / self.slopes[1])

    def label(self, scores: Floats) -> Floats:
        """Labels of scores."""
        return _through(scores, self.scores, self.labels, *self.slopes)


def _through(x: Floats, known: Floats, values: Floats, below: float, above: float) -> Floats:
    outside = below * np.minimum(x - known[0], 0.0) + above * np.maximum(x - known[-1], 0.0)
    result: Floats = np.interp(x, known, values) + outside
    return result
