"""Search spaces and the architectures in them.

A `SearchSpace` is an ordered tuple of named categorical decisions plus what a graph space
knows: graph, canonical key, validity, neighbours, network. An `Architecture` is a space and
one choice per decision. Batches are integer matrices, one row of choice indices per
architecture, shape `(B, D)` for D decisions.
"""

from __future__ import annotations

import inspect
import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins import registry
from nas_plugins._frozen import FrozenDict
from nas_plugins._images import shape_text
from nas_plugins.errors import InvalidArchitectureError, unknown_name
from nas_plugins.spaces import variation
from nas_plugins.spaces.graph import Graph
from nas_plugins.spaces.graph_features import graph_features
from nas_plugins.spaces.values import (
    Architecture,
    Choice,
    Complexity,
    Decision,
    Key,
    Label,
    Rows,
    space_from_json,
)


class SearchSpace(ABC):
    """An ordered tuple of named categorical decisions, and what is known about them.

    A subclass passes its name and decisions to ``super().__init__`` and implements `graphs`;
    it overrides `valid` and `_explain` when not every combination is an architecture, `keys`
    when different combinations mean the same architecture, and `format` and `parse` for the
    field's own notation.

    Args:
        name: Registered name, used in messages, files and to find the network builder.
        decisions: The decisions in canonical order.
        options: Constructor arguments that differ from the defaults, for `to_json`.

    Attributes:
        padding: Where graphs have nodes that stand for nothing: ``"output_last"`` before the
            output, ``"end"`` behind it; empty where they have none.
        default_axis: What niches of the space differ in, by default: a name that
            `nas_plugins.strategies.llm_coevolution.axis` knows. ``None`` takes the parameters,
            or the level where the space does not count them.
        decision_noun: What its decisions are called in words, in the plural.
        network_sizes: Options of `network` by size: ``"full"``, the network that zero-cost
            proxies of the space are published for; ``"small"``, cheaper to score but as deep;
            ``"tiny"``, for a moment; ``"training"``, which trains in seconds. A size that is
            missing is the builder's default.
        in_sequence: Whether a graph that is a chain means layers one behind the other; if not,
            an architecture is drawn as a table of its choices.
        network_width: What `network` calls the number of channels.
        network_depth: What it calls the number of repetitions of a cell.
        complexity_settings: Names of the options of `complexity`, so that others are refused
            before there is an architecture; ``None`` where the class does not tell.
        latency_table: Pattern of the names of the benchmarks with its latencies, with
            ``{device}`` and perhaps ``{dataset}`` in it; empty where there are none.
        latency_datasets: Data sets of these, the default first.
        proxy_table: Name of the benchmark with published zero-cost proxies of its architectures,
            ``synflow`` and ``zen`` among them; empty where there is none.
        core: The space of the first decisions, where a space of its own has got further ones:
            what knows the core then serves the whole.
    """

    padding: str = ""
    in_sequence: bool = True
    default_axis: str | None = None
    decision_noun: str = "decisions"
    network_sizes: Mapping[str, Mapping[str, Any]] = FrozenDict()
    network_width: str = "channels"
    network_depth: str = "cells"
    complexity_settings: tuple[str, ...] | None = None
    latency_table: str = ""
    core: SearchSpace | None = None
    latency_datasets: tuple[str, ...] = ()
    proxy_table: str = ""

    def __init__(
        self,
        name: str,
        decisions: Sequence[Decision],
        *,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if not decisions:
            raise ValueError("`decisions` must not be empty")
        names = [d.name for d in decisions]
        if len(set(names)) < len(names):
            raise ValueError(f"`decisions` must have different names, got {names}")
        self.name = name
        self.decisions = tuple(decisions)
        self.options = dict(options or {})
        self._identity: tuple[Any, ...] = (
            type(self).__qualname__,
            name,
            self.decisions,
            repr(self.options),
        )

    # -- identity --------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, SearchSpace) and self._identity == other._identity

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash(self._identity)

    def __getstate__(self) -> dict[str, Any]:
        # Hashes of strings differ between processes.
        return {k: v for k, v in self.__dict__.items() if k != "_hash"}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.decisions)} decisions, size {self.size:,})"

    def to_json(self) -> dict[str, Any]:
        """Returns the registered name and constructor options, for `space_from_json`."""
        return {"name": self.name, **({"options": self.options} if self.options else {})}

    @cached_property
    def cardinalities(self) -> npt.NDArray[np.int64]:
        """Number of choices per decision, shape `(D,)`."""
        return np.array([len(d.choices) for d in self.decisions], dtype=np.int64)

    @cached_property
    def row_type(self) -> Any:
        """Type of a row's choice indices: int16 unless a decision has more choices."""
        return np.int16 if self.cardinalities.max() <= 2**15 else np.int32

    @cached_property
    def open_decisions(self) -> tuple[list[int], list[int]]:
        """Positions of the decisions with more than one choice, and their cardinalities."""
        positions = np.flatnonzero(self.cardinalities > 1)
        return positions.tolist(), self.cardinalities[positions].tolist()

    @property
    def size(self) -> int:
        """Number of distinct architectures."""
        return math.prod(self.cardinalities.tolist())

    # -- from choices to architectures and back --------------------------------------------

    def architecture(self, choices: Mapping[str, Choice]) -> Architecture:
        """Builds an architecture from one choice per decision name.

        Raises:
            InvalidArchitectureError: A decision is missing or unknown, a choice does not
                exist, or the combination is not valid.
        """
        known = {d.name for d in self.decisions}
        for name in choices:
            if name not in known:
                raise InvalidArchitectureError(str(unknown_name("decision", name, known)))
        missing = [d.name for d in self.decisions if d.name not in choices]
        if missing:
            raise InvalidArchitectureError(f"`choices` lacks decisions {missing}")
        return Architecture(self, tuple(d.index(choices[d.name]) for d in self.decisions))

    def architectures(self, rows: npt.ArrayLike) -> list[Architecture]:
        """Builds one architecture per row of choice indices, shape `(B, D)`."""
        return [Architecture(self, tuple(row)) for row in np.asarray(rows).tolist()]

    def rows(self, architectures: Sequence[Architecture]) -> Rows:
        """Choice indices of many architectures, shape `(B, D)`."""
        shape = (len(architectures), len(self.decisions))
        return np.array([a.indices for a in architectures], dtype=self.row_type).reshape(shape)

    @abstractmethod
    def format(self, architecture: Architecture) -> str:
        """Writes an architecture in the field's own notation; `parse` reads it back."""

    @abstractmethod
    def parse(self, text: str) -> Architecture:
        """Reads an architecture.

        Raises:
            InvalidArchitectureError: The text is not an architecture of this space.
        """

    # -- validity --------------------------------------------------------------------------

    def valid(self, rows: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.bool_]:
        """Which rows of choice indices are architectures; `(B, D)` to `(B,)`.

        The indices are in range already.
        """
        return np.ones(len(rows), dtype=bool)

    def violation(self, indices: Sequence[int]) -> str | None:
        """Returns why `indices` is not an architecture, or ``None`` if it is one."""
        if len(indices) != len(self.decisions):
            return f"needs {len(self.decisions)} choices, got {len(indices)}"
        for decision, index in zip(self.decisions, indices, strict=True):
            if not 0 <= index < len(decision.choices):
                return (
                    f"decision {decision.name!r} takes a choice index in "
                    f"0..{len(decision.choices) - 1}, got {index}"
                )
        return self._explain(indices)

    def _explain(self, indices: Sequence[int]) -> str | None:
        """As `violation`, for indices in range. Override together with `valid`."""
        return None

    def active(self, rows: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.bool_]:
        """Which decisions count, `(B, D)`; False where the others leave one without effect.

        All by default. Override together with `keys`.
        """
        return np.ones(np.shape(rows), dtype=bool)

    # -- drawing and varying ---------------------------------------------------------------

    def random(self, n: int, rng: np.random.Generator) -> Rows:
        """Draws `n` architectures independently, as rows of choice indices `(n, D)`.

        Uniform over the decisions, given that the result is valid.
        """
        return variation.drawn(self, n, rng, {})

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Draws one architecture as `random` does."""
        return Architecture(self, tuple(self.random(1, rng)[0].tolist()))

    def complete(self, fixed: Mapping[str, Choice], rng: np.random.Generator) -> Architecture:
        """Draws an architecture at random in which some decisions are given.

        Args:
            fixed: Choices that must hold, by decision name. Names that are not decisions of
                this space are ignored, as an engine may fix other parameters too.
            rng: Source of randomness.

        Raises:
            InvalidArchitectureError: A choice does not exist or no valid completion was found.
        """
        return variation.completed(self, fixed, rng)

    def random_cells(self, n: int, rng: np.random.Generator) -> Rows:
        """As `random`, but uniform over the architectures where the space knows how to.

        The same by default: uniform over the decisions, given that the result is valid.
        """
        return self.random(n, rng)

    def neighbours(self, architecture: Architecture) -> list[Architecture]:
        """Valid architectures that differ in exactly one decision, in canonical order.

        All of them, but for ordered decisions: of these the ones that `Decision.steps` names.
        """
        rows = self.neighbour_rows(architecture.row)
        return self.architectures(rows)

    def neighbour_rows(self, row: npt.NDArray[np.integer[Any]]) -> Rows:
        """`neighbours` as rows of choice indices; `(D,)` to `(M, D)`."""
        return variation.neighbour_rows(self, row)

    @cached_property
    def has_order(self) -> bool:
        """Whether the choices of any decision are ordered."""
        return any(decision.ordered for decision in self.decisions)

    @cached_property
    def single_changes(self) -> tuple[npt.NDArray[np.int64], Rows]:
        """Position of each single change, and its number among the other choices there."""
        others = [np.arange(cardinality - 1) for cardinality in self.cardinalities.tolist()]
        positions = np.repeat(np.arange(len(others)), self.cardinalities - 1)
        return positions, np.concatenate(others).astype(self.row_type)

    def mutate(
        self,
        architecture: Architecture,
        rng: np.random.Generator,
        *,
        n_changes: int = 1,
        reach: int = 1,
    ) -> Architecture:
        """Changes `n_changes` different decisions to another choice, uniformly at random.

        Args:
            architecture: The parent.
            rng: Source of randomness.
            n_changes: How many decisions change.
            reach: How far an ordered decision moves at most; further where nothing is valid.

        Raises:
            ValueError: `n_changes` is not between 1 and the number of open decisions.
            SpaceExhaustedError: No valid architecture lies at this distance.
        """
        return variation.mutated(self, architecture, rng, n_changes=n_changes, reach=reach)

    @property
    def all_valid(self) -> bool:
        """Whether every combination is an architecture, as `valid` is not overridden."""
        return type(self).valid is SearchSpace.valid

    def crossover(
        self, first: Architecture, second: Architecture, rng: np.random.Generator
    ) -> Architecture:
        """Takes each decision from one of two parents at random (uniform crossover).

        Falls back to one of the parents when no mixture that was tried is valid.
        """
        return variation.crossed(self, first, second, rng)

    def enumerate(self, *, batch: int = 65536) -> Iterator[Rows]:
        """Yields all valid rows of choice indices in canonical order, `batch` at a time."""
        total = math.prod(self.cardinalities.tolist())
        for start in range(0, total, batch):
            number = np.arange(start, min(start + batch, total), dtype=np.int64)
            rows = np.stack(np.unravel_index(number, self.cardinalities), axis=1)
            small: Rows = rows.astype(self.row_type)
            yield small[self.valid(small)]

    # -- graphs and keys -------------------------------------------------------------------

    def key(self, architecture: Architecture) -> Key:
        """Canonical key of one architecture; see `keys`."""
        if self._key_digits is not None:  # the same number, without an array of one row
            return int(sum(map(operator.mul, architecture.indices, self._key_digits)))
        key: Key = self.keys(architecture.row[None])[0].item()
        return key

    @cached_property
    def _key_digits(self) -> list[int] | None:
        """`_key_weights`; ``None`` where a subclass has keys of its own too."""
        own = type(self).keys is not SearchSpace.keys
        return None if own or self._key_weights is None else self._key_weights.tolist()

    def keys(self, rows: npt.NDArray[np.integer[Any]]) -> npt.NDArray[Any]:
        """Canonical keys of a batch, `(B, D)` to `(B,)`.

        Integers where the space is small enough, otherwise the bytes of the row (dtype
        ``V``). Equal keys mean the same architecture; ``np.unique`` works on them.
        """
        if self._key_weights is not None:
            return np.asarray(rows, dtype=np.int64) @ self._key_weights
        packed = np.ascontiguousarray(rows, dtype=self.row_type)
        return packed.view(np.dtype((np.void, packed.shape[1] * packed.itemsize)))[:, 0]

    @cached_property
    def _key_weights(self) -> npt.NDArray[np.int64] | None:
        """Weight of each choice index in an integer key; ``None`` where keys are bytes."""
        if math.prod(self.cardinalities.tolist()) >= 2**63:
            return None
        # The first decision is the most significant digit, as in `enumerate`.
        return np.append(np.cumprod(self.cardinalities[:0:-1])[::-1], 1)

    def canonical(self, architecture: Architecture) -> Architecture:
        """The representative of all architectures that have the same key.

        Itself by default. Override together with `keys`.
        """
        return architecture

    @property
    @abstractmethod
    def node_operations(self) -> tuple[str, ...]:
        """Vocabulary of the graph's node operations, in index order."""

    @abstractmethod
    def graphs(
        self, rows: npt.NDArray[np.integer[Any]]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int16]]:
        """Graphs of a batch: adjacency `(B, N, N)` and node operations `(B, N)`."""

    def graph(self, architecture: Architecture) -> Graph:
        """The architecture as a labelled directed acyclic graph."""
        adjacency, operations = self.graphs(architecture.row[None])
        return Graph(adjacency[0], operations[0], self.node_operations)

    @abstractmethod
    def from_graph(self, graph: Graph) -> Architecture:
        """Inverse of `graph`, strict.

        Raises:
            InvalidArchitectureError: The graph is not exactly that of an architecture here.
        """

    # -- networks --------------------------------------------------------------------------

    def complexity(self, architecture: Architecture, **options: Any) -> Complexity:
        """Parameters and FLOPs of the architecture's network, in closed form.

        Args:
            architecture: An architecture of this space.
            **options: The space's own network settings, e.g. channels and classes.

        Raises:
            TypeError: The space has no closed form.
        """
        raise TypeError(f"space {self.name!r} defines no complexity")

    def complexity_options(self, shape: tuple[int, ...]) -> Mapping[str, Any]:
        """Options of `complexity` that count networks for images of a shape; ours tell them.

        Args:
            shape: Channels, height and width.

        Raises:
            ValueError: There are no networks for such images, or the space does not tell.
        """
        raise ValueError(
            f"space {self.name!r} does not tell how its `complexity` depends on the images, "
            f"which are {shape_text(shape)} here; its class must define `complexity_options`"
        )

    def complexities(
        self, rows: npt.NDArray[np.integer[Any]], **options: Any
    ) -> npt.NDArray[np.int64]:
        """`complexity` of a batch, `(B, D)` to `(B, 2)`: parameters and FLOPs.

        Args:
            rows: Choice indices.
            **options: As in `complexity`.

        Raises:
            TypeError: The space has no closed form.
        """
        sizes = [self.complexity(a, **options) for a in self.architectures(rows)]
        pairs = [(size.params, size.flops) for size in sizes]
        return np.array(pairs, dtype=np.int64).reshape(len(pairs), 2)

    def network(self, architecture: Architecture, **options: Any) -> Any:
        """Builds the architecture as a ``torch.nn.Module``.

        The builder is found by the space's name in the entry points ``nas_plugins.networks``.

        Raises:
            UnknownNameError: No builder is registered for the space.
            MissingDependencyError: PyTorch is not installed.
        """
        return registry.load("network", self.name)(architecture, **options)

    def check_network(self, options: Collection[str] = ()) -> None:
        """Whether there is a `network`, and whether it takes these options.

        Raises:
            ValueError: There is none.
            UnknownNameError: It does not take one of the options; suggests the nearest.
        """
        if type(self).network is SearchSpace.network and self.name not in registry.names(
            "network"
        ):
            raise ValueError(f"space {self.name!r} has no networks to measure")
        known = self.network_options() if options else None
        for name in options:
            if known is not None and name not in known:
                raise unknown_name(f"network option of space {self.name!r}", name, known)

    def network_options(self) -> tuple[str, ...] | None:
        """Names of the options that `network` takes, by its signature; ``None`` if it takes any.

        Raises:
            UnknownNameError: No builder is registered for the space.
        """
        own = type(self).network is not SearchSpace.network
        builder = self.network if own else registry.load("network", self.name)
        parameters = list(inspect.signature(builder).parameters.values())
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            return None
        return tuple(parameter.name for parameter in parameters[1:])

    # -- for strategies, evaluators and drawings -------------------------------------------

    def features(self, rows: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float64]:
        """What tells architectures apart in numbers, for a model of their quality.

        `graph_features` by default: operations and paths of the graph. Override it where the
        graph says little, such as a chain: `decision_features` describes choices instead. Of
        rows that are not `valid` the numbers mean nothing.

        >>> space = nap.space("nasbench201")
        >>> space.features(space.random(10, np.random.default_rng(0))).shape
        (10, 135)

        Args:
            rows: Choice indices, `(B, D)`; B may be 0.

        Returns:
            `(B, F)`, the same F for all architectures of the space.
        """
        return graph_features(self, rows)[0]

    def cell_space(self) -> SearchSpace:
        """The space of one cell where an architecture is several cells of a kind, or itself.

        What a model of architectures learns by default.
        """
        return self

    @property
    def model_name(self) -> str:
        """Name of the models of its architectures that come with a strategy."""
        return self.name

    def edge_cells(
        self, architecture: Architecture
    ) -> Mapping[str, Sequence[tuple[int, int, str]]]:
        """Cells whose operations stand on edges: (source, target, operation) by the cell's name.

        A drawing shows these cells in place of `graph`. Empty, the default, where operations
        are nodes. In a cell with two nodes that no edge enters, the outputs of two cells before
        it, the output is the concatenation of all other nodes.
        """
        return {}


__all__ = [
    "Architecture",
    "Choice",
    "Complexity",
    "Decision",
    "Key",
    "Label",
    "Rows",
    "SearchSpace",
    "space_from_json",
]
