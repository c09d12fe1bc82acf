"""Rules mined from the ranks of what has been evaluated: the knowledge base without a model.

For every choice of every decision the trials that take it are compared with those that do not,
by the ranks of a Mann-Whitney test (Mann and Whitney, 1947) on the non-dominated rank.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nas_plugins import pareto
from nas_plugins.history import Trial
from nas_plugins.numerics.ranks import mid_ranks
from nas_plugins.strategies.llm_coevolution.genes import Genes
from nas_plugins.strategies.llm_coevolution.knowledge import MAX_EVIDENCE, Edit, KnowledgeBase

Floats = npt.NDArray[np.float64]

MIN_TRIALS = 8
"""Fewest complete trials to mine."""

MIN_GROUP = 3
"""Fewest trials on either side of a comparison."""

LEAST_Z = 1.64
"""Least standardised difference: one chance in twenty, one-sided, were there no effect."""

MAX_MINED = 6


@dataclass(frozen=True)
class Finding:
    """One choice that goes with better or worse ranks.

    Attributes:
        position: Of the decision.
        index: Of the choice.
        z: Standardised rank difference; negative where the choice goes with better ranks.
        trials: Numbers of the trials that show it most clearly.
    """

    position: int
    index: int
    z: float
    trials: tuple[int, ...]


def standing(losses: Floats, violations: Floats) -> Floats:
    """How good each trial is among these, 0 best to 1 worst, `(n,)`.

    By constrained non-dominated rank; within a rank the mean of the objectives' ranks decides.
    """
    if len(losses) < 2:
        return np.zeros(len(losses))
    fronts = mid_ranks(pareto.constrained_ranks(losses, violations))
    means = np.stack([mid_ranks(column) for column in losses.T]).mean(axis=0)
    order = mid_ranks(fronts + means / (2.0 * len(losses)))
    worst: Floats = (order - 1.0) / (len(losses) - 1.0)
    return worst


def mine(trials: Sequence[Trial], standings: Floats) -> list[Finding]:
    """The choices with the clearest effect, clearest first.

    Args:
        trials: Complete trials.
        standings: How good each is, 0 best, `(n,)`.
    """
    n = len(trials)
    if n < MIN_TRIALS:
        return []
    rows = np.array([trial.architecture.indices for trial in trials])
    ranks = mid_ranks(standings)
    found = []
    for position in range(rows.shape[1]):
        for index in np.unique(rows[:, position]).tolist():
            having = rows[:, position] == index
            z = _z(ranks, having)
            if abs(z) >= LEAST_Z:
                found.append(Finding(position, index, z, _clearest(trials, ranks, having, z)))
    return sorted(found, key=lambda f: (-abs(f.z), f.position, f.index))[:MAX_MINED]


def mined_edits(
    genes: Genes, findings: Sequence[Finding], base: KnowledgeBase, scope: str
) -> tuple[Edit, ...]:
    """The edits that make the rules of a scope say what the findings say now.

    Args:
        genes: How prompts call decisions and choices.
        findings: What `mine` found among the trials of the scope.
        base: The rules so far.
        scope: `GLOBAL` or the label of the niche.
    """
    wanted = {}
    for finding in findings:
        polarity = "+" if finding.z < 0 else "-"
        effect = "better" if finding.z < 0 else "worse"
        name = genes.name(finding.position, finding.index)
        text = f"{name} goes with {effect} ranks"
        wanted[polarity, text] = Edit("add", "", polarity, scope, text, finding.trials)
    old = [rule for rule in base.rules if rule.scope == scope]
    drops = [Edit("drop", rule.id) for rule in old if (rule.polarity, rule.text) not in wanted]
    known = {(rule.polarity, rule.text): set(rule.evidence) for rule in old}
    adds = [e for key, e in wanted.items() if not set(e.evidence) <= known.get(key, set())]
    return (*drops, *adds)


def _z(ranks: Floats, having: npt.NDArray[np.bool_]) -> float:
    """Standardised rank sum of those that have a choice; 0 where a group is too small."""
    n, k = len(ranks), int(having.sum())
    if min(k, n - k) < MIN_GROUP:
        return 0.0
    # The variance of the ranks themselves takes ties into account.
    spread = float(ranks.var() * k * (n - k) / (n - 1))
    if spread <= 0:
        return 0.0
    return float(ranks[having].sum() - k * ranks.mean()) / math.sqrt(spread)


def _clearest(
    trials: Sequence[Trial], ranks: Floats, having: npt.NDArray[np.bool_], z: float
) -> tuple[int, ...]:
    members = np.flatnonzero(having)
    order = members[np.argsort(ranks[members] * (1 if z < 0 else -1), kind="stable")]
    return tuple(sorted(trials[i].number for i in order[:MAX_EVIDENCE].tolist()))


__all__ = ["Finding", "mine", "mined_edits", "standing"]
