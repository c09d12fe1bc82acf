"""Whose turn it is: a pure function of the notes that a search has left so far."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from nas_plugins import pareto
from nas_plugins.errors import NasPluginsError
from nas_plugins.history import History, Trial, TrialState
from nas_plugins.llm import CallRecord
from nas_plugins.spaces.base import Architecture
from nas_plugins.strategies.llm_coevolution.knowledge import Entry
from nas_plugins.strategies.llm_coevolution.notes import Batch, Child, Note, read
from nas_plugins.strategies.llm_coevolution.partition import Partition

INITIAL, MODEL, HYBRID = "initial", "model", "hybrid"


@dataclass(frozen=True)
class Slot:
    """What the next trial of a niche is to be.

    Attributes:
        niche: Index of the niche.
        generation: 0 for the initial architectures, then from 1.
        kind: `INITIAL`, `MODEL` (a child of the language model) or `HYBRID` (one of archive
            evolution on the global front).
    """

    niche: int
    generation: int
    kind: str


@dataclass(frozen=True)
class Rhythm:
    """How many trials of which kind follow one another in a niche.

    Attributes:
        n_initial: Uniform draws first.
        children: Trials per generation.
        classical_share: Share of the children that archive evolution makes, spread evenly.
    """

    n_initial: int
    children: int
    classical_share: float

    def slot(self, niche: int, served: int) -> Slot:
        """What comes when a niche has had `served` trials."""
        position = served - self.n_initial
        if position < 0:
            return Slot(niche, 0, INITIAL)
        kind = HYBRID if self._is_hybrid(position) else MODEL
        return Slot(niche, 1 + position // self.children, kind)

    def model_children(self, generation: int) -> int:
        """How many children of a generation the language model makes."""
        first = (generation - 1) * self.children
        return sum(not self._is_hybrid(first + i) for i in range(self.children))

    def _is_hybrid(self, position: int) -> bool:
        # Rounded, or a share of .3 would now and then miss its turn.
        share = self.classical_share
        before, after = round(position * share, 9), round((position + 1) * share, 9)
        return math.floor(after) > math.floor(before)


@dataclass(frozen=True, eq=False)
class State:
    """What the notes and the partition say about a history.

    Attributes:
        history: The history.
        partition: The niches.
        rhythm: What follows what.
    """

    history: History
    partition: Partition
    rhythm: Rhythm

    @cached_property
    def notes(self) -> list[tuple[Trial, Note]]:
        """The trials whose note speaks of this partition."""
        niches = self.partition.niches
        found = []
        for trial in self.history.trials:
            note = read(trial)
            if note is None or note.niche >= len(niches):
                continue
            if note.label == niches[note.niche].label:
                found.append((trial, note))
        return found

    @cached_property
    def niches(self) -> npt.NDArray[np.int64]:
        """The niche in which each trial's architecture lies, `(T,)`."""
        return self.partition.niche_of([trial.architecture for trial in self.history.trials])

    @cached_property
    def served(self) -> list[int]:
        """Trials that each niche has had.

        Trials of others stand in for the initial ones: they do not use up generations.
        """
        own = [0] * len(self.partition.niches)
        for _, note in self.notes:
            own[note.niche] += 1
        noted = {trial.number for trial, _ in self.notes}
        foreign = [0] * len(own)
        for trial, niche in zip(self.history.trials, self.niches.tolist(), strict=True):
            foreign[niche] += trial.number not in noted
        return [n + min(f, self.rhythm.n_initial) for n, f in zip(own, foreign, strict=True)]

    @cached_property
    def batches(self) -> dict[tuple[int, int], list[tuple[Trial, Note, Batch]]]:
        """The leaders of each niche and generation; more than one where workers raced."""
        found = defaultdict(list)
        for trial, note in self.notes:
            if note.batch is not None:
                found[note.niche, note.generation].append((trial, note, note.batch))
        return dict(found)

    @cached_property
    def calls(self) -> tuple[CallRecord, ...]:
        """All calls that notes tell of, those under another partition too."""
        notes = (read(trial) for trial in self.history.trials)
        batches = (note.batch for note in notes if note is not None and note.batch is not None)
        return tuple(call for batch in batches for call in batch.calls)

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """All edits of the knowledge base."""
        return tuple(
            Entry(trial.number, note.generation, batch.edits)
            for leaders in self.batches.values()
            for trial, note, batch in leaders
        )

    def pending(self, niche: int, generation: int) -> list[tuple[Trial, Child, Architecture]]:
        """Children of a batch, with its leader, that no trial of the batch has evaluated."""
        used = {
            trial.architecture.key
            for trial, note in self.notes
            if (note.niche, note.generation) == (niche, generation)
        }
        found = []
        for leader, _, batch in self.batches.get((niche, generation), ()):
            for child in batch.children:
                architecture = self._read(child.architecture, niche)
                if architecture is not None and architecture.key not in used:
                    used.add(architecture.key)
                    found.append((leader, child, architecture))
        return found

    def archive(self, niche: int) -> list[Trial]:
        """The Pareto-optimal trials among the complete ones that lie in a niche."""
        trials, losses, violations = self.inside(niche)
        mask = pareto.constrained_front(losses, violations)
        return [trial for trial, keep in zip(trials, mask, strict=True) if keep]

    def inside(
        self, niche: int
    ) -> tuple[list[Trial], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """The complete trials that lie in a niche, their losses and violations."""
        complete = [t.state is TrialState.COMPLETE for t in self.history.trials]
        mask = self.niches[np.array(complete, dtype=bool)] == niche
        history = self.history
        trials = [trial for trial, keep in zip(history.complete, mask, strict=True) if keep]
        return trials, history.losses[mask], history.violations[mask]

    def left(self, *, avoid_duplicates: bool) -> list[float]:
        """How many architectures each niche still holds; infinite where that is not known."""
        sizes = [math.inf if n.size is None else float(n.size) for n in self.partition.niches]
        if self.partition.members is None or not avoid_duplicates:
            return [math.inf if size else 0.0 for size in sizes]
        keys = (trial.architecture.key for trial in self.history.trials)
        seen = dict(zip(keys, self.niches.tolist(), strict=True))
        gone = Counter(seen.values())
        return [size - gone[k] for k, size in enumerate(sizes)]

    @property
    def open_batches(self) -> list[tuple[int, int]]:
        """The batch that each niche is at."""
        slots = [self.rhythm.slot(k, served) for k, served in enumerate(self.served)]
        return [(slot.niche, slot.generation) for slot in slots]

    def _read(self, text: str, niche: int) -> Architecture | None:
        try:
            architecture = self.history.space.parse(text)
        except (NasPluginsError, ValueError, TypeError):
            return None
        inside = int(self.partition.niche_of([architecture])[0]) == niche
        return architecture if inside else None


def plan(
    rhythm: Rhythm,
    served: Sequence[int],
    left: Sequence[float],
    n: int,
    rng: np.random.Generator,
) -> list[Slot]:
    """The next `n` slots: always a least-served niche that holds something new, ties by lot.

    Args:
        rhythm: What follows what in a niche.
        served: Trials that each niche has had.
        left: Architectures that each niche still holds.
        n: How many; fewer are returned where the niches hold no more.
        rng: Source of randomness.
    """
    counts, room = list(served), list(left)
    slots: list[Slot] = []
    while len(slots) < n:
        open_niches = [k for k in range(len(counts)) if room[k] >= 1]
        if not open_niches:
            break
        least = min(counts[k] for k in open_niches)
        ready = [k for k in open_niches if counts[k] == least]
        niche = ready[int(rng.integers(len(ready)))]
        slots.append(rhythm.slot(niche, counts[niche]))
        counts[niche] += 1
        room[niche] -= 1
    return slots


__all__ = ["HYBRID", "INITIAL", "MODEL", "Rhythm", "Slot", "State", "plan"]
