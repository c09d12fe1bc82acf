"""Filling slots with architectures: children of the model, or what takes their place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from nas_plugins.history import Proposal, Trial
from nas_plugins.sampling import FreshDraws
from nas_plugins.spaces.base import Architecture
from nas_plugins.strategies.llm_coevolution import operators
from nas_plugins.strategies.llm_coevolution.batch import Leader, Led
from nas_plugins.strategies.llm_coevolution.notes import Note, proposal_notes
from nas_plugins.strategies.llm_coevolution.orders import OrderBook
from nas_plugins.strategies.llm_coevolution.schedule import HYBRID, INITIAL, MODEL, Slot, State
from nas_plugins.strategies.llm_coevolution.screening import most_promising

CROSSOVER, MUTATION = "crossover", "mutation"

_THREADS = 8
_UNSCREENED = 0.3
_TRIES = 16
_SECOND_CHANGE = 0.5
_SPENT = "the children of the batch are used up"


@dataclass(frozen=True)
class Bred:
    """An architecture, and what was done to whom to get it.

    Attributes:
        architecture: New.
        operator: `CROSSOVER`, `MUTATION`, or empty for a draw.
        parents: Numbers of the parents' trials.
    """

    architecture: Architecture
    operator: str = ""
    parents: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Waiting:
    """A child of the model that waits for its trial."""

    bred: Bred
    origin: str
    rationale: str


@dataclass(eq=False)
class Brood:
    """Fills the slots of one call of ``propose``.

    Attributes:
        state: Of the search.
        draws: New architectures; its generator decides everything.
        book: Writes orders; ``None`` where no model is asked.
        leader: Has them made; ``None`` where no model is asked.
        reason: Why no model is asked.
        crossover_probability: Of the classical operator combining two parents.
        candidates: How many the classical operators breed to choose one from.
    """

    state: State
    draws: FreshDraws
    book: OrderBook | None = None
    leader: Leader | None = None
    reason: str = ""
    crossover_probability: float = 0.5
    candidates: int = 1
    _led: dict[tuple[int, int], Led] = field(default_factory=dict)
    _told: set[tuple[int, int]] = field(default_factory=set)
    _waiting: dict[tuple[int, int], list[_Waiting]] = field(default_factory=dict)

    @property
    def _rng(self) -> np.random.Generator:
        return self.draws.rng

    def lead(self, slots: Sequence[Slot], left: Sequence[float]) -> None:
        """Has the batches made that slots need and nobody has led, several at once.

        Args:
            slots: What is to be filled.
            left: Architectures that each niche still holds.
        """
        if self.leader is None or self.book is None:
            return
        wanted = dict.fromkeys((s.niche, s.generation) for s in slots if s.kind == MODEL)
        new = [b for b in wanted if b not in self.state.batches and b not in self._led]
        orders = [self.book.order(k, g, left[k], self._rng) for k, g in new]
        if len(orders) > 1:
            with ThreadPoolExecutor(min(len(orders), _THREADS)) as pool:
                made = list(pool.map(self.leader.lead, orders))
        else:
            made = [self.leader.lead(order) for order in orders]
        self._led.update(zip(new, made, strict=True))

    def fill(self, slot: Slot) -> Proposal | None:
        """The proposal for a slot; ``None`` where its niche holds nothing new."""
        if slot.kind == INITIAL:
            drawn = self._drawn(slot.niche)
            return None if drawn is None else self._propose(slot, drawn, "initial")
        if slot.kind == HYBRID:
            return self._hybrid(slot)
        batch = slot.niche, slot.generation
        child = self._next(batch)
        if child is not None:
            return self._propose(slot, child.bred, child.origin, rationale=child.rationale)
        return self._classical(slot, self._missing(batch))

    def anything(self) -> Proposal | None:
        """A new architecture from anywhere, when no niche has shown any."""
        found = self.draws.random()
        return Proposal(found[0]) if found else None

    def unnoted(self, niche: int) -> Proposal | None:
        """A child of the classical operator, for a trial whose choices the engine fixes.

        It has no note: where the engine takes it, its niche may be another.
        """
        bred = self._best(lambda: self._bred(niche))
        return None if bred is None else Proposal(bred.architecture)

    # -- children of the model -------------------------------------------------------------

    def _next(self, batch: tuple[int, int]) -> _Waiting | None:
        """The next child of a batch that nobody has taken."""
        if batch not in self._waiting:
            self._waiting[batch] = self._all_waiting(batch)
        waiting = self._waiting[batch]
        while waiting:
            child = waiting.pop(0)
            if child.bred.architecture.key not in self.draws.taken:
                self.draws.take([child.bred.architecture])
                return child
        return None

    def _all_waiting(self, batch: tuple[int, int]) -> list[_Waiting]:
        if batch in self._led:
            led = self._led[batch]
            operator, parents = _ancestry(led)
            return [
                _Waiting(Bred(a, operator, parents), origin, why) for a, origin, why in led.found
            ]
        notes = {trial.number: note for trial, note, _ in self.state.batches.get(batch, ())}
        return [
            _Waiting(
                Bred(architecture, notes[leader.number].operator, notes[leader.number].parents),
                child.origin,
                child.rationale,
            )
            for leader, child, architecture in self.state.pending(*batch)
        ]

    def _missing(self, batch: tuple[int, int]) -> str:
        """Why a batch has no child left."""
        if batch in self._led:
            return self._led[batch].reason or _SPENT
        told = [note.reason for _, note, _ in self.state.batches.get(batch, ()) if note.reason]
        return told[-1] if told else self.reason or _SPENT

    # -- in the model's place --------------------------------------------------------------

    def _classical(self, slot: Slot, reason: str) -> Proposal | None:
        bred = self._best(lambda: self._bred(slot.niche))
        return None if bred is None else self._propose(slot, bred, "classical", reason=reason)

    def _hybrid(self, slot: Slot) -> Proposal | None:
        bred = self._best(self._mutant)
        return None if bred is None else self._propose(slot, bred, "hybrid")

    def _best(self, breed: Callable[[], Bred | None]) -> Bred | None:
        """The most promising of several candidates; the others can be drawn again.

        Now and then the first one: what the effects speak against must have its chance too.
        """
        wanted = 1 if self._rng.random() < _UNSCREENED else self.candidates
        found: list[Bred] = []
        while len(found) < wanted:
            bred = breed()
            if bred is None:
                break
            found.append(bred)
        if not found:
            return None
        architectures = [bred.architecture for bred in found]
        chosen = found[most_promising(self.state.history, architectures, self._rng)]
        self.draws.taken.difference_update(a.key for a in architectures)
        self.draws.take([chosen.architecture])
        return chosen

    def _bred(self, niche: int) -> Bred | None:
        """A crossover or mutation in a niche, at last a uniform draw."""
        archive, partition = self.state.archive(niche), self.state.partition
        where, draws, rng = partition.niches[niche], self.draws, self._rng
        if len(archive) > 1 and rng.random() < self.crossover_probability:
            pair = [archive[i] for i in rng.choice(len(archive), 2, replace=False)]
            both = [trial.architecture for trial in pair]
            found = operators.cross_in(partition, where, both, draws, rng)
            if found is not None:
                return Bred(found, CROSSOVER, tuple(trial.number for trial in pair))
        if archive:
            parent = self._one_of(archive)
            found = operators.mutate_in(partition, where, parent.architecture, draws, rng)
            if found is not None:
                return Bred(found, MUTATION, (parent.number,))
        return self._drawn(niche)

    def _mutant(self) -> Bred | None:
        """A mutation of a member of the global front, wherever it leads."""
        front = self.state.history.front
        for _ in range(_TRIES if front else 0):
            parent = self._one_of(front)
            changes = 1 + int(self._rng.random() < _SECOND_CHANGE)
            child = self.draws.mutation(parent.architecture, n_changes=changes)
            if child is not None:
                return Bred(child, MUTATION, (parent.number,))
        if front:
            parent = self._one_of(front)
            child = self.draws.widening(parent.architecture, n_changes=2)
            if child is not None:
                return Bred(child, MUTATION, (parent.number,))
        drawn = self.draws.random()
        return Bred(drawn[0]) if drawn else None

    def _one_of(self, trials: Sequence[Trial]) -> Trial:
        return trials[int(self._rng.integers(len(trials)))]

    def _drawn(self, niche: int) -> Bred | None:
        partition = self.state.partition
        found = operators.draw_in(partition, partition.niches[niche], self.draws, self._rng)
        return None if found is None else Bred(found)

    # -- notes -----------------------------------------------------------------------------

    def _propose(
        self, slot: Slot, bred: Bred, origin: str, *, reason: str = "", rationale: str = ""
    ) -> Proposal:
        """A proposal with its note; the first of a batch made in this call leads it."""
        batch = slot.niche, slot.generation
        led = None
        if slot.kind == MODEL and batch in self._led and batch not in self._told:
            self._told.add(batch)
            led = self._led[batch]
        note = Note(
            niche=slot.niche,
            label=self.state.partition.niches[slot.niche].label,
            generation=slot.generation,
            origin=origin,
            reason=reason if led is None else led.reason,
            rationale=rationale,
            operator=bred.operator,
            parents=bred.parents,
            batch=None if led is None else led.batch,
        )
        return Proposal(bred.architecture, proposal_notes(note))


def _ancestry(led: Led) -> tuple[str, tuple[int, ...]]:
    operator = CROSSOVER if led.order.crossover else MUTATION
    return operator, tuple(shown.trial.number for shown in led.order.parents)


__all__ = ["CROSSOVER", "MUTATION", "Bred", "Brood"]
