"""Columns of features as normal quantiles among the labelled examples; what is missing is said."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nas_plugins.numerics.ranks import normal_quantiles

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Quantiles:
    """Maps features to comparable ones: middle ranks as normal quantiles, variance 1.

    Values between those of the examples are interpolated, values outside take the score of the
    nearest. NaN and infinities become 0, the median, and one more column per feature that has
    such examples says where. Columns that are constant among the examples are left out.

    Attributes:
        columns: Of the columns that are kept: the number, the distinct finite values among the
            examples, ascending, and their scores, scaled to variance 1 over the examples.
        flagged: Columns that get a further one for what is missing.
        groups: Group of each output column, counted from 0 in order of first occurrence.
    """

    columns: tuple[tuple[int, Floats, Floats], ...]
    flagged: tuple[int, ...]
    groups: Indices

    @classmethod
    def of(cls, features: Floats, groups: Sequence[Hashable] | None = None) -> Quantiles:
        """Takes the quantiles from examples.

        Args:
            features: `(n, F)`; NaN and infinities are missing.
            groups: Group of each feature, any F names; one group by default.
        """
        names: Sequence[Hashable] = [0] * features.shape[1] if groups is None else groups
        columns, flagged = [], []
        for index, column in enumerate(features.T):
            known = np.isfinite(column)
            if 0 < known.sum() < len(column):
                flagged.append(index)
            if (values := np.unique(column[known])).size > 1:
                columns.append((index, values, _scores(column[known])))
        used = [names[i] for i in [*(index for index, _, _ in columns), *flagged]]
        order = {name: i for i, name in enumerate(dict.fromkeys(used))}
        return cls(tuple(columns), tuple(flagged), np.array([order[n] for n in used], np.intp))

    def __call__(self, features: Floats) -> Floats:
        """Transforms `(B, F)` to `(B, F')`."""
        parts = [np.zeros((len(features), 0))]
        for index, values, scores in self.columns:
            given = features[:, index]
            known = np.isfinite(given)
            found = np.interp(np.where(known, given, 0.0), values, scores)
            parts.append(np.where(known, found, 0.0)[:, None])
        parts += [2.0 * ~np.isfinite(features[:, i, None]) for i in self.flagged]
        return np.concatenate(parts, axis=1)


def _scores(known: Floats) -> Floats:
    """Scores of the distinct values, of mean 0 and variance 1 over all."""
    counts = np.unique(known, return_counts=True)[1]
    middle = np.cumsum(counts) - (counts + 1) / 2
    scores = np.interp(middle, np.arange(len(known)), normal_quantiles(len(known)))
    mean = scores @ counts / len(known)
    spread = np.sqrt((scores - mean) ** 2 @ counts / len(known))
    return (scores - mean) / spread
