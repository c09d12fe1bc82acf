"""A pool of random architectures, best first by cheap scores: where a search may start.

Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS", ICLR 2021, section 4.2: a search
that starts from the top of a random pool by a proxy, instead of at random.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from nas_plugins._doing import doing
from nas_plugins._frozen import FrozenDict
from nas_plugins.errors import MetricUnavailableError
from nas_plugins.history import History, Proposal, Trial, TrialState
from nas_plugins.numerics.ranks import mid_ranks
from nas_plugins.protocols import Evaluator, measured
from nas_plugins.sampling import unseen
from nas_plugins.spaces.base import Architecture, SearchSpace

NOTE = "warm-start"
"""Name of the note on a proposal that comes from a ranking: its rank and the pool."""

Floats = npt.NDArray[np.float64]

_POOL = re.compile(r"\bpool (\d+)\b")
_POOLS = 2**32
_MAX_RANKINGS = 4
_COUNTING = (TrialState.COMPLETE, TrialState.RUNNING)


@dataclass(frozen=True)
class RankedPool:
    """The best candidates of a pool by the mean of what each metric makes of their ranks.

    The first proposal draws the number of the pool and leaves it in its note, where later calls
    and other workers find it. So the pool is the same in a resumed search and in every worker;
    each process scores it once.

    Attributes:
        evaluator: What scores the pool.
        metrics: Names of what to rank by, each in its better direction.
        size: Candidates, drawn at random without repetition.
        purpose: What for, in words; said while the pool is scored.
        merit: Of a metric's losses, less is better; the mean over the metrics decides.
    """

    evaluator: Evaluator
    metrics: tuple[str, ...]
    size: int
    purpose: str
    merit: Callable[[Floats], Floats] = mid_ranks
    _rankings: dict[tuple[SearchSpace, int], list[Architecture]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def best(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Up to `n` candidates that are new and have the choices that the engine has fixed.

        Raises:
            MetricUnavailableError: No candidate has a score; says why the first has none.
        """
        number = begun(history).pool
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
            pool = unseen(space, self.size, np.random.default_rng(number))
            order = np.argsort(self._merits(pool), kind="stable").tolist()
            while len(self._rankings) >= _MAX_RANKINGS:
                del self._rankings[next(iter(self._rankings))]
            self._rankings[key] = [pool[i] for i in order]
        return self._rankings[key]

    def _merits(self, pool: list[Architecture]) -> Floats:
        """Mean over the metrics of each candidate's merit, the least of the best, `(P,)`."""
        known = {metric.name: metric for metric in self.evaluator.metrics}
        metrics = [known[name] for name in self.metrics]
        with doing(f"scoring a pool of {len(pool):,} for {self.purpose}", once=True):
            rows = measured(self.evaluator, pool)
        signs = np.array([1.0 if metric.direction == "min" else -1.0 for metric in metrics])
        losses = np.array([[row.get(m.name, np.nan) for m in metrics] for row in rows]) * signs
        if not np.isfinite(losses).any():
            reason = _reason(rows[0], metrics[0].name) if rows else "the pool is empty"
            raise MetricUnavailableError(f"no candidate of {self.purpose} has a score: {reason}")
        losses[~np.isfinite(losses)] = np.inf  # last
        merits: Floats = np.stack([self.merit(column) for column in losses.T]).mean(axis=0)
        return merits


@dataclass(frozen=True)
class Begun:
    """What the notes tell of a ranking; grows with the history.

    Attributes:
        n: Trials that come from it; failed and pruned ones do not count.
        pool: Number of the pool, which the first of them tells.
    """

    n: int = 0
    pool: int | None = None

    def grown(self, trials: Sequence[Trial]) -> Begun:
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
        return Begun(n, pool)


def begun(history: History) -> Begun:
    """What the notes of a history tell of its ranking."""
    return history.growing(Begun, Begun)


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
