"""Any space of named categorical decisions, with a chain graph for learned strategies."""

from __future__ import annotations

import json
import math
import operator
import pickle
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from nas_plugins._checks import at_least
from nas_plugins._wording import excerpt
from nas_plugins.errors import InvalidArchitectureError, UsageError, unknown_name
from nas_plugins.spaces.base import Architecture, Choice, Decision, SearchSpace
from nas_plugins.spaces.decision_features import decision_features
from nas_plugins.spaces.graph import Graph, chain_labels
from nas_plugins.spaces.values import in_order

Rule: TypeAlias = Callable[[dict[str, Choice]], Any]

_MAX_COUNTED = 2**18
_MAX_REMEMBERED = 2**22
_MAX_DRAWS = 16384


class CategoricalSpace(SearchSpace):
    """A space given by its decisions alone, e.g. ``{"depth": [2, 4], "op": ["conv", "pool"]}``.

    Every combination is an architecture, unless `valid` excludes it. The notation is a JSON
    object. The graph is a chain input, one node per decision in order, output; node labels are
    the written choices, so equal choices of different decisions share a label.

    Choices may be anything: in files, where tuples, lists, classes or functions cannot stand,
    each is written as its label (`Decision.labels`), and so it is there when a file is read.

    >>> space = CategoricalSpace(
    ...     {"layers": range(1, 9), "width": [64, 128, 256]},
    ...     valid=lambda c: c["layers"] * c["width"] <= 1024,
    ... )
    >>> space.size
    19

    Args:
        decisions: Choices per decision name, in canonical order, or `Decision` objects. Those
            that are given as a ``range`` are ordered.
        name: Registered name of the space; subclasses and plug-ins pass their own.
        ordered: Names of further decisions whose choices are ordered: neighbours come first.
        valid: Tells for the choices by decision name whether they are an architecture. A
            search over several processes needs a function at the top of a module, as it is
            pickled. It is not written into files.

    Raises:
        ValueError: `valid` admits no combination: none at all where there are few, none of
            16,384 random ones where there are many. Or two choices of a decision are the same.
        UsageError: `valid` fails.
    """

    _rule: _Rule | None = None

    def __init__(
        self,
        decisions: Mapping[str, Sequence[Choice]] | Sequence[Decision],
        *,
        name: str = "categorical",
        ordered: Collection[str] = (),
        valid: Rule | None = None,
    ) -> None:
        found = _decisions(decisions, ordered)
        options: dict[str, Any] = {"decisions": {d.name: list(d.labels) for d in found}}
        if in_order := [d.name for d in found if d.ordered]:
            options["ordered"] = in_order
        super().__init__(name, found, options=options)
        # Only the layers of a macro space come one after the other.
        layers = [f"layer_{i}" for i in range(len(self.decisions))]
        self.in_sequence = [decision.name for decision in self.decisions] == layers
        if valid is not None:
            self._rule = _Rule(valid, name)
            self._identity += (self._rule,)
            self._check_rule()

    def _check_rule(self) -> None:
        if self._combinations <= _MAX_COUNTED:
            if not any(len(rows) for rows in self.enumerate(batch=256)):
                raise ValueError(
                    f"`valid` of space {self.name!r} must admit some combination, "
                    f"got none of {self._combinations:,}"
                )
            return
        rng = np.random.default_rng(0)
        for _ in range(_MAX_DRAWS):
            if self._allows(tuple(rng.integers(self.cardinalities).tolist())):
                return
        raise ValueError(
            f"`valid` of space {self.name!r} must admit some combination, got none of "
            f"{_MAX_DRAWS:,} drawn from {self._combinations:,}"
        )

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in super().__getstate__().items() if k != "_verdicts"}

    @property
    def _combinations(self) -> int:
        return math.prod(self.cardinalities.tolist())

    @property
    def size(self) -> int:
        """Number of distinct architectures.

        An upper bound where `valid` excludes some of more than 262,144 combinations.
        """
        counts = self._rule is not None and self._combinations <= _MAX_COUNTED
        return self._n_valid if counts else self._combinations

    @cached_property
    def _n_valid(self) -> int:
        return sum(len(rows) for rows in self.enumerate())

    # -- validity --------------------------------------------------------------------------

    @property
    def all_valid(self) -> bool:
        """Whether every combination is an architecture."""
        return self._rule is None and type(self).valid is CategoricalSpace.valid

    def valid(self, rows: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.bool_]:
        """Which rows the function given as `valid` takes; it is asked row by row."""
        if self._rule is None:
            return super().valid(rows)
        allowed = (self._allows(tuple(row)) for row in np.asarray(rows).tolist())
        return np.fromiter(allowed, dtype=bool, count=len(rows))

    def _explain(self, indices: Sequence[int]) -> str | None:
        if self._rule is None or self._allows(tuple(indices)):
            return None
        return f"`valid` excludes {self._choices(indices)}"

    def _choices(self, indices: Sequence[int]) -> dict[str, Choice]:
        return {d.name: d.choices[i] for d, i in zip(self.decisions, indices, strict=True)}

    @cached_property
    def _verdicts(self) -> bytearray | None:
        """What `valid` has said of each combination (1 no, 2 yes) where they are not too many."""
        return bytearray(self._combinations) if self._combinations <= _MAX_REMEMBERED else None

    def _allows(self, indices: tuple[int, ...]) -> bool:
        if self._rule is None:
            return True
        verdicts, digits = self._verdicts, self._key_weights
        if verdicts is None or digits is None:
            return self._rule(self._choices(indices))
        number = int(sum(map(operator.mul, indices, digits.tolist())))
        if not verdicts[number]:
            verdicts[number] = 1 + self._rule(self._choices(indices))
        return verdicts[number] == 2

    @classmethod
    def macro(cls, n_layers: int, choices: Sequence[Choice]) -> CategoricalSpace:
        """A macro space: the same `choices` for each of `n_layers` layers.

        Args:
            n_layers: Number of decisions, named ``layer_0``, ``layer_1``, ...
            choices: E.g. channel counts, or the operations of a block.
        """
        at_least(1, n_layers=n_layers)
        return cls({f"layer_{i}": tuple(choices) for i in range(n_layers)})

    def format(self, architecture: Architecture) -> str:
        """Writes a JSON object of the choices."""
        return json.dumps(architecture.labels)

    def parse(self, text: str) -> Architecture:
        """Reads a JSON object of the choices."""
        try:
            choices = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidArchitectureError(
                f"expected a JSON object of choices, got {excerpt(text)} ({error})"
            ) from error
        if not isinstance(choices, dict):
            raise InvalidArchitectureError(
                f"expected a JSON object of choices, got {excerpt(text)}"
            )
        return self.architecture(choices)

    @cached_property
    def _vocabulary(self) -> tuple[tuple[str, ...], list[npt.NDArray[np.int32]]]:
        """Node labels, and per decision the label index of each choice."""
        labels = {"input": 0}
        tables = []
        for decision in self.decisions:
            words = [json.dumps(label) for label in decision.labels]
            tables.append(np.array([labels.setdefault(w, len(labels)) for w in words], np.int32))
        # Written choices are JSON, so they never collide with the bare words input and output.
        labels["output"] = len(labels)
        return tuple(labels), tables

    @property
    def node_operations(self) -> tuple[str, ...]:
        """``input``, every distinct written choice, ``output``."""
        return self._vocabulary[0]

    def graphs(
        self, rows: npt.NDArray[np.integer[Any]]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int16]]:
        """Chains of a batch: `(B, D + 2, D + 2)` and `(B, D + 2)`."""
        labels, tables = self._vocabulary
        n, nodes = len(rows), len(self.decisions) + 2
        operations = np.zeros((n, nodes), dtype=np.int16 if len(labels) <= 2**15 else np.int32)
        for position, table in enumerate(tables):
            operations[:, position + 1] = table[np.asarray(rows)[:, position]]
        operations[:, -1] = len(labels) - 1
        chain = np.eye(nodes, k=1, dtype=np.uint8)
        return np.broadcast_to(chain, (n, nodes, nodes)).copy(), operations

    def features(self, rows: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float64]:
        """`decision_features`: the choices, and how often each occurs, `(B, D)` to `(B, F)`."""
        return self._features_from(0, rows)

    def _features_from(
        self, first: int, rows: npt.NDArray[np.integer[Any]]
    ) -> npt.NDArray[np.float64]:
        """Features of the decisions from the `first` on."""
        return decision_features(
            self.decisions[first:],
            self._vocabulary[1][first:],
            np.asarray(rows)[:, first:],
            active=self.active(rows)[:, first:],
        )

    def from_graph(self, graph: Graph) -> Architecture:
        """Reads a chain back."""
        labels = chain_labels(graph, len(self.decisions) + 2)
        return self.architecture(
            {
                decision.name: _choice(decision, label)
                for decision, label in zip(self.decisions, labels, strict=True)
            }
        )


@dataclass(frozen=True)
class _Rule:
    """The function that tells which combinations are architectures."""

    function: Rule
    space: str

    def __call__(self, choices: dict[str, Choice]) -> bool:
        try:
            return bool(self.function(choices))
        except Exception as error:  # whatever a user's function raises
            raise UsageError(
                f"`valid` of space {self.space!r} failed for {choices}: "
                f"{type(error).__name__}: {error}"
            ) from error

    def __copy__(self) -> _Rule:
        return self

    def __deepcopy__(self, memo: Any) -> _Rule:
        return self

    def __reduce__(self) -> tuple[type[_Rule], tuple[Rule, str]]:
        try:
            pickle.dumps(self.function)
        except Exception as error:  # what pickling raises depends on the object
            raise pickle.PicklingError(
                f"`valid` of space {self.space!r} must be a function at the top of a module to "
                f"go to another process, got {self.function!r}"
            ) from error
        return _Rule, (self.function, self.space)


def _decisions(
    given: Mapping[str, Sequence[Choice]] | Sequence[Decision], ordered: Collection[str]
) -> list[Decision]:
    if isinstance(given, Mapping):
        found = [Decision(k, in_order(k, v), isinstance(v, range)) for k, v in given.items()]
    else:
        found = list(given)
    names = [decision.name for decision in found]
    if isinstance(ordered, str):
        raise TypeError(f"`ordered` must be a list of names of decisions, got {ordered!r}")
    if unknown := [name for name in ordered if name not in names]:
        raise unknown_name("decision", unknown[0], names)
    return [replace(d, ordered=True) if d.name in ordered else d for d in found]


def _choice(decision: Decision, label: str) -> Choice:
    for choice, written in zip(decision.choices, decision.labels, strict=True):
        if json.dumps(written) == label:
            return choice
    raise InvalidArchitectureError(f"decision {decision.name!r} has no choice {label}")
