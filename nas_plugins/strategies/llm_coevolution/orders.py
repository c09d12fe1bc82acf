"""What a batch is made from: parents, last candidates, rules and all that is known already."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from nas_plugins.history import Trial
from nas_plugins.numerics.ranks import mid_ranks
from nas_plugins.spaces.base import Architecture, Key
from nas_plugins.strategies.llm_coevolution.knowledge import GLOBAL, Edit, fold
from nas_plugins.strategies.llm_coevolution.notes import read
from nas_plugins.strategies.llm_coevolution.prompts import Shown
from nas_plugins.strategies.llm_coevolution.questions import Order, Questions
from nas_plugins.strategies.llm_coevolution.schedule import State
from nas_plugins.strategies.llm_coevolution.statistics import mine, mined_edits, standing

KNOWLEDGE = ("llm", "statistics", "off")

_PARENTS_CROSSED = 4
_PARENTS_MUTATED = 2
_ELITES = 6
_CANDIDATES = 12
_KNOWN = 200
_SEEDS = 2**31


@dataclass(frozen=True, eq=False)
class OrderBook:
    """Writes the orders of one call of ``propose``.

    Attributes:
        state: Of the search.
        questions: How the model is asked.
        knowledge: One of `KNOWLEDGE`.
        crossover_probability: Of parents being combined rather than mutated.
    """

    state: State
    questions: Questions
    knowledge: str
    crossover_probability: float

    def order(self, niche: int, generation: int, left: float, rng: np.random.Generator) -> Order:
        """The order of one batch.

        Args:
            niche: Index of the niche.
            generation: From 1.
            left: Architectures that the niche still holds.
            rng: Source of randomness.
        """
        state = self.state
        archive = {trial.number for trial in state.archive(niche)}
        crossing = bool(rng.random() < self.crossover_probability) and len(archive) > 1
        shown = self._shown(niche)
        elites = [one for one in shown if one.trial.number in archive]
        return Order(
            niche=state.partition.niches[niche],
            generation=generation,
            n=int(min(state.rhythm.model_children(generation), left)),
            seed=int(rng.integers(_SEEDS)),
            crossover=crossing,
            parents=self._parents(shown, elites, crossing, rng),
            candidates=self._candidates(shown, niche, generation),
            known=self._known(niche),
            pending=self._pending,
            entries=state.entries if self.knowledge != "off" else (),
            edits=self._mined(niche) if self.knowledge == "statistics" else (),
            trials=self._numbers,
            calls=state.calls,
        )

    @cached_property
    def _numbers(self) -> tuple[int, ...]:
        return tuple(trial.number for trial in self.state.history.trials)

    @cached_property
    def _pending(self) -> frozenset[Key]:
        """What waits in the batches that the niches are at."""
        waiting = (self.state.pending(*batch) for batch in self.state.open_batches)
        return frozenset(a.key for children in waiting for _, _, a in children)

    def _shown(self, niche: int) -> list[Shown]:
        """The complete trials of a niche, best first."""
        trials, losses, violations = self.state.inside(niche)
        standings = standing(losses, violations).tolist()
        parts = _percentiles(losses)
        found = [
            _as_shown(trial, level, tuple(part))
            for trial, level, part in zip(trials, standings, parts.tolist(), strict=True)
        ]
        return sorted(found, key=lambda one: (one.standing, one.trial.number))

    def _parents(
        self, shown: list[Shown], elites: list[Shown], crossing: bool, rng: np.random.Generator
    ) -> tuple[Shown, ...]:
        if self.questions.small:
            # Small models imitate what they see, so they see several and only good ones.
            return tuple(shown[:_ELITES])
        n = min(_PARENTS_CROSSED if crossing else _PARENTS_MUTATED, len(elites))
        chosen = rng.choice(len(elites), size=n, replace=False).tolist() if n else []
        return tuple(elites[i] for i in chosen)

    def _candidates(self, shown: list[Shown], niche: int, generation: int) -> tuple[Shown, ...]:
        """The last generation of the niche, filled up with its latest trials; best first."""
        last = {
            trial.number
            for trial, note in self.state.notes
            if (note.niche, note.generation) == (niche, generation - 1)
        }
        latest = sorted(shown, key=lambda one: (one.trial.number in last, one.trial.number))
        own = sum(one.trial.number in last for one in latest)
        n = min(max(own, self.state.rhythm.children), _CANDIDATES)
        return tuple(one for one in shown if one in latest[-n:])

    def _known(self, niche: int) -> tuple[Architecture, ...]:
        trials = self.state.history.trials
        inside = np.flatnonzero(self.state.niches == niche)[::-1][:_KNOWN]
        return tuple(dict.fromkeys(trials[i].architecture for i in inside.tolist()))

    def _mined(self, niche: int) -> tuple[Edit, ...]:
        """What the ranks say now, in the niche and everywhere."""
        state, genes = self.state, self.questions.prompts.genes
        limit = self.questions.manner.max_rules
        base = fold(state.entries, max_rules=limit, known=self._numbers)
        trials, losses, violations = state.inside(niche)
        own = mine(trials, standing(losses, violations))
        history = state.history
        common = mine(history.complete, standing(history.losses, history.violations))
        label = state.partition.niches[niche].label
        return (
            *mined_edits(genes, own, base, label),
            *mined_edits(genes, common, base, GLOBAL),
        )


def _as_shown(trial: Trial, level: float, parts: tuple[float, ...]) -> Shown:
    note = read(trial)
    made, why = ("", "") if note is None else (note.operator, note.rationale)
    return Shown(trial, level, parts, made, why)


def _percentiles(losses: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Per objective, 0 for the best to 1 for the worst, `(n, m)`."""
    if len(losses) < 2:
        return np.zeros_like(losses)
    columns = [(mid_ranks(column) - 1) / (len(losses) - 1) for column in losses.T]
    return np.stack(columns, axis=1)


__all__ = ["KNOWLEDGE", "OrderBook"]
