"""Any space of named categorical decisions, with a chain graph for learned strategies."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins._checks import at_least
from nas_plugins._wording import excerpt
from nas_plugins.errors import InvalidArchitectureError
from nas_plugins.spaces.base import Architecture, Choice, Decision, SearchSpace
from nas_plugins.spaces.graph import Graph, chain_labels


class CategoricalSpace(SearchSpace):
    """A space given by its decisions alone, e.g. ``{"depth": [2, 4], "op": ["conv", "pool"]}``.

    Every combination is an architecture. The notation is a JSON object. The graph is a chain
    input, one node per decision in order, output; node labels are the written choices, so equal
    choices of different decisions share a label.

    Args:
        decisions: Choices per decision name, in canonical order.
        name: Registered name of the space; subclasses and plug-ins pass their own.
    """

    def __init__(
        self, decisions: Mapping[str, Sequence[Choice]], *, name: str = "categorical"
    ) -> None:
        for key, choices in decisions.items():
            if isinstance(choices, str) or not isinstance(choices, Iterable):
                raise TypeError(f"`choices` of decision {key!r} must be a list, got {choices!r}")
        super().__init__(
            name,
            [Decision(key, tuple(choices)) for key, choices in decisions.items()],
            options={"decisions": {key: list(choices) for key, choices in decisions.items()}},
        )
        # Only the layers of a macro space come one after the other.
        layers = [f"layer_{i}" for i in range(len(self.decisions))]
        self.in_sequence = [decision.name for decision in self.decisions] == layers

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
        return json.dumps(architecture.choices)

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
    def _vocabulary(self) -> tuple[tuple[str, ...], list[npt.NDArray[np.int16]]]:
        """Node labels, and per decision the label index of each choice."""
        labels = {"input": 0}
        tables = []
        for decision in self.decisions:
            words = [json.dumps(choice) for choice in decision.choices]
            tables.append(np.array([labels.setdefault(w, len(labels)) for w in words], np.int16))
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
        operations = np.zeros((n, nodes), dtype=np.int16)
        for position, table in enumerate(tables):
            operations[:, position + 1] = table[np.asarray(rows)[:, position]]
        operations[:, -1] = len(labels) - 1
        chain = np.eye(nodes, k=1, dtype=np.uint8)
        return np.broadcast_to(chain, (n, nodes, nodes)).copy(), operations

    def from_graph(self, graph: Graph) -> Architecture:
        """Reads a chain back."""
        labels = chain_labels(graph, len(self.decisions) + 2)
        return self.architecture(
            {
                decision.name: _choice(decision, label)
                for decision, label in zip(self.decisions, labels, strict=True)
            }
        )


def _choice(decision: Decision, label: str) -> Choice:
    for choice in decision.choices:
        if json.dumps(choice) == label:
            return choice
    raise InvalidArchitectureError(f"decision {decision.name!r} has no choice {label}")
