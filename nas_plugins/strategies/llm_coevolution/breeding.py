"""Filling slots with architectures: children of the model, or what takes their place.

Of several candidates of a classical operator the most promising is evaluated, by additive effects
of the choices, read off the history: a ridge regression of the ranks of each objective on what an
architecture chooses, and on how often it chooses it. The same statistics that rules are mined
from, as numbers; it needs no model of language and a dozen trials.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt

from nas_plugins import pareto
from nas_plugins.history import History, Proposal, Trial, TrialState
from nas_plugins.numerics import ridge
from nas_plugins.numerics.ranks import mid_ranks
from nas_plugins.sampling import FreshDraws
from nas_plugins.spaces.base import Architecture, Rows, SearchSpace
from nas_plugins.strategies.llm_coevolution import operators
from nas_plugins.strategies.llm_coevolution.conversation import Conversation
from nas_plugins.strategies.llm_coevolution.log import Note, proposal_notes
from nas_plugins.strategies.llm_coevolution.schedule import (
    CROSSOVER,
    HYBRID,
    INITIAL,
    MODEL,
    MUTATION,
    NicheGeneration,
    NicheSchedule,
    Offspring,
    Slot,
    begun,
)

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int32]

_THREADS = 8
_UNSCREENED = 0.3
_TRIES = 16
_SECOND_CHANGE = 0.5
MIN_TRIALS = 8
"""Fewest complete trials that effects are read from."""

_RIDGE = 1.0
_COUNT_WEIGHT = 0.5
_CHUNK = 512
# Far above rounding, so that machines that round differently choose the same.
_TIE = 1e-9
_SPENT = "the children of the batch are used up"


@dataclass(eq=False)
class Breeder:
    """Fills the slots of one call of ``propose``.

    Attributes:
        schedule: Of the search.
        draws: New architectures; its generator decides everything.
        conversation: With the model; ``None`` where none is asked.
        reason: Why no model is asked.
    """

    schedule: NicheSchedule
    draws: FreshDraws
    conversation: Conversation | None = None
    reason: str = ""
    _made: dict[tuple[int, int], NicheGeneration] = field(default_factory=dict)
    _told: set[tuple[int, int]] = field(default_factory=set)
    _waiting: dict[tuple[int, int], list[Offspring]] = field(default_factory=dict)

    @property
    def _rng(self) -> np.random.Generator:
        return self.draws.rng

    def make_generations(self, slots: Sequence[Slot], left: Sequence[float]) -> None:
        """Has the generations made that slots need and nobody has led, several at once.

        Args:
            slots: What is to be filled.
            left: Architectures that each niche still holds.
        """
        talk = self.conversation
        if talk is None:
            return
        wanted = dict.fromkeys(slot.batch for slot in slots if slot.kind == MODEL)
        new = [b for b in wanted if b not in self.schedule.batches and b not in self._made]
        found = [
            begun(self.schedule, k, number, left[k], self._rng, small=talk.small)
            for k, number in new
        ]
        if len(found) > 1:
            with ThreadPoolExecutor(min(len(found), _THREADS)) as pool:
                made = list(pool.map(talk.make, found))
        else:
            made = [talk.make(generation) for generation in found]
        self._made.update(zip(new, made, strict=True))

    def fill(self, slot: Slot) -> Proposal | None:
        """The proposal for a slot; ``None`` where its niche holds nothing new."""
        reason = ""
        if slot.kind == INITIAL:
            child = self._sampled(slot.niche, "initial")
        elif slot.kind == HYBRID:
            child = self._best(self._mutant)
        else:
            child = self._next(slot.batch)
            if child is None:
                reason = self._missing(slot.batch)
                child = self._best(lambda: self._bred(slot.niche))
        return None if child is None else self._proposal(slot, child, reason)

    def anything(self) -> Proposal | None:
        """A new architecture from anywhere, when no niche has shown any."""
        found = self.draws.random()
        return Proposal(found[0]) if found else None

    def unnoted(self, niche: int) -> Proposal | None:
        """A child of the classical operator, for a trial whose choices the engine fixes.

        It has no note: where the engine takes it, its niche may be another.
        """
        child = self._best(lambda: self._bred(niche))
        return None if child is None else Proposal(child.architecture)

    # -- children of the model -------------------------------------------------------------

    def _next(self, batch: tuple[int, int]) -> Offspring | None:
        """The next child of a batch that nobody has taken."""
        if batch not in self._waiting:
            made = self._made.get(batch)
            self._waiting[batch] = list(made.found) if made else self.schedule.pending(*batch)
        waiting = self._waiting[batch]
        while waiting:
            child = waiting.pop(0)
            if child.architecture.key not in self.draws.taken:
                self.draws.take([child.architecture])
                return child
        return None

    def _missing(self, batch: tuple[int, int]) -> str:
        """Why a batch has no child left."""
        if batch in self._made:
            return self._made[batch].reason or _SPENT
        notes = (note for _, note, _ in self.schedule.batches.get(batch, ()))
        told = [note.reason for note in notes if note.reason]
        return told[-1] if told else self.reason or _SPENT

    # -- in the model's place --------------------------------------------------------------

    def _best(self, breed: Callable[[], Offspring | None]) -> Offspring | None:
        """The most promising of several candidates; the others can be drawn again.

        Now and then the first one: what the effects speak against must have its chance too.
        """
        screened = self._rng.random() >= _UNSCREENED
        wanted = self.schedule.options.candidates if screened else 1
        found: list[Offspring] = []
        while len(found) < wanted:
            child = breed()
            if child is None:
                break
            found.append(child)
        if not found:
            return None
        architectures = [child.architecture for child in found]
        chosen = found[most_promising(self.schedule.history, architectures, self._rng)]
        self.draws.taken.difference_update(a.key for a in architectures)
        self.draws.take([chosen.architecture])
        return chosen

    def _bred(self, niche: int) -> Offspring | None:
        """A crossover or mutation in a niche, at last a uniform draw."""
        archive, partition = self.schedule.archive(niche), self.schedule.partition
        where, draws, rng = partition.niches[niche], self.draws, self._rng
        if len(archive) > 1 and rng.random() < self.schedule.options.crossover_probability:
            pair = [archive[i] for i in rng.choice(len(archive), 2, replace=False)]
            both = [trial.architecture for trial in pair]
            found = operators.cross_in(partition, where, both, draws)
            if found is not None:
                return _child(found, "classical", CROSSOVER, pair)
        if archive:
            parent = self._one_of(archive)
            found = operators.mutate_in(partition, where, parent.architecture, draws)
            if found is not None:
                return _child(found, "classical", MUTATION, [parent])
        return self._sampled(niche, "classical")

    def _mutant(self) -> Offspring | None:
        """A mutation of a member of the global front, wherever it leads."""
        front = self.schedule.history.front
        for _ in range(_TRIES if front else 0):
            parent = self._one_of(front)
            changes = 1 + int(self._rng.random() < _SECOND_CHANGE)
            child = self.draws.mutation(parent.architecture, n_changes=changes)
            if child is not None:
                return _child(child, "hybrid", MUTATION, [parent])
        if front:
            parent = self._one_of(front)
            child = self.draws.widening(parent.architecture, n_changes=2)
            if child is not None:
                return _child(child, "hybrid", MUTATION, [parent])
        drawn = self.draws.random()
        return Offspring(drawn[0], "hybrid") if drawn else None

    def _one_of(self, trials: Sequence[Trial]) -> Trial:
        return trials[int(self._rng.integers(len(trials)))]

    def _sampled(self, niche: int, origin: str) -> Offspring | None:
        partition = self.schedule.partition
        found = operators.sample_in(partition, partition.niches[niche], self.draws)
        return None if found is None else Offspring(found, origin)

    # -- notes -----------------------------------------------------------------------------

    def _proposal(self, slot: Slot, child: Offspring, reason: str) -> Proposal:
        """A proposal with its note; the first of a generation made in this call leads it."""
        made = None
        if slot.kind == MODEL and slot.batch in self._made and slot.batch not in self._told:
            self._told.add(slot.batch)
            made = self._made[slot.batch]
        note = Note(
            niche=slot.niche,
            label=self.schedule.partition.niches[slot.niche].label,
            generation=slot.generation,
            origin=child.origin,
            reason=reason if made is None else made.reason,
            rationale=child.rationale,
            operator=child.operator,
            parents=child.parents,
            batch=None if made is None else made.batch,
        )
        return Proposal(child.architecture, proposal_notes(note))


def _child(
    architecture: Architecture, origin: str, operator: str, parents: Sequence[Trial]
) -> Offspring:
    return Offspring(architecture, origin, operator, tuple(trial.number for trial in parents))


# -- the most promising ------------------------------------------------------------------------


def most_promising(
    history: History, candidates: Sequence[Architecture], rng: np.random.Generator
) -> int:
    """Position of the candidate whose predicted ranks reach farthest beyond the front.

    How far is the additive epsilon indicator (Zitzler et al., IEEE Trans. Evol. Comput. 7,
    2003): by how much the candidate would have to be worse, in ranks, until some trial of the
    front were as good in every objective. With ranks ``r_tj`` of trial t in objective j and
    predicted ones ``p_j`` that is ``min_t max_j (r_tj - p_j)``.

    Args:
        history: What has been evaluated; with fewer than `MIN_TRIALS` complete trials the first
            candidate is taken.
        candidates: At least one.
        rng: Breaks ties.
    """
    if len(candidates) == 1 or len(history.complete) < MIN_TRIALS:
        return 0
    space = history.space
    ranks = _ranks(history)
    known = history.growing(_Known, partial(_Known.empty, space))
    wanted = features(space, space.rows(candidates))
    means = ranks.mean(axis=0)
    weights = ridge.solve(known.gram, known.moments(ranks - means), _RIDGE)
    predicted = wanted @ weights + means
    front = pareto.constrained_front(history.losses, history.violations)
    gains = (ranks[front][None] - predicted[:, None]).max(axis=2).min(axis=1)
    best = np.flatnonzero(gains >= gains.max() - _TIE)
    return int(best[rng.integers(len(best))])


def features(space: SearchSpace, rows: Rows) -> Floats:
    """What each architecture chooses, and how often: one column per choice of a decision, and
    one per choice of the decisions that share their choices. `(B, D)` to `(B, F)`.

    Decisions without effect count as not taken.
    """
    mixing, found = _mixing(space), []
    for start in range(0, max(len(rows), 1), _CHUNK):
        taken = _taken(space, rows[start : start + _CHUNK])
        flags = np.zeros((len(taken), len(mixing)))
        flags[np.arange(len(taken))[:, None], taken] = 1.0
        found.append(flags @ mixing)
    return np.concatenate(found)


def _taken(space: SearchSpace, rows: Rows) -> Integers:
    """The place of each decision's choice among all choices, and behind them all for a decision
    without effect. `(B, D)` to `(B, D)`."""
    ends = np.cumsum(space.cardinalities)
    places = rows + (ends - space.cardinalities)
    found: Integers = np.where(space.active(rows), places, ends[-1]).astype(np.int32)
    return found


@lru_cache(maxsize=4)
def _mixing(space: SearchSpace) -> Floats:
    """What a choice adds to each feature, and a decision without effect, `(C + 1, F)`."""
    own = np.eye(int(space.cardinalities.sum()) + 1)[:, :-1]
    shared: dict[tuple[object, ...], list[Floats]] = {}
    for decision, end in zip(space.decisions, np.cumsum(space.cardinalities), strict=True):
        block = own[:, end - len(decision.choices) : end]
        shared.setdefault(decision.labels, []).append(block)
    counts = [sum(blocks) * _COUNT_WEIGHT for blocks in shared.values() if len(blocks) > 1]
    return np.concatenate([own, *counts], axis=1)


@dataclass(frozen=True, eq=False)
class _Known:
    """The features of the complete trials, as far as a regression needs them; grows with them.

    Attributes:
        space: The space.
        taken: `(n, D)` of `_taken`.
        gram: `(F, F)` products of the features, exact: they are whole numbers and halves.
    """

    space: SearchSpace
    taken: Integers
    gram: Floats

    @classmethod
    def empty(cls, space: SearchSpace) -> _Known:
        n = _mixing(space).shape[1]
        return cls(space, np.zeros((0, len(space.decisions)), np.int32), np.zeros((n, n)))

    def grown(self, trials: Sequence[Trial]) -> _Known:
        """The same when these trials come next."""
        new = [t.architecture for t in trials if t.state is TrialState.COMPLETE]
        if not new:
            return self
        rows, gram = self.space.rows(new), self.gram.copy()
        for start in range(0, len(rows), _CHUNK):
            found = features(self.space, rows[start : start + _CHUNK])
            gram += found.T @ found
        taken = np.concatenate([self.taken, _taken(self.space, rows)])
        return _Known(self.space, taken, gram)

    def moments(self, values: Floats) -> Floats:
        """Products of the features with values, `(n, m)` to `(F, m)`."""
        mixing, places = _mixing(self.space), self.taken.ravel()
        sums = [
            np.bincount(places, np.repeat(column, self.taken.shape[1]), len(mixing))
            for column in values.T
        ]
        found: Floats = mixing.T @ np.stack(sums, axis=1)
        return found


def _ranks(history: History) -> Floats:
    """Ranks of the losses in (0, 1], `(n, m)`; the infeasible rank behind all the feasible."""
    columns = [mid_ranks(losses, history.violations) for losses in history.losses.T]
    return np.stack(columns, axis=1) / len(history.complete)
