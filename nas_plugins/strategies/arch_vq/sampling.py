"""Strict sampling: distinct or independent architectures, none of those to avoid."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins._torch import torch
from nas_plugins.errors import SpaceExhaustedError
from nas_plugins.spaces.base import Key, Rows, SearchSpace
from nas_plugins.strategies.arch_vq.beam import Decoder, sample_distinct, sample_independent
from nas_plugins.strategies.arch_vq.prior import Prior
from nas_plugins.strategies.arch_vq.rules import PrefixRule

Exclude = Set[Key] | npt.NDArray[Any]

_BATCH = 4096
# Keys and values of the transformer's cache take about 30 KB for each beam.
_MIN_BEAMS, _MAX_BEAMS = 16, 2**15
_MAX_ROUNDS = 16
_TRIES = 100


class Excluded:
    """Keys not to draw, ready for tests in batches."""

    def __init__(self, keys: Exclude) -> None:
        self._keys: set[Key] | None = None
        if isinstance(keys, np.ndarray):
            self._sorted = np.sort(keys)
            return
        array = np.array(list(keys)) if keys else np.empty(0, dtype=np.int64)
        if array.dtype.kind in "iu":
            self._sorted = np.sort(array)
        else:
            self._keys, self._sorted = set(keys), array

    def __len__(self) -> int:
        return len(self._sorted)

    def contains(self, keys: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Which keys are excluded, `(B,)`."""
        if self._keys is not None:
            return np.array([key in self._keys for key in keys.tolist()], dtype=bool)
        if not len(self._sorted):
            return np.zeros(len(keys), dtype=bool)
        place = np.searchsorted(self._sorted, keys).clip(max=len(self._sorted) - 1)
        result: npt.NDArray[np.bool_] = self._sorted[place] == keys
        return result


@dataclass(frozen=True, eq=False)
class StrictSampler:
    """Draws architectures of which every one is valid.

    Attributes:
        space: The space of the architectures.
        prior: Gives the probabilities.
        decoder: Decodes.
        rule: Tells which codes keep a valid graph in reach.
    """

    space: SearchSpace
    prior: Prior
    decoder: Decoder
    rule: PrefixRule

    @torch.no_grad()
    def independent(
        self, n: int, rng: np.random.Generator, temperature: float, avoid: Excluded
    ) -> Rows:
        """Draws `n` architectures independently, `(n, D)`."""
        found = [np.empty((0, len(self.space.decisions)), dtype=np.int16)]
        missing = n
        for _ in range(_TRIES + n // _BATCH):
            if missing <= 0:
                return np.concatenate(found)
            drawn, alive = sample_independent(
                self.prior,
                self.decoder,
                self.rule,
                min(missing, _BATCH),
                rng,
                temperature=temperature,
            )
            kept = drawn[alive]
            rows = self.rule.rows(kept.labels, kept.columns)
            found.append(rows[~avoid.contains(self.space.keys(rows))])
            missing -= len(found[-1])
        if missing > 0:
            raise SpaceExhaustedError(
                f"`n` must be at most {n - missing}: {_TRIES} batches of the model of "
                f"{self.space.name!r} gave no more outside `exclude`, got {n}"
            )
        return np.concatenate(found)

    def distinct(
        self, n: int, rng: np.random.Generator, temperature: float, avoid: Excluded
    ) -> Rows:
        """Draws `n` distinct architectures, `(n, D)`."""
        rows, exhausted = self.found(n, rng, temperature, avoid)
        if len(rows) < n:
            reason = (
                "no more distinct architectures are in reach"
                if exhausted
                else f"{_MAX_ROUNDS} rounds of up to {_MAX_BEAMS} beams found no more"
            )
            raise SpaceExhaustedError(
                f"`n` must be at most {len(rows)}: {reason} of the model of "
                f"{self.space.name!r} outside the {len(avoid)} excluded, got {n}"
            )
        return rows

    @torch.no_grad()
    def found(
        self, n: int, rng: np.random.Generator, temperature: float, avoid: Excluded
    ) -> tuple[Rows, bool]:
        """Up to `n` distinct architectures `(m, D)`, and whether there are no more.

        Beams are drawn in rounds, each as wide as the yield of the one before lets expect to be
        enough. A round follows every branch with one code. Where the decoder is poor another code
        of the same node may lead further, so that the space counts as exhausted only after two
        rounds in a row that came back short and held nothing new.
        """
        found = np.empty((0, len(self.space.decisions)), dtype=np.int16)
        width, widest, stale = min(max(n, _MIN_BEAMS), _MAX_BEAMS), 0, 0
        while len(found) < n and widest < _MAX_ROUNDS:
            beams = sample_distinct(
                self.prior, self.decoder, self.rule, width, rng, temperature=temperature
            )
            rows = np.concatenate([found, self.rule.rows(beams.labels, beams.columns)])
            keys = self.space.keys(rows)
            first = np.zeros(len(rows), dtype=bool)
            first[np.unique(keys, return_index=True)[1]] = True
            before, fresh = len(found), first & ~avoid.contains(keys)
            found, new = rows[fresh][:n], int(fresh.sum()) - before
            stale = stale + 1 if len(beams) < width and not new else 0
            if stale == 2:
                return found, True
            widest += width == _MAX_BEAMS
            enough = 2 * width if not new else (n - len(found)) * width * 5 // (new * 4) + 1
            width = min(max(enough, _MIN_BEAMS), _MAX_BEAMS)
        return found, False
