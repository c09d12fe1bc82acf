"""Local search: take the first better neighbour, restart at a local optimum.

White, Nolen and Savani, "Exploring the Loss Landscape in Neural Architecture Search", UAI 2021.
With several objectives this is Pareto local search (Paquete, Chiarandini and Stützle, 2004).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from nas_plugins import pareto
from nas_plugins._frozen import FrozenDict
from nas_plugins.history import History, Proposal, Trial, TrialState
from nas_plugins.protocols import Strategy
from nas_plugins.sampling import FreshDraws
from nas_plugins.spaces.base import Architecture, Key

NOTE = "local-search"
"""Name of the note that tells which chain a trial belongs to."""

_MANY = 4096
_CHAIN = re.compile(r"chain (\d+)\b")


@dataclass(frozen=True)
class LocalSearch(Strategy):
    """Climbs from random starts by single changes; a note on each trial names its chain.

    A chain holds a random start and the neighbours tried from there. Its incumbents are its
    best trials (its Pareto front with several objectives, feasible before infeasible). The
    next proposal is a random untried neighbour of a random incumbent, the nearest where
    decisions are ordered. A better neighbour that
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
        chains = history.growing(_Chains, _Chains)
        landscape = _Landscape(history, chains.known)
        newest = chains.members.get(chains.newest, _Chain(chains.newest))
        before = chains.members.get(chains.newest - 1)
        climbs = [_Climb(landscape, chain, draws) for chain in (before, newest) if chain]
        proposals: list[Proposal] = []
        while len(proposals) < n:
            proposal = _neighbour(climbs) or _start(landscape, climbs, draws)
            if proposal is None:
                break
            proposals.append(proposal)
        return proposals


@dataclass(frozen=True)
class _Chain:
    """Members of one chain, and the positions of those that are complete among all such."""

    number: int
    trials: tuple[Trial, ...] = ()
    positions: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Chains:
    """The newest chain and the one before it; grows with the history.

    Attributes:
        newest: Number of the newest chain.
        members: The two chains by number; one that has no trial is absent.
        known: Positions of the complete trials among them, by canonical key.
        n_complete: Number of complete trials.
        last: The note of the last trial, and the number of its chain.
        unnumbered: Chains of the notes that tell no number.
    """

    newest: int = 0
    members: Mapping[int, _Chain] = field(default_factory=dict)
    known: Mapping[Key, int] = field(default_factory=dict)
    n_complete: int = 0
    last: tuple[str | None, int] = (None, 0)
    unnumbered: Mapping[str, int] = field(default_factory=dict)

    def grown(self, trials: Sequence[Trial]) -> _Chains:
        """The chains when these trials come next."""
        newest, n, last = self.newest, self.n_complete, self.last
        known, unnumbered = dict(self.known), dict(self.unnumbered)
        joining: dict[int, list[tuple[Trial, int | None]]] = {}
        for trial in trials:
            note = trial.notes.get(NOTE)
            if note != last[0]:  # otherwise it belongs where the trial before it does
                number = newest
                if note is not None:
                    told = _told(note)
                    number = unnumbered.setdefault(note, newest) if told is None else told
                last = note, number
                newest = max(newest, number)
            position = None
            if trial.state is TrialState.COMPLETE:
                known[trial.architecture.key] = position = n
                n += 1
            joining.setdefault(last[1], []).append((trial, position))
        members = {}
        for number in (newest - 1, newest):
            chain, joined = self.members.get(number, _Chain(number)), joining.get(number, ())
            trials = chain.trials + tuple(trial for trial, _ in joined)
            positions = chain.positions + tuple(p for _, p in joined if p is not None)
            if trials:
                members[number] = _Chain(number, trials, positions)
        return _Chains(newest, members, known, n, last, unnumbered)


def _told(note: str) -> int | None:
    """The number that a note tells."""
    match = _CHAIN.match(note)
    return int(match[1]) if match else None


class _Neighbours:
    """What single changes lead to from an architecture, of which there may be 70,000.

    Attributes:
        rows: Choice indices, `(M, D)`.
        places: Number of each row by its key.
        steps: How far an ordered decision moves, 1 for any other change; ``None`` where no
            decision is ordered.
    """

    def __init__(self, architecture: Architecture) -> None:
        space, own = architecture.space, architecture.row
        self.rows = space.neighbour_rows(own)
        self.keys: list[Key] = space.keys(self.rows).tolist()
        self.places = {key: i for i, key in enumerate(self.keys)}
        self.steps: npt.NDArray[np.int64] | None = None
        if space.has_order:
            ordered = np.array([decision.ordered for decision in space.decisions])
            moved = np.abs(self.rows.astype(np.int64) - own)
            self.steps = np.where(ordered, moved, moved > 0).max(axis=1, initial=0)

    def among(self, keys: Collection[Key]) -> list[Key]:
        """Those of the keys that are neighbours'; costs what the shorter of both is long."""
        if len(keys) < len(self.places):
            return [key for key in keys if key in self.places]
        return [key for key in self.places if key in keys]

    def untried(self, tried: Collection[Key]) -> npt.NDArray[np.int64]:
        """Numbers of the rows that are not tried: of ordered decisions the nearest only."""
        left = np.ones(len(self.rows), dtype=bool)
        # Different rows may have the same key: each of them is looked up where these differ.
        if len(self.places) < len(self.keys):
            left[[i for i, key in enumerate(self.keys) if key in tried]] = False
        else:
            left[[self.places[key] for key in self.among(tried)]] = False
        numbers = np.flatnonzero(left)
        if self.steps is not None and len(numbers):
            steps = self.steps[numbers]
            numbers = numbers[steps == steps.min()]
        return numbers


_few = lru_cache(maxsize=256)(_Neighbours)
_many = lru_cache(maxsize=4)(_Neighbours)


def _neighbours(architecture: Architecture) -> _Neighbours:
    """The neighbours; an incumbent is asked for them many times."""
    many = int(architecture.space.cardinalities.sum()) > _MANY
    return (_many if many else _few)(architecture)


class _Landscape:
    """The complete trials during one call of ``propose``, by their position among them."""

    def __init__(self, history: History, known: Mapping[Key, int]) -> None:
        self.history = history
        self.known = known

    def neighbours(self, position: int) -> _Neighbours:
        """The neighbours of a complete trial."""
        return _neighbours(self.history.complete[position].architecture)

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
                for key in self.neighbours(position).among(self.known.keys())
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
            found = self._landscape.neighbours(incumbents[chosen])
            untried = found.untried(self._tried)
            if len(untried):
                i = int(untried[rng.integers(len(untried))])
                self._tried.add(found.keys[i])
                row = tuple(found.rows[i].tolist())
                return Architecture(self._landscape.history.space, row)
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
