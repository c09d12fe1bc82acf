"""What a generation of children is made from: parents, last candidates, rules, all that is known.

And what comes of it: a `NicheGeneration` is passed through the conversation with the model, which
fills in the children.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from nas_plugins._frozen import FrozenDict
from nas_plugins.history import Trial
from nas_plugins.llm import CallRecord
from nas_plugins.numerics.ranks import mid_ranks
from nas_plugins.spaces.base import Architecture
from nas_plugins.strategies.llm_coevolution.knowledge import (
    GLOBAL,
    Edit,
    mine,
    mined_edits,
    standing,
)
from nas_plugins.strategies.llm_coevolution.niches import Niche
from nas_plugins.strategies.llm_coevolution.notes import BatchRecord, Child
from nas_plugins.strategies.llm_coevolution.schedule import NicheSchedule, Offspring

CROSSOVER, MUTATION = "crossover", "mutation"

_PARENTS_CROSSED = 4
_PARENTS_MUTATED = 2
_ELITES = 6
_CANDIDATES = 12
_KNOWN = 200
_SEEDS = 2**31


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
    last = {trial.number for trial in schedule.tally.members.get((niche, number - 1), ())}
    latest = sorted(ranked, key=lambda one: (one.trial.number in last, one.trial.number))
    own = sum(one.trial.number in last for one in latest)
    n = min(max(own, schedule.options.children), _CANDIDATES)
    chosen = {one.trial.number for one in latest[-n:]}
    return tuple(one for one in ranked if one.trial.number in chosen)


def _known(schedule: NicheSchedule, niche: int) -> tuple[Architecture, ...]:
    trials = schedule.history.trials
    inside = np.flatnonzero(schedule.niches == niche)[::-1][:_KNOWN]
    return tuple(dict.fromkeys(trials[i].architecture for i in inside.tolist()))


def _mined(schedule: NicheSchedule, niche: int) -> tuple[Edit, ...]:
    """What the ranks say now, in the niche and everywhere."""
    history, notation = schedule.history, schedule.notation
    base = schedule.tally.rules
    trials, losses, violations = schedule.inside(niche)
    own = mine(trials, standing(losses, violations))
    common = mine(history.complete, standing(history.losses, history.violations))
    label = schedule.partition.niches[niche].label
    return (
        *mined_edits(notation, own, base, label),
        *mined_edits(notation, common, base, GLOBAL),
    )


__all__ = ["CROSSOVER", "MUTATION", "NicheGeneration", "RankedTrial", "begun"]
