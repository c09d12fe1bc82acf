"""Several proxies of the same architectures put together into one ranking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from nas_plugins.numerics.ranks import mid_ranks

AZ_NAS = ("az_expressivity", "az_progressivity", "az_trainability", "flops")
"""The four proxies that AZ-NAS puts together."""

Floats = npt.NDArray[np.float64]


def rank_sum(
    scores: Mapping[str, Sequence[float] | Floats],
    names: Sequence[str] = AZ_NAS,
    *,
    smaller_is_better: Sequence[str] = (),
) -> Floats:
    """Sum over proxies of log(rank / n), the non-linear aggregate of AZ-NAS.

    Lee and Ham, CVPR 2024, equation 7. The best of n architectures has rank n and adds 0; a low
    rank in any one proxy costs much. Equal values share their mean rank.

    Args:
        scores: Values by proxy, in the same order of n architectures.
        names: The proxies to put together.
        smaller_is_better: Those of `names` whose small values are good.

    Returns:
        `(n,)`, at most 0; larger is better. An architecture without a value (NaN) is the last
        in that proxy, with rank 1.

    Raises:
        KeyError: `scores` lacks one of `names`.
        ValueError: `names` is empty, or the lengths differ.
    """
    if not names:
        raise ValueError("`names` must have at least one proxy")
    columns = [np.asarray(scores[name], dtype=np.float64) for name in names]
    if len({column.shape for column in columns}) > 1 or columns[0].ndim != 1:
        raise ValueError("`scores` must have one value per architecture for each of `names`")
    n = len(columns[0])
    total = np.zeros(n)
    for name, column in zip(names, columns, strict=True):
        total += np.log(_ranks(-column if name in smaller_is_better else column) / n)
    return total


def _ranks(values: Floats) -> Floats:
    """Mid-ranks; NaN has rank 1 and the others start above."""
    known = ~np.isnan(values)
    ranks = np.ones(len(values))
    ranks[known] = mid_ranks(values[known]) + (~known).sum()
    return ranks
