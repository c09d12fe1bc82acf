"""What the trials of a search add up to in each niche: grows at the cost of new trials alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from nas_plugins.history import History, Objective, Trial, TrialState
from nas_plugins.llm import CallRecord
from nas_plugins.spaces.base import Key
from nas_plugins.strategies.llm_coevolution.knowledge import Entry, KnowledgeBase, fold
from nas_plugins.strategies.llm_coevolution.log import BatchRecord, Note, read
from nas_plugins.strategies.llm_coevolution.niches import Partition

Batch = tuple[int, int]
"""Niche and generation."""

Leader = tuple[Trial, Note, BatchRecord]
"""The first trial of a batch, its note, and what that keeps for the batch."""


@dataclass(frozen=True, eq=False)
class Tally:
    """What trials and notes say of a partition.

    Attributes:
        partition: The niches.
        objectives: Of the search.
        max_rules: Most rules that one niche sees.
        niches: `(T,)` the niche in which each trial's architecture lies.
        complete: `(C,)` the same of the complete trials.
        archives: The Pareto-optimal trials among the complete ones of each niche.
        own: Trials that each niche has had by the notes.
        foreign: Trials that lie in each niche without a note that speaks of the partition.
        places: The niche of each canonical key.
        gone: How many keys lie in each niche.
        members: The trials of each batch.
        leaders: The leaders of each batch; more than one where workers raced.
        calls: All calls that notes tell of, those under another partition too.
        numbers: `(T,)` of the trials.
        rules: That follow from the edits; what each edit did is not kept.
        early: Numbers of trials that edits cite and that do not exist, or not yet.
    """

    partition: Partition
    objectives: tuple[Objective, ...]
    max_rules: int
    niches: npt.NDArray[np.int64]
    complete: npt.NDArray[np.int64]
    archives: tuple[tuple[Trial, ...], ...]
    own: tuple[int, ...]
    foreign: tuple[int, ...]
    gone: tuple[int, ...]
    numbers: npt.NDArray[np.int64]
    rules: KnowledgeBase
    early: frozenset[int] = frozenset()
    places: Mapping[Key, int] = field(default_factory=dict)
    members: Mapping[Batch, tuple[Trial, ...]] = field(default_factory=dict)
    leaders: Mapping[Batch, tuple[Leader, ...]] = field(default_factory=dict)
    calls: tuple[CallRecord, ...] = ()

    @classmethod
    def empty(
        cls, partition: Partition, objectives: tuple[Objective, ...], max_rules: int
    ) -> Tally:
        """The tally of no trial."""
        none, zeros = np.zeros(0, dtype=np.int64), (0,) * len(partition.niches)
        archives: tuple[tuple[Trial, ...], ...] = ((),) * len(zeros)
        rules = fold((), max_rules=max_rules)
        return cls(
            partition,
            objectives,
            max_rules,
            none,
            none,
            archives,
            zeros,
            zeros,
            zeros,
            none,
            rules,
        )

    def grown(self, trials: Sequence[Trial]) -> Tally:
        """The tally when these trials come next."""
        niches = self.partition.niche_of([trial.architecture for trial in trials])
        done = np.array([trial.state is TrialState.COMPLETE for trial in trials], dtype=bool)
        own, foreign, gone = list(self.own), list(self.foreign), list(self.gone)
        places, members, leaders = dict(self.places), dict(self.members), dict(self.leaders)
        calls: list[CallRecord] = []
        led: list[Leader] = []
        for trial, niche in zip(trials, niches.tolist(), strict=True):
            key = trial.architecture.key
            if key in places:
                gone[places[key]] -= 1
            places[key] = niche
            gone[niche] += 1
            note = read(trial)
            if note is not None and note.batch is not None:
                calls += note.batch.calls
            if note is None or not self._concerns(note):
                foreign[niche] += 1
                continue
            own[note.niche] += 1
            batch = note.niche, note.generation
            members[batch] = (*members.get(batch, ()), trial)
            if note.batch is not None:
                led.append((trial, note, note.batch))
                leaders[batch] = (*leaders.get(batch, ()), led[-1])
        numbers = np.concatenate([self.numbers, [trial.number for trial in trials]])
        numbers = numbers.astype(np.int64)
        rules, early = self.rules, self.early
        if not early.isdisjoint(trial.number for trial in trials):  # it counts from now on
            rules, early = fold((), max_rules=self.max_rules), frozenset()
            led = [leader for several in leaders.values() for leader in several]
        led.sort(key=lambda leader: leader[0].number)
        entries = [(trial.number, note.generation, batch.edits) for trial, note, batch in led]
        rules, cited = _after(rules, entries, numbers)
        return Tally(
            self.partition,
            self.objectives,
            self.max_rules,
            np.concatenate([self.niches, niches]),
            np.concatenate([self.complete, niches[done]]),
            self._archives(trials, np.where(done, niches, -1).tolist()),
            tuple(own),
            tuple(foreign),
            tuple(gone),
            numbers,
            rules,
            early | cited,
            places,
            members,
            leaders,
            (*self.calls, *calls),
        )

    def rules_after(self, *entries: Entry) -> KnowledgeBase:
        """The rules, with edits that no trial holds yet."""
        return _after(self.rules, entries, self.numbers)[0]

    def _concerns(self, note: Note) -> bool:
        """Whether a note speaks of this partition."""
        niches = self.partition.niches
        return note.niche < len(niches) and note.label == niches[note.niche].label

    def _archives(
        self, trials: Sequence[Trial], niches: Sequence[int]
    ) -> tuple[tuple[Trial, ...], ...]:
        """The archives when trials of these niches, -1 for unfinished ones, come next."""
        coming: dict[int, list[Trial]] = {}
        for trial, niche in zip(trials, niches, strict=True):
            coming.setdefault(niche, []).append(trial)
        # What is off the front of a niche stays off it.
        return tuple(
            History(self.partition.space, self.objectives, (*archive, *coming[niche])).front
            if niche in coming
            else archive
            for niche, archive in enumerate(self.archives)
        )


def _after(
    base: KnowledgeBase, entries: Sequence[Entry], numbers: npt.NDArray[np.int64]
) -> tuple[KnowledgeBase, frozenset[int]]:
    """The rules after more edits, and the trials that these cite and that do not exist."""
    if not entries:
        return base, frozenset()
    cited = [n for _, _, edits in entries for edit in edits for n in edit.evidence]
    known = frozenset(
        n for n, exists in zip(cited, np.isin(cited, numbers), strict=True) if exists
    )
    after = KnowledgeBase(base.room, known, dict(base.by_id))
    for entry in entries:
        after.apply(entry)
    after.changes.clear()
    return after, frozenset(cited) - known
