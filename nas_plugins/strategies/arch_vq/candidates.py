"""Where a search looks next: the prior, what is near good trials, and the prior given them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from nas_plugins.spaces.base import Rows
from nas_plugins.strategies.arch_vq.latent import LatentSpace

_BLOCK = 16
_BLOCKS = 8


def propose_rows(
    latent: LatentSpace,
    good: Rows,
    n: int,
    *,
    n_trials: int,
    temperature: float,
    rng: np.random.Generator,
) -> Rows:
    """Candidates, not yet distinct: `(m, D)`, m about `n`.

    Half of them are samples of the prior, one in 32 `refilled` trials, and the others single
    changes of good trials. What the model draws costs more than all the rest, so it is kept: the
    samples come from a reservoir that grows by `n` / 2 every 16 trials and forgets the oldest
    after 128, and trials are refilled anew when the elite has changed, or after 16 trials.

    Args:
        latent: The latent space.
        good: The elite `(k, D)`.
        n: How many.
        n_trials: Trials so far.
        temperature: Divides the logits of the prior.
        rng: Source of randomness.
    """
    block = n_trials // _BLOCK
    few = max(n // 32, 2)
    blocks = range(max(block - _BLOCKS, 0), block + 1)
    prior = np.concatenate([latent.pool(i, n // 2, temperature) for i in blocks])
    redrawn = _refilled(latent, good.tobytes(), few, block, temperature)
    near = np.concatenate([latent.space.neighbour_rows(row) for row in good])
    some = (_subset(prior, n // 2, rng), _subset(near, max(n // 2 - few, 1), rng), redrawn)
    return np.concatenate(some)


def _subset(rows: Rows, n: int, rng: np.random.Generator) -> Rows:
    """At most `n` of the rows."""
    return rows if len(rows) <= n else rows[rng.choice(len(rows), n, replace=False)]


@lru_cache(maxsize=64)
def _refilled(latent: LatentSpace, good: bytes, n: int, block: int, temperature: float) -> Rows:
    rows = np.frombuffer(good, dtype=np.int16).reshape(-1, len(latent.space.decisions))
    return refilled(latent, rows, n, np.random.default_rng([1, block]), temperature=temperature)


def refilled(
    latent: LatentSpace, good: Rows, n: int, rng: np.random.Generator, *, temperature: float = 1.0
) -> Rows:
    """Good trials in part drawn anew by the model, about `n` of them `(m, D)`.

    In one half, some nodes are drawn anew: *fill* mutations. In the other, all nodes that a
    second good trial does not share: the prior tuned on the elite.
    """
    first, second = (good[rng.integers(len(good), size=n)] for _ in range(2))
    masks = latent.shared(first, second)
    masks[::2] = _some_open(latent, len(masks[::2]), rng)
    return latent.fill(first, masks, rng, temperature=temperature)[0]


def _some_open(latent: LatentSpace, n: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Masks `(n, N)` that keep all but one to half of the open nodes."""
    fixed = np.ones((n, latent.n_nodes), dtype=bool)
    nodes = latent.open_nodes
    most = max(len(nodes) // 2, 1)
    for mask in fixed if len(nodes) else ():
        mask[rng.choice(nodes, size=rng.integers(1, most + 1), replace=False)] = False
    return fixed
