"""Warm start: any strategy, but its first proposals are the best of a pool by cheap scores.

Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS", ICLR 2021, section 4.2: a search
that starts from the top of a random pool by a proxy, instead of at random.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np

from nas_plugins import _public, registry
from nas_plugins._checks import at_least, integers
from nas_plugins._frozen import FrozenDict
from nas_plugins.errors import unknown_name
from nas_plugins.history import History, Proposal
from nas_plugins.protocols import Evaluator, Strategy, as_evaluator, as_strategy
from nas_plugins.ranked_pool import NOTE, RankedPool, begun
from nas_plugins.spaces.base import SearchSpace

__all__ = ["NOTE", "WarmStart", "kind_of"]


@dataclass(frozen=True)
class WarmStart(Strategy):
    """Proposes the best candidates of a pool by an evaluator's scores, then as `strategy` does.

    The strategy sees the trials of the warm start as it sees any trials of others: they fill its
    initial population, its archive or its first chain.

    The first proposal draws the number of the pool and leaves it in its note, where later calls
    and other workers find it. So the pool is the same in a resumed search and in every worker;
    each process scores it once, and only while the warm start lasts. Workers that begin at the
    same moment may draw two pools, of which the first counts from then on, and may together
    take one trial more than `n`.

    Attributes:
        strategy: The strategy, or its registered name.
        evaluator: What scores the pool: an evaluator, the registered name of one, or the name of
            a benchmark, e.g. ``"nas-bench-suite-zero/cifar10"``.
        n: Trials that come from the ranking; failed and pruned ones do not count.
        pool: Candidates, drawn at random without repetition.
        metrics: What to rank by, each in its better direction. With several the mean of the
            ranks decides. By default all metrics of the evaluator, built with the options that
            it declares for ranking. Candidates without a score rank last.
        options: Options of an evaluator that is given by name.

    Raises:
        TypeError: `n` or `pool` is not an integer.
        ValueError: A number is out of range, or `options` are given for a built evaluator.
        UnknownNameError: A name or metric is not known; suggests the nearest.
    """

    strategy: Strategy | str
    evaluator: Evaluator | str = "zero-cost"
    n: int = 5
    pool: int = 500
    metrics: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=FrozenDict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", tuple(self.metrics))
        object.__setattr__(self, "options", FrozenDict(self.options))
        integers(n=self.n, pool=self.pool)
        at_least(1, n=self.n)
        if self.pool < self.n:
            raise ValueError(f"`pool` must be >= `n`, which is {self.n}, got {self.pool}")
        if self.options and not isinstance(self.evaluator, str):
            raise ValueError(f"`options` are for an evaluator's name, got {dict(self.options)}")
        known = [metric.name for metric in self._scorer.metrics]
        for name in self.metrics:
            if name not in known:
                raise unknown_name("metric of the warm start", name, known)
        self._inner  # noqa: B018 - an unknown name is told now

    @property
    def avoid_duplicates(self) -> bool:
        """The strategy's; the warm start itself never proposes an architecture twice."""
        return self._inner.avoid_duplicates

    def check(self, space: SearchSpace) -> None:
        """Refuses a space whose architectures the evaluator cannot score.

        Raises:
            ValueError: Says why.
        """
        self._scorer.check(space)

    @property
    def ranked_by(self) -> tuple[str, ...]:
        """Names of the metrics that the pool is ranked by."""
        return self.metrics or tuple(metric.name for metric in self._scorer.metrics)

    def prepare(self, space: SearchSpace) -> None:
        """Lets the strategy prepare for a space."""
        self._inner.prepare(space)

    def propose(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Returns `n` proposals; fewer when the space is exhausted.

        Raises:
            MetricUnavailableError: No candidate has a score; says why the first has none.
        """
        missing = min(n, self.n - begun(history).n)
        found = self._pool.best(history, missing, rng) if missing > 0 else []
        if len(found) < n:
            found += self._inner.propose(history.with_running(found), n - len(found), rng)
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self)}

    # -- the ranking -------------------------------------------------------------------------

    @cached_property
    def _inner(self) -> Strategy:
        if isinstance(self.strategy, str):
            return _public.strategy(self.strategy)
        return as_strategy(self.strategy)

    @cached_property
    def _scorer(self) -> Evaluator:
        if isinstance(self.evaluator, str):
            return _public.measuring(self.evaluator, "ranking", self.metrics, **self.options)
        return as_evaluator(self.evaluator)

    @cached_property
    def _pool(self) -> RankedPool:
        return RankedPool(self._scorer, self.ranked_by, self.pool, "the warm start")


def kind_of(name: str) -> str:
    """Whether a name is that of an ``"evaluator"`` or of a ``"benchmark"``."""
    family = name.partition("/")[0]
    named = "/" not in name and family not in registry.names("benchmark")
    return "evaluator" if named or family in registry.names("evaluator") else "benchmark"
