"""What an additive latency model adds up: one column per choice, with shared columns beside.

The columns of a decision alone need as many measurements as there are choices. Three groups of
columns let few measurements go far; a ridge penalty, smaller the more general the group, makes
the model use them first: FLOPs, the numbers of nodes per operation, the choices themselves.

On a device that runs everything, a dead operation (one with no path from the input or none to
the output) costs its time; on one whose compiler removes it, it costs nothing. So the last two
groups exist in two readings, counting all operations or the live ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nas_plugins.spaces.base import Architecture, SearchSpace
from nas_plugins.spaces.graph import ABSENT, live_nodes

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

COUNTED = ("flops", "all", "live", "both")
"""What costs: FLOPs alone, all operations, those that are not dead, or some of both."""

_PENALTY_FLOPS = 1e-2
_PENALTY_COUNTS = 1e-1


@dataclass(frozen=True)
class FeatureRecipe:
    """Which columns a model has.

    Attributes:
        counted: One of `COUNTED`.
        flops: Whether FLOPs are a column, as for ``counted="flops"``; the space must define
            `complexity`.
        penalty: Ridge penalty of a single choice, relative to .1 of an operation's count.
    """

    counted: str = "all"
    flops: bool = False
    penalty: float = 1.0


@dataclass(frozen=True)
class Ingredients:
    """All column groups of a batch of architectures, to build any recipe from.

    Attributes:
        choices: `(B, K)` 1 for the choices taken, K = number of choices of all decisions.
        live_choices: `(B, K)` the same without dead operations, or ``None`` where the space's
            graph does not have one node per decision.
        counts: `(B, V)` number of nodes per operation.
        live_counts: `(B, V)` the same without dead nodes.
        flops: `(B,)` multiply-accumulates in millions, or ``None``.
    """

    choices: Floats
    live_choices: Floats | None
    counts: Floats
    live_counts: Floats
    flops: Floats | None

    @property
    def nothing_dead(self) -> bool:
        """Whether the two readings are the same for this batch."""
        return bool(np.array_equal(self.counts, self.live_counts))

    def columns(self, recipe: FeatureRecipe) -> tuple[Floats, Floats]:
        """Returns the columns `(B, P)` of a recipe and the penalty of each, `(P,)`."""
        groups: list[tuple[Floats, float]] = []
        if recipe.flops or recipe.counted == "flops":
            if self.flops is None:
                raise ValueError("the space defines no FLOPs, which the model needs")
            groups.append((self.flops[:, None], _PENALTY_FLOPS))
        if recipe.counted in ("all", "both"):
            groups += [(self.counts, _PENALTY_COUNTS), (self.choices, recipe.penalty)]
        if recipe.counted in ("live", "both"):
            live = self.choices if self.live_choices is None else self.live_choices
            groups += [(self.live_counts, _PENALTY_COUNTS), (live, recipe.penalty)]
        penalties = [np.full(block.shape[1], penalty) for block, penalty in groups]
        return np.concatenate([b for b, _ in groups], axis=1), np.concatenate(penalties)


def ingredients(space: SearchSpace, architectures: Sequence[Architecture]) -> Ingredients:
    """Computes the column groups of architectures of `space`."""
    rows = space.rows(architectures)
    adjacency, operations = space.graphs(rows)
    live = live_nodes(adjacency, operations, space.node_operations)
    present = operations != ABSENT
    choices = np.concatenate(
        [rows[:, d, None] == np.arange(k) for d, k in enumerate(space.cardinalities.tolist())],
        axis=1,
    ).astype(np.float64)
    return Ingredients(
        choices=choices,
        live_choices=_live_choices(space, choices, live),
        counts=_counts(operations, present, len(space.node_operations)),
        live_counts=_counts(operations, live, len(space.node_operations)),
        flops=_flops(space, architectures),
    )


def _live_choices(space: SearchSpace, choices: Floats, live: Bools) -> Floats | None:
    # Then node i + 1 is decision i: input, one node per decision, output.
    if live.shape[1] != len(space.decisions) + 2:
        return None
    return choices * np.repeat(live[:, 1:-1], space.cardinalities, axis=1)


def _counts(operations: npt.NDArray[np.integer], counted: Bools, size: int) -> Floats:
    labels = operations[:, :, None] == np.arange(size)
    counts: Floats = (labels & counted[:, :, None]).sum(axis=1).astype(np.float64)
    return counts


def _flops(space: SearchSpace, architectures: Sequence[Architecture]) -> Floats | None:
    try:
        return np.array([space.complexity(a).flops / 1e6 for a in architectures])
    except TypeError:  # the space has no closed form
        return None
