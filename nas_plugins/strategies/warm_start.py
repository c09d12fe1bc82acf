"""Warm start: any strategy, but its first proposals are the best of a pool by cheap scores.

Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS", ICLR 2021, section 4.2: a search
that starts from the top of a random pool by a proxy, instead of at random.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins import _public, registry
from nas_plugins._checks import at_least, integers
from nas_plugins._doing import doing
from nas_plugins._frozen import FrozenDict
from nas_plugins.errors import MetricUnavailableError, unknown_name
from nas_plugins.history import History, Proposal, Trial, TrialState
from nas_plugins.numerics.ranks import mid_ranks
from nas_plugins.protocols import Evaluator, Strategy, as_evaluator, as_strategy, measured
from nas_plugins.sampling import unseen
from nas_plugins.spaces.base import Architecture, SearchSpace

NOTE = "warm-start"
"""Name of the note on a proposal that comes from the ranking: its rank and the pool."""

Floats = npt.NDArray[np.float64]

_POOL = re.compile(r"\bpool (\d+)\b")
_POOLS = 2**32
_MAX_RANKINGS = 4


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
        missing = min(n, self.n - history.growing(_Begun, _Begun).n)
        found = self._best(history, missing, rng) if missing > 0 else []
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
    def _rankings(self) -> dict[tuple[SearchSpace, int], list[Architecture]]:
        """What has been ranked in this process; follows from space and number of the pool."""
        return {}

    def _best(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Up to `n` candidates that are new and have the choices that the engine has fixed."""
        number = history.growing(_Begun, _Begun).pool
        if number is None:
            number = int(rng.integers(_POOLS))
        ranked = self._ranked(history.space, number)
        found: list[Proposal] = []
        for rank, architecture in enumerate(ranked, start=1):
            if len(found) == n:
                break
            if architecture.key not in history.seen and _fits(architecture, history):
                note = f"rank {rank} of {len(ranked)} in pool {number}"
                found.append(Proposal(architecture, FrozenDict({NOTE: note})))
        return found

    def _ranked(self, space: SearchSpace, number: int) -> list[Architecture]:
        """The pool, best first."""
        key = space, number
        if key not in self._rankings:
            pool = unseen(space, self.pool, np.random.default_rng(number))
            order = np.argsort(self._mean_ranks(pool), kind="stable").tolist()
            while len(self._rankings) >= _MAX_RANKINGS:
                del self._rankings[next(iter(self._rankings))]
            self._rankings[key] = [pool[i] for i in order]
        return self._rankings[key]

    def _mean_ranks(self, pool: list[Architecture]) -> Floats:
        """Mean over the metrics of each candidate's rank from 1, the best, `(P,)`."""
        known = {metric.name: metric for metric in self._scorer.metrics}
        metrics = [known[name] for name in self.ranked_by]
        with doing(f"scoring a pool of {len(pool):,} for the warm start", once=True):
            rows = measured(self._scorer, pool)
        signs = np.array([1.0 if metric.direction == "min" else -1.0 for metric in metrics])
        losses = np.array([[row.get(m.name, np.nan) for m in metrics] for row in rows]) * signs
        if not np.isfinite(losses).any():
            reason = _reason(rows[0], metrics[0].name) if rows else "the pool is empty"
            raise MetricUnavailableError(f"no candidate of the warm start has a score: {reason}")
        losses[~np.isfinite(losses)] = np.inf  # last
        ranks: Floats = np.stack([mid_ranks(column) for column in losses.T]).mean(axis=0)
        return ranks


_COUNTING = (TrialState.COMPLETE, TrialState.RUNNING)


def kind_of(name: str) -> str:
    """Whether a name is that of an ``"evaluator"`` or of a ``"benchmark"``."""
    family = name.partition("/")[0]
    named = "/" not in name and family not in registry.names("benchmark")
    return "evaluator" if named or family in registry.names("evaluator") else "benchmark"


@dataclass(frozen=True)
class _Begun:
    """What the notes tell of the warm start; grows with the history.

    Attributes:
        n: Trials that come from the ranking.
        pool: Number of the pool, which the first of them tells.
    """

    n: int = 0
    pool: int | None = None

    def grown(self, trials: Sequence[Trial]) -> _Begun:
        """The same when these trials come next."""
        n, pool = self.n, self.pool
        for trial in trials:
            note = trial.notes.get(NOTE)
            if note is None:
                continue
            n += trial.state in _COUNTING
            match = _POOL.search(note)
            if match and pool is None:
                pool = int(match[1])
        return _Begun(n, pool)


def _fits(architecture: Architecture, history: History) -> bool:
    choices = architecture.choices if history.fixed else {}
    return all(choices[name] == history.fixed[name] for name in choices if name in history.fixed)


def _reason(row: Mapping[str, float], metric: str) -> str:
    """Why `row` has no finite value of a metric."""
    try:
        return f"{metric} is {row[metric]}"
    except MetricUnavailableError as error:
        return str(error)
    except KeyError:
        return f"the evaluator returned no {metric!r}"
