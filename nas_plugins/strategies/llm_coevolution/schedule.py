"""Whose turn it is, and what the children of a generation are made from.

Both are pure functions of the notes that a search has left so far. What comes of a generation:
a `NicheGeneration` is passed through the conversation with the model, which fills in the children.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nas_plugins import pareto
from nas_plugins._frozen import FrozenDict
from nas_plugins.errors import NasPluginsError
from nas_plugins.history import History, Trial, TrialState
from nas_plugins.llm import CallRecord
from nas_plugins.numerics.ranks import mid_ranks
from nas_plugins.spaces.base import Architecture, Key, Rows
from nas_plugins.strategies.llm_coevolution.config import CoEvolutionOptions
from nas_plugins.strategies.llm_coevolution.knowledge import (
    GLOBAL,
    Edit,
    Entry,
    fold,
    mine,
    mined_edits,
    standing,
)
from nas_plugins.strategies.llm_coevolution.log import BatchRecord, Child, Note, read
from nas_plugins.strategies.llm_coevolution.niches import Niche, Partition
from nas_plugins.strategies.llm_coevolution.notation import Notation

INITIAL, MODEL, HYBRID = "initial", "model", "hybrid"
CROSSOVER, MUTATION = "crossover", "mutation"

_PARENTS_CROSSED = 4
_PARENTS_MUTATED = 2
_ELITES = 6
_CANDIDATES = 12
_KNOWN = 200
_SEEDS = 2**31


class Slot(NamedTuple):
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

    @property
    def batch(self) -> tuple[int, int]:
        """Niche and generation."""
        return self.niche, self.generation


@dataclass(frozen=True)
class Offspring:
    """An architecture to be evaluated, and how it came about.

    Attributes:
        architecture: New.
        origin: One of `nas_plugins.strategies.llm_coevolution.log.ORIGINS`.
        operator: ``"crossover"``, ``"mutation"``, or empty for a draw.
        parents: Numbers of the parents' trials.
        rationale: What the model said of it.
    """

    architecture: Architecture
    origin: str
    operator: str = ""
    parents: tuple[int, ...] = ()
    rationale: str = ""


@dataclass(frozen=True, eq=False)
class NicheSchedule:
    """What the notes and the partition say about a history, and what comes next.

    In a niche, uniform draws come first, then generations, in which archive evolution makes a
    share of the children, spread evenly.

    Attributes:
        history: The history.
        partition: The niches.
        options: Of the search.
    """

    history: History
    partition: Partition
    options: CoEvolutionOptions

    @cached_property
    def notation(self) -> Notation:
        """How prompts and replies write architectures."""
        return Notation(self.history.space, "operations" in self.options.hidden)

    # -- what comes next -------------------------------------------------------------------

    def plan(
        self,
        served: Sequence[int],
        left: Sequence[float],
        n: int,
        rng: np.random.Generator,
    ) -> list[Slot]:
        """The next `n` slots: always a least-served niche that holds something new, ties by lot.

        Args:
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
            slots.append(self.slot(niche, counts[niche]))
            counts[niche] += 1
            room[niche] -= 1
        return slots

    def slot(self, niche: int, served: int) -> Slot:
        """What comes when a niche has had `served` trials."""
        position = served - self.options.n_initial
        if position < 0:
            return Slot(niche, 0, INITIAL)
        kind = HYBRID if self._is_hybrid(position) else MODEL
        return Slot(niche, 1 + position // self.options.children, kind)

    def model_children(self, generation: int) -> int:
        """How many children of a generation the language model makes."""
        first = (generation - 1) * self.options.children
        return sum(not self._is_hybrid(first + i) for i in range(self.options.children))

    def _is_hybrid(self, position: int) -> bool:
        # Rounded, or a share of .3 would now and then miss its turn.
        share = self.options.classical_share
        before, after = round(position * share, 9), round((position + 1) * share, 9)
        return math.floor(after) > math.floor(before)

    # -- what has been ---------------------------------------------------------------------

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
        return [n + min(f, self.options.n_initial) for n, f in zip(own, foreign, strict=True)]

    @cached_property
    def batches(self) -> dict[tuple[int, int], list[tuple[Trial, Note, BatchRecord]]]:
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
            (trial.number, note.generation, batch.edits)
            for leaders in self.batches.values()
            for trial, note, batch in leaders
        )

    def pending(self, niche: int, generation: int) -> list[Offspring]:
        """Children of a batch that no trial of the batch has evaluated."""
        used = {
            trial.architecture.key
            for trial, note in self.notes
            if (note.niche, note.generation) == (niche, generation)
        }
        found = []
        for _, leader, batch in self.batches.get((niche, generation), ()):
            for child in batch.children:
                architecture = self._read(child.architecture, niche)
                if architecture is not None and architecture.key not in used:
                    used.add(architecture.key)
                    found.append(
                        Offspring(
                            architecture,
                            child.origin,
                            leader.operator,
                            leader.parents,
                            child.rationale,
                        )
                    )
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

    def left(self) -> list[float]:
        """How many architectures each niche still holds; infinite where that is not known."""
        sizes = [math.inf if n.size is None else float(n.size) for n in self.partition.niches]
        if not self.partition.listed or not self.options.avoid_duplicates:
            return [math.inf if size else 0.0 for size in sizes]
        keys = (trial.architecture.key for trial in self.history.trials)
        seen = dict(zip(keys, self.niches.tolist(), strict=True))
        gone = Counter(seen.values())
        return [size - gone[k] for k, size in enumerate(sizes)]

    def unseen_rows(self, niche: Niche) -> Rows | None:
        """What a niche still holds, where the space is small enough to list."""
        if not self.partition.listed:
            return None
        rows, keys = self.partition.members[niche.index]
        if not self.options.avoid_duplicates:
            return rows
        taken = self.history.seen | self.waiting
        return rows[[key not in taken for key in keys]]

    @cached_property
    def waiting(self) -> frozenset[Key]:
        """Keys of the children that wait in the batches that the niches are at."""
        slots = [self.slot(k, served) for k, served in enumerate(self.served)]
        found = (self.pending(*slot.batch) for slot in slots)
        return frozenset(child.architecture.key for children in found for child in children)

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of all trials."""
        return tuple(trial.number for trial in self.history.trials)

    def _read(self, text: str, niche: int) -> Architecture | None:
        try:
            architecture = self.history.space.parse(text)
        except (NasPluginsError, ValueError, TypeError):
            return None
        inside = int(self.partition.niche_of([architecture])[0]) == niche
        return architecture if inside else None


@dataclass(frozen=True)
class RankedTrial:
    """A trial and how good it is.

    Attributes:
        trial: The trial.
        standing: 0 best to 1 worst among those it was compared with.
        parts: The same per objective.
    """

    trial: Trial
    standing: float = 0.0
    parts: tuple[float, ...] = ()


@dataclass(eq=False)
class NicheGeneration:
    """The children of one generation of a niche that a language model is to make.

    Attributes:
        niche: Where.
        number: Which, from 1.
        n: Children wanted.
        seed: Source of all randomness, so that the order of threads does not matter.
        operator: `CROSSOVER` of the parents, or `MUTATION` of one or two.
        parents: What the model sees as such.
        candidates: The last trials of the niche, best first.
        known: Architectures of the niche, the latest first.
        edits: Of the knowledge base: those that the statistics make, then the model's.
        found: Usable children.
        calls: All that were made.
        counts: See `BatchRecord.counts`.
        reason: Why there are too few children; empty where there are enough.
    """

    niche: Niche
    number: int
    n: int
    seed: int
    operator: str
    parents: tuple[RankedTrial, ...]
    candidates: tuple[RankedTrial, ...]
    known: tuple[Architecture, ...]
    edits: tuple[Edit, ...] = ()
    found: list[Offspring] = field(default_factory=list)
    calls: list[CallRecord] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    reason: str = ""

    @property
    def batch(self) -> BatchRecord:
        """What the leader's note keeps."""
        children = tuple(Child(str(c.architecture), c.origin, c.rationale) for c in self.found)
        counts = FrozenDict({name: n for name, n in sorted(self.counts.items()) if n})
        return BatchRecord(children, self.edits, tuple(self.calls), counts)


def begun(
    schedule: NicheSchedule,
    niche: int,
    number: int,
    left: float,
    rng: np.random.Generator,
    *,
    small: bool,
) -> NicheGeneration:
    """A generation of which nothing has been made.

    Args:
        schedule: Of the search.
        niche: Index of the niche.
        number: Of the generation, from 1.
        left: Architectures that the niche still holds.
        rng: Source of randomness.
        small: Whether the model is a small one.
    """
    options = schedule.options
    archive = {trial.number for trial in schedule.archive(niche)}
    crossing = bool(rng.random() < options.crossover_probability) and len(archive) > 1
    ranked = _ranked(schedule, niche)
    seed = int(rng.integers(_SEEDS))
    if small:
        # Small models imitate what they see, so they see several and only good ones.
        parents = tuple(ranked[:_ELITES])
    else:
        elites = [one for one in ranked if one.trial.number in archive]
        n = min(_PARENTS_CROSSED if crossing else _PARENTS_MUTATED, len(elites))
        chosen = rng.choice(len(elites), size=n, replace=False).tolist() if n else []
        parents = tuple(elites[i] for i in chosen)
    return NicheGeneration(
        niche=schedule.partition.niches[niche],
        number=number,
        n=int(min(schedule.model_children(number), left)),
        seed=seed,
        operator=CROSSOVER if crossing else MUTATION,
        parents=parents,
        candidates=_candidates(schedule, ranked, niche, number),
        known=_known(schedule, niche),
        edits=_mined(schedule, niche) if options.knowledge == "statistics" else (),
    )


def _ranked(schedule: NicheSchedule, niche: int) -> list[RankedTrial]:
    """The complete trials of a niche, best first."""
    trials, losses, violations = schedule.inside(niche)
    standings = standing(losses, violations).tolist()
    found = [
        RankedTrial(trial, level, tuple(parts))
        for trial, level, parts in zip(
            trials, standings, _percentiles(losses).tolist(), strict=True
        )
    ]
    return sorted(found, key=lambda one: (one.standing, one.trial.number))


def _percentiles(losses: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Per objective, 0 for the best to 1 for the worst, `(n, m)`."""
    if len(losses) < 2:
        return np.zeros_like(losses)
    columns = [(mid_ranks(column) - 1) / (len(losses) - 1) for column in losses.T]
    return np.stack(columns, axis=1)


def _candidates(
    schedule: NicheSchedule, ranked: list[RankedTrial], niche: int, number: int
) -> tuple[RankedTrial, ...]:
    """The last generation of the niche, filled up with its latest trials; best first."""
    last = {
        trial.number
        for trial, note in schedule.notes
        if (note.niche, note.generation) == (niche, number - 1)
    }
    latest = sorted(ranked, key=lambda one: (one.trial.number in last, one.trial.number))
    own = sum(one.trial.number in last for one in latest)
    n = min(max(own, schedule.options.children), _CANDIDATES)
    return tuple(one for one in ranked if one in latest[-n:])


def _known(schedule: NicheSchedule, niche: int) -> tuple[Architecture, ...]:
    trials = schedule.history.trials
    inside = np.flatnonzero(schedule.niches == niche)[::-1][:_KNOWN]
    return tuple(dict.fromkeys(trials[i].architecture for i in inside.tolist()))


def _mined(schedule: NicheSchedule, niche: int) -> tuple[Edit, ...]:
    """What the ranks say now, in the niche and everywhere."""
    history, notation = schedule.history, schedule.notation
    limit = schedule.options.max_rules
    base = fold(schedule.entries, max_rules=limit, known=schedule.numbers)
    trials, losses, violations = schedule.inside(niche)
    own = mine(trials, standing(losses, violations))
    common = mine(history.complete, standing(history.losses, history.violations))
    label = schedule.partition.niches[niche].label
    return (
        *mined_edits(notation, own, base, label),
        *mined_edits(notation, common, base, GLOBAL),
    )
