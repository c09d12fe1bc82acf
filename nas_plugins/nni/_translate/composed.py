"""The space of a model space that is more than one of ours, or more than its labels."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from nas_plugins.nni._translate.generic import ascending, picked
from nas_plugins.spaces.base import (
    Architecture,
    Choice,
    Complexity,
    Decision,
    Rows,
    SearchSpace,
    space_from_json,
)
from nas_plugins.spaces.categorical import CategoricalSpace

NAME = "nni-model-space"

Check: TypeAlias = Callable[[tuple[int, ...]], "str | None"]
"""Takes choice indices and says why they are not an architecture, or ``None``."""


Conditions: TypeAlias = Mapping[str, Sequence[Sequence[tuple[str, Sequence[int]]]]]

_COUNTABLE = 2**16


class ComposedSpace(CategoricalSpace):
    """Decisions of an NNI model space: a known cell, further decisions, conditions, constraints.

    The first decisions may be those of a `core` space, whose keys, validity and complexity then
    count; graph and notation are those of a categorical space. A strategy's model of the core
    serves the whole; without a core, learned strategies learn the space on its first use.

    Constraints are the model space's own objects and are not written to JSON: a space that is
    read back takes every combination, which is all that reading results needs.

    Args:
        decisions: Choices per decision name, in canonical order.
        core: The space of the first decisions, as `SearchSpace.to_json` writes it.
        sizes: Which decision gives which option of the core's `complexity`.
        conditions: When a decision counts, for those that do not always: alternatives, each a
            list of pairs (decision, indices of the choices it must take). Architectures that
            differ only in decisions that do not count have the same key.
        picks: Labels whose decisions ``<label>/0``, ``<label>/1``, ... pick k of n values: the
            pair ``[k, n]``. The order of the picks does not count.
        constraints: What the constraints say, for the identity of the space.
    """

    complexity_settings = ()  # but the core's

    def __init__(
        self,
        decisions: Mapping[str, Sequence[Choice]],
        *,
        core: Mapping[str, Any] | None = None,
        sizes: Mapping[str, str] | None = None,
        conditions: Conditions | None = None,
        picks: Mapping[str, Sequence[int]] | None = None,
        constraints: Sequence[str] = (),
    ) -> None:
        options: dict[str, Any] = {
            "decisions": {name: list(choices) for name, choices in decisions.items()},
            "core": dict(core) if core else None,
            "sizes": dict(sizes or {}),
            "conditions": _plain(conditions or {}),
            "picks": {label: list(pair) for label, pair in (picks or {}).items()},
            "constraints": list(constraints),
        }
        SearchSpace.__init__(
            self,
            NAME,
            [Decision(name, tuple(choices)) for name, choices in decisions.items()],
            options={name: value for name, value in options.items() if value},
        )
        self.core = space_from_json(core) if core else None
        self._sizes: dict[str, str] = options["sizes"]
        self._picks: dict[str, list[int]] = options["picks"]
        self._conditions: dict[str, list[list[list[Any]]]] = options["conditions"]
        self._check: Check | None = None
        n_core = len(self.core.decisions) if self.core else 0
        if self.core and self.decisions[:n_core] != self.core.decisions:
            raise ValueError(f"the first `decisions` must be those of `core` {self.core.name!r}")

    def bound(self, check: Check) -> ComposedSpace:
        """This space with its constraints, which stand for what `constraints` says."""
        space = copy.copy(self)
        space._check = check
        return space

    @property
    def size(self) -> int:
        """Number of distinct architectures.

        An upper bound where conditions or constraints reduce more than 65,536 combinations.
        """
        if (self._conditions or self._check) and self._combinations <= _COUNTABLE:
            return self._count
        total: int = math.prod(self.cardinalities[self._n_core :].tolist())
        for k, _ in self._picks.values():
            total //= math.factorial(k)
        return total * (self.core.size if self.core else 1)

    @property
    def _combinations(self) -> int:
        return math.prod(self.cardinalities.tolist())

    @cached_property
    def _count(self) -> int:
        return len(np.unique(self.keys(np.concatenate(list(self.enumerate())))))

    @property
    def _n_core(self) -> int:
        return len(self.core.decisions) if self.core else 0

    # -- validity --------------------------------------------------------------------------

    def valid(self, rows: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.bool_]:
        """Which rows the core and the constraints take; the latter are asked row by row."""
        mask = np.ones(len(rows), dtype=bool)
        if self.core:
            mask &= self.core.valid(rows[:, : self._n_core])
        if self._check:
            for i in np.flatnonzero(mask).tolist():
                mask[i] = self._check(tuple(rows[i].tolist())) is None
        return mask

    def _explain(self, indices: Sequence[int]) -> str | None:
        reason = self.core.violation(indices[: self._n_core]) if self.core else None
        if reason is None and self._check:
            reason = self._check(tuple(indices))
        return reason

    # -- keys ------------------------------------------------------------------------------

    def keys(self, rows: npt.NDArray[np.integer[Any]]) -> npt.NDArray[Any]:
        """Keys of the core beside the other decisions that count, picks in ascending order."""
        plain = self._reduced(np.asarray(rows, dtype=np.int16))
        if self.core is None:
            return super().keys(plain)
        n = self._n_core
        parts = [self.core.keys(plain[:, :n]), plain[:, n:]]
        packed = np.concatenate([_bytes(part) for part in parts], axis=1)
        return packed.view(np.dtype((np.void, packed.shape[1])))[:, 0]

    def _reduced(self, rows: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
        """One row for all that mean the same, but for the core."""
        reduced: npt.NDArray[np.int16] = rows.copy()
        for (_, n), columns in zip(self._picks.values(), self._pick_columns, strict=True):
            for row in reduced:
                row[columns] = ascending(picked(row[columns].tolist(), n))
        for column, counts in self._counts(rows):
            reduced[~counts, column] = 0
        return reduced

    def active(self, rows: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.bool_]:
        """All decisions but those whose conditions do not hold, and what the core leaves out."""
        active = super().active(rows)
        if self.core:
            active[:, : self._n_core] = self.core.active(rows[:, : self._n_core])
        for column, counts in self._counts(np.asarray(rows)):
            active[~counts, column] = False
        return active

    def _counts(
        self, rows: npt.NDArray[np.integer[Any]]
    ) -> Iterator[tuple[int, npt.NDArray[np.bool_]]]:
        """The columns with conditions, and the rows in which they count."""
        for column, alternatives in self._counting:
            counts = np.zeros(len(rows), dtype=bool)
            for pairs in alternatives:
                counts |= np.logical_and.reduce([takes[rows[:, i]] for i, takes in pairs])
            yield column, counts

    @cached_property
    def _counting(self) -> list[tuple[int, list[list[tuple[int, npt.NDArray[np.bool_]]]]]]:
        """Per decision with conditions: for each alternative, which choices its parents take."""
        return [
            (
                self._columns[name],
                [[self._parent(parent, taken) for parent, taken in pairs] for pairs in places],
            )
            for name, places in self._conditions.items()
        ]

    def _parent(self, name: str, taken: Sequence[int]) -> tuple[int, npt.NDArray[np.bool_]]:
        column = self._columns[name]
        takes = np.zeros(self.cardinalities[column], dtype=bool)
        takes[list(taken)] = True
        return column, takes

    @cached_property
    def _columns(self) -> dict[str, int]:
        return {decision.name: i for i, decision in enumerate(self.decisions)}

    @cached_property
    def _pick_columns(self) -> list[slice]:
        starts = [self._columns[f"{label}/0"] for label in self._picks]
        counts = [k for k, _ in self._picks.values()]
        return [slice(start, start + k) for start, k in zip(starts, counts, strict=True)]

    def neighbour_rows(self, row: npt.NDArray[np.integer[Any]]) -> Rows:
        """Rows one decision away, one for each different architecture that is reached so."""
        rows = super().neighbour_rows(row)
        keys = self.keys(rows)
        first = np.sort(np.unique(keys, return_index=True)[1])
        others: Rows = rows[first[keys[first] != self.keys(np.asarray(row)[None])]]
        return others

    # -- features --------------------------------------------------------------------------

    def features(self, rows: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float64]:
        """Those of the core beside the choices of the other decisions, `(B, D)` to `(B, F)`."""
        plain = self._reduced(np.asarray(rows, dtype=np.int16))
        others = self._features_from(self._n_core, plain)
        if self.core is None:
            return others
        return np.concatenate([self.core.features(plain[:, : self._n_core]), others], axis=1)

    # -- size of the network ---------------------------------------------------------------

    def complexity(self, architecture: Architecture, **options: Any) -> Complexity:
        """That of the core, with the sizes that are decisions here.

        Raises:
            TypeError: There is no core with a closed form, or an option is a decision here.
        """
        if self.core is None:
            return super().complexity(architecture, **options)
        choices = architecture.choices
        for option, decision in self._sizes.items():
            if option in options:
                raise TypeError(f"`{option}` must be left out, the decision {decision!r} gives it")
            options[option] = choices[decision]
        cell = Architecture(self.core, architecture.indices[: self._n_core])
        return self.core.complexity(cell, **options)

    def complexity_options(self, shape: tuple[int, ...]) -> Mapping[str, Any]:
        """Those of the core."""
        core = self.core
        return (
            super().complexity_options(shape) if core is None else core.complexity_options(shape)
        )


def _plain(conditions: Conditions) -> dict[str, Any]:
    return {
        name: [[[parent, list(taken)] for parent, taken in pairs] for pairs in alternatives]
        for name, alternatives in conditions.items()
    }


def _bytes(part: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Every row as bytes, `(B, ...)` to `(B, K)`."""
    width = part.itemsize * math.prod(part.shape[1:])
    return np.ascontiguousarray(part).view(np.uint8).reshape(len(part), width)
