"""A strategy alone on a growing history, without an engine: for comparisons on tables."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from nas_plugins._frozen import FrozenDict
from nas_plugins.history import History, Objective, Trial, TrialState
from nas_plugins.protocols import Strategy
from nas_plugins.spaces.base import Architecture, SearchSpace

Measure = Callable[[Architecture | None], Sequence[float] | None]
"""Values of the objectives; ``None`` where one was not measured, or for no architecture."""


@dataclass(frozen=True)
class Step:
    """One evaluation of a search.

    Attributes:
        architecture: What was evaluated; ``None`` where the choices are no architecture.
        values: In the order of the objectives; empty where the evaluation failed.
        notes: What the strategy left.
        seconds: Spent outside the evaluation.
    """

    architecture: Architecture | None
    values: tuple[float, ...]
    notes: FrozenDict[str] = field(default_factory=FrozenDict)
    seconds: float = 0.0

    @property
    def state(self) -> TrialState:
        """Complete, or failed."""
        return TrialState.COMPLETE if self.values else TrialState.FAILED


def alone(
    strategy: Strategy,
    space: SearchSpace,
    objectives: Sequence[Objective],
    *,
    n_trials: int,
    measure: Measure,
    seed: int,
) -> Iterator[Step]:
    """Runs a strategy, one proposal at a time, as a pure function of the history.

    Args:
        strategy: The strategy.
        space: What it searches.
        objectives: What it searches on.
        n_trials: Evaluations; fewer where it proposes no more.
        measure: Evaluates an architecture. A failed evaluation counts as one.
        seed: Of the one generator that is used throughout.
    """
    rng = np.random.default_rng(seed)
    history = History(space, tuple(objectives))
    while len(history) < n_trials:
        start = time.perf_counter()
        proposals = strategy.propose(history, 1, rng)
        seconds = time.perf_counter() - start
        if not proposals:
            return
        architecture, notes = proposals[0].architecture, proposals[0].notes
        values = tuple(measure(architecture) or ())
        start = time.perf_counter()
        step = Step(architecture, values, notes)
        trial = Trial(len(history), architecture, step.state, values, notes=notes)
        history = history.extend([trial])
        yield Step(architecture, values, notes, seconds + time.perf_counter() - start)


__all__ = ["Measure", "Step", "alone"]
