"""Local search: take the first better neighbour, restart at a local optimum.

White, Nolen and Savani, "Exploring the Loss Landscape in Neural Architecture Search", UAI 2021.
With several objectives this is Pareto local search (Paquete, Chiarandini and Stützle, 2004).
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np

from nas_plugins import pareto
from nas_plugins._frozen import FrozenDict
from nas_plugins.history import History, Proposal, Trial, TrialState
from nas_plugins.protocols import Strategy
from nas_plugins.sampling import FreshDraws
from nas_plugins.spaces.base import Architecture, Key, Rows

NOTE = "local-search"
"""Name of the note that tells which chain a trial belongs to."""

_CHAIN = re.compile(r"chain (\d+)\b")


@dataclass(frozen=True)
class LocalSearch(Strategy):
    """Climbs from random starts by single changes; a note on each trial names its chain.

    A chain holds a random start and the neighbours tried from there. Its incumbents are its
    best trials (its Pareto front with several objectives, feasible before infeasible). The
    next proposal is a random untried neighbour of a random incumbent. A better neighbour that
    some earlier trial has evaluated already is moved to at no cost. When no incumbent has an
    untried neighbour, the next chain starts at random.

    Running trials count as tried. A chain that was left while neighbours were still running
    is taken up again if one of them turns out better. While the first trial of a chain runs,
    further proposals are more starts of that chain. Trials without a note, e.g. enqueued ones,
    belong to the chain of their time, so a search can be warm-started.

    Attributes:
        avoid_duplicates: Whether to propose no architecture twice. When False, each chain
            tries its neighbours anew, whatever other chains have seen.
    """

    avoid_duplicates: bool = True

    def propose(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Returns `n` proposals; fewer when the space is exhausted."""
        draws = FreshDraws(history, rng, avoid_duplicates=self.avoid_duplicates)
        landscape = _Landscape(history)
        chains = _chains(history)
        newest = max(chains)
        climbs = [
            _Climb(landscape, chains[number], draws)
            for number in (newest - 1, newest)
            if number in chains
        ]
        proposals: list[Proposal] = []
        while len(proposals) < n:
            proposal = _neighbour(climbs) or _start(landscape, climbs, draws)
            if proposal is None:
                break
            proposals.append(proposal)
        return proposals


@dataclass(frozen=True)
class _Chain:
    """Members of one chain, and their positions among the complete trials."""

    number: int
    trials: list[Trial] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)


def _chains(history: History) -> dict[int, _Chain]:
    """The newest chain, which may be empty, and the one before it if there is one."""
    numbers = _numbers(history)
    newest = max(numbers, default=0)
    unfinished = []
    if len(history.complete) < len(history):
        states = enumerate(trial.state for trial in history.trials)
        unfinished = [i for i, state in states if state is not TrialState.COMPLETE]
    chains = {newest: _Chain(newest)}
    for i, number in enumerate(numbers):
        if number < newest - 1:
            continue
        trial = history.trials[i]
        chain = chains.setdefault(number, _Chain(number))
        chain.trials.append(trial)
        if trial.state is TrialState.COMPLETE:
            chain.positions.append(i - bisect(unfinished, i))
    return chains


def _numbers(history: History) -> list[int]:
    """The number of each trial's chain."""
    found: list[int] = []
    known: dict[str, int] = {}
    number, newest, last = 0, 0, None
    for notes in [trial.notes for trial in history.trials]:
        note = notes.get(NOTE)
        if note != last:  # otherwise it belongs where the trial before it does
            number, last = newest, note
            if note is not None:
                written = _written(note)
                number = known.setdefault(note, newest if written is None else written)
                newest = max(newest, number)
        found.append(number)
    return found


@lru_cache(maxsize=4096)
def _written(note: str) -> int | None:
    """The number that a note tells."""
    match = _CHAIN.match(note)
    return int(match[1]) if match else None


class _Landscape:
    """The complete trials during one call of ``propose``, by their position among them."""

    def __init__(self, history: History) -> None:
        self.history = history
        self._neighbours: dict[int, tuple[Rows, list[Key]]] = {}

    @cached_property
    def known(self) -> dict[Key, int]:
        """Positions by canonical key."""
        return {t.architecture.key: i for i, t in enumerate(self.history.complete)}

    def neighbours(self, position: int) -> tuple[Rows, list[Key]]:
        """Rows `(M, D)` and keys of all neighbours."""
        if position not in self._neighbours:
            space = self.history.space
            rows = space.neighbour_rows(self.history.complete[position].architecture.row)
            self._neighbours[position] = rows, space.keys(rows).tolist()
        return self._neighbours[position]

    def front(self, pool: Sequence[int]) -> list[int]:
        """The best of `pool`: its Pareto front, feasible before infeasible."""
        if len(pool) < 2:
            return list(pool)
        rows = np.array(pool)
        losses, violations = self.history.losses[rows], self.history.violations[rows]
        mask = pareto.constrained_front(losses, violations)
        return [pool[i] for i in np.flatnonzero(mask).tolist()]

    def climbed(self, positions: Sequence[int]) -> list[int]:
        """`front` of `positions` after all free moves: to better neighbours seen elsewhere."""
        pool, asked = set(positions), set[int]()
        front = self.front(positions)
        while len(pool) < len(self.history.complete):
            reached = {
                self.known[key]
                for position in front
                if position not in asked
                for key in self.neighbours(position)[1]
                if key in self.known
            }
            asked.update(front)
            fresh = reached.difference(pool)
            if not fresh:
                break
            pool |= fresh
            # What is off the front stays off it.
            front = self.front([*front, *sorted(fresh)])
        return front


class _Climb:
    """One chain during one call of ``propose``."""

    def __init__(self, landscape: _Landscape, chain: _Chain, draws: FreshDraws) -> None:
        self.number = chain.number
        self.started = bool(chain.positions)
        self._landscape = landscape
        self._rng = draws.rng
        if draws.avoid_duplicates:
            self._tried = draws.taken
            self._incumbents = landscape.climbed(chain.positions)
        else:
            self._tried = {trial.architecture.key for trial in chain.trials}
            self._incumbents = landscape.front(chain.positions)

    def neighbour(self) -> Architecture | None:
        """Takes a random untried neighbour of a random incumbent that has one."""
        rng, incumbents = self._rng, self._incumbents
        while incumbents:
            chosen = int(rng.integers(len(incumbents)))
            rows, keys = self._landscape.neighbours(incumbents[chosen])
            untried = [i for i, key in enumerate(keys) if key not in self._tried]
            if untried:
                i = untried[rng.integers(len(untried))]
                self._tried.add(keys[i])
                return Architecture(self._landscape.history.space, tuple(rows[i].tolist()))
            incumbents[chosen] = incumbents[-1]
            incumbents.pop()
        return None


def _neighbour(climbs: Sequence[_Climb]) -> Proposal | None:
    for climb in climbs:
        architecture = climb.neighbour()
        if architecture is not None:
            return _proposal(architecture, climb, "neighbour")
    return None


def _start(landscape: _Landscape, climbs: list[_Climb], draws: FreshDraws) -> Proposal | None:
    drawn = draws.random()
    if not drawn:
        return None
    if climbs[-1].started:
        climbs.append(_Climb(landscape, _Chain(climbs[-1].number + 1), draws))
    return _proposal(drawn[0], climbs[-1], "start")


def _proposal(architecture: Architecture, climb: _Climb, step: str) -> Proposal:
    return Proposal(architecture, FrozenDict({NOTE: f"chain {climb.number}, {step}"}))
