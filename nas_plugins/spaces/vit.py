"""The AutoFormer search space: vision transformers of varying width, depth and layers.

Chen, Peng, Fu and Ling, "AutoFormer: Searching Transformers for Visual Recognition", ICCV 2021.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins._checks import at_least
from nas_plugins._frozen import FrozenDict
from nas_plugins._images import square_image_options
from nas_plugins.errors import InvalidArchitectureError, SpaceExhaustedError, unknown_name
from nas_plugins.spaces.base import Architecture, Complexity, Decision, Rows, SearchSpace
from nas_plugins.spaces.decision_features import decision_features
from nas_plugins.spaces.graph import Graph, chain_labels

HEAD_DIMENSION = 64
"""Width of a head; queries, keys and values of a layer have as many times that as heads."""

_FIELDS = ("embed_dim", "mlp_ratio", "num_heads")
_FIRST_LAYER = 2
_MAX_LENGTH = 10_000
_MAX_TRIES = 1000


@dataclass(frozen=True)
class Supernet:
    """The choices of one of AutoFormer's three supernets.

    Attributes:
        embed_dim: Width of the tokens, the same in all layers.
        depth: Number of layers.
        mlp_ratio: Hidden units of a layer's MLP per token width.
        num_heads: Attention heads of a layer, each 64 wide whatever the token width.
    """

    embed_dim: tuple[int, ...]
    depth: tuple[int, ...]
    mlp_ratio: tuple[float, ...]
    num_heads: tuple[int, ...]


SUPERNETS: Mapping[str, Supernet] = {
    "tiny": Supernet((192, 216, 240), (12, 13, 14), (3.0, 3.5, 4.0), (3, 4)),
    "small": Supernet((320, 384, 448), (12, 13, 14), (3.0, 3.5, 4.0), (5, 6, 7)),
    "base": Supernet((528, 576, 624), (14, 15, 16), (3.0, 3.5, 4.0), (8, 9, 10)),
}


@dataclass(frozen=True)
class Layer:
    """One transformer layer.

    Attributes:
        mlp_ratio: Hidden units of the MLP per token width.
        num_heads: Attention heads.
    """

    mlp_ratio: float
    num_heads: int


@dataclass(frozen=True)
class ViTShape:
    """What surrounds the layers.

    Attributes:
        resolution: Height and width of the images in pixels.
        patch: Height and width of a patch in pixels.
        in_channels: Channels of the images.
        classes: Outputs of the classifier.
        relative_position: Whether attention learns relative positions beside absolute ones.
    """

    resolution: int = 224
    patch: int = 16
    in_channels: int = 3
    classes: int = 1000
    relative_position: bool = True

    def __post_init__(self) -> None:
        names = ("resolution", "patch", "in_channels", "classes")
        at_least(1, **{name: getattr(self, name) for name in names})
        if self.resolution % self.patch:
            raise ValueError(
                f"`resolution` must be a multiple of `patch`, which is {self.patch}, "
                f"got {self.resolution}"
            )

    @property
    def grid(self) -> int:
        """Patches per side."""
        return self.resolution // self.patch


class ViT(SearchSpace):
    """AutoFormer's vision transformers: 2.8e11 in the supernet tiny, 7.7e13 small, 6.3e15 base.

    The decisions are ``embed_dim``, ``depth`` and, for every layer that the greatest depth has,
    ``mlp_ratio_0`` and ``num_heads_0``. Those of layers beyond the depth have no effect: keys
    and `active` leave them out. Queries, keys and values are 64 wide per head.

    The choices are those of NNI's model hub. They hold every network that AutoFormer released;
    its configuration of the supernet tiny lists the ratios 3.5 and 4 only, but the network that
    was found in it has layers of ratio 3.

    The notation is ``embed_dim=192;mlp_ratio=3.5,3,4;num_heads=3,3,4`` with one number per layer
    in use, or the same as a JSON object. The graph is a chain of the input, one node per decision
    and the output. Layers that are not in use are part of it, so that all graphs have the same
    nodes and Arch-VQ can learn them.

    Args:
        size: ``"tiny"``, ``"small"`` or ``"base"``.

    Raises:
        UnknownNameError: `size` is none of these.
    """

    default_axis = "flops"
    complexity_settings = tuple(ViTShape.__dataclass_fields__)
    network_sizes = FrozenDict(  # of images of 32 x 32 pixels, whatever the size
        {name: {"resolution": 32, "patch": 4} for name in ("full", "small", "tiny", "training")}
    )

    def __init__(self, *, size: str = "tiny") -> None:
        if size not in SUPERNETS:
            raise unknown_name("`size`", size, SUPERNETS)
        self.supernet = SUPERNETS[size]
        layers = [
            decision
            for i in range(self.max_depth)
            for decision in (
                Decision(f"mlp_ratio_{i}", self.supernet.mlp_ratio),
                Decision(f"num_heads_{i}", self.supernet.num_heads),
            )
        ]
        super().__init__(
            "vit",
            [
                Decision("embed_dim", self.supernet.embed_dim),
                Decision("depth", self.supernet.depth),
                *layers,
            ],
            options={} if size == "tiny" else {"size": size},
        )

    @property
    def max_depth(self) -> int:
        """Layers of the deepest transformers."""
        return max(self.supernet.depth)

    @property
    def size(self) -> int:
        """Number of distinct architectures."""
        kinds = len(self.supernet.mlp_ratio) * len(self.supernet.num_heads)
        blocks = sum(int(kinds**depth) for depth in self.supernet.depth)
        return len(self.supernet.embed_dim) * blocks

    def embed_dim(self, architecture: Architecture) -> int:
        """Width of the tokens."""
        return self.supernet.embed_dim[architecture.indices[0]]

    def layers(self, architecture: Architecture) -> tuple[Layer, ...]:
        """The layers in use."""
        depth = self.supernet.depth[architecture.indices[1]]
        chosen = architecture.indices[_FIRST_LAYER : _FIRST_LAYER + 2 * depth]
        return tuple(
            Layer(self.supernet.mlp_ratio[ratio], self.supernet.num_heads[heads])
            for ratio, heads in zip(chosen[::2], chosen[1::2], strict=True)
        )

    # -- notation --------------------------------------------------------------------------

    def format(self, architecture: Architecture) -> str:
        """Writes width, ratios and heads."""
        layers = self.layers(architecture)
        ratios = ",".join(f"{layer.mlp_ratio:g}" for layer in layers)
        heads = ",".join(str(layer.num_heads) for layer in layers)
        return f"embed_dim={self.embed_dim(architecture)};mlp_ratio={ratios};num_heads={heads}"

    def parse(self, text: str) -> Architecture:
        """Reads ``embed_dim=...;mlp_ratio=...;num_heads=...`` or a JSON object of the same."""
        found = _numbers(text)
        ratios, heads = found["mlp_ratio"], found["num_heads"]
        if len(found["embed_dim"]) != 1:
            raise InvalidArchitectureError(f"'embed_dim' takes one number in {text[:200]!r}")
        if len(ratios) != len(heads):
            raise InvalidArchitectureError(
                f"'mlp_ratio' and 'num_heads' take one number per layer each, "
                f"got {len(ratios)} and {len(heads)}"
            )
        layers = [n for pair in zip(ratios, heads, strict=True) for n in pair]
        return self._assemble([found["embed_dim"][0], len(ratios), *layers])

    def _assemble(self, numbers: Sequence[float]) -> Architecture:
        """The architecture of a width, a depth and a ratio and heads for every layer in use."""
        depth = self.decisions[1].index(int(numbers[1]))  # says so where there are too many
        indices = [d.index(n) for d, n in zip(self.decisions, numbers, strict=False)]
        unused = [0] * (len(self.decisions) - len(indices))
        return Architecture(self, (indices[0], depth, *indices[2:], *unused))

    # -- what counts -----------------------------------------------------------------------

    def active(self, rows: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.bool_]:
        """All decisions but those of layers beyond the depth."""
        depths = np.array(self.supernet.depth)[np.asarray(rows)[:, 1]]
        counts = np.ones((len(rows), len(self.decisions)), dtype=bool)
        counts[:, _FIRST_LAYER:] = np.arange(2 * self.max_depth) < 2 * depths[:, None]
        return counts

    def keys(self, rows: npt.NDArray[np.integer[Any]]) -> npt.NDArray[Any]:
        """Canonical keys: the choices, the first one where a decision does not count."""
        return super().keys(np.where(self.active(rows), rows, 0))

    def canonical(self, architecture: Architecture) -> Architecture:
        """The representative of all architectures that have the same key."""
        row = architecture.row
        return Architecture(self, tuple(np.where(self.active(row[None])[0], row, 0).tolist()))

    def neighbour_rows(self, row: npt.NDArray[np.integer[Any]]) -> Rows:
        """Rows one decision away that mean another architecture."""
        rows = super().neighbour_rows(row)
        others: Rows = rows[self.keys(rows) != self.keys(np.asarray(row)[None])]
        return others

    def mutate(
        self,
        architecture: Architecture,
        rng: np.random.Generator,
        *,
        n_changes: int = 1,
        reach: int = 1,
    ) -> Architecture:
        """Changes `n_changes` decisions uniformly at random, such that the network changes.

        Raises:
            ValueError: `n_changes` is not between 1 and the number of decisions.
            SpaceExhaustedError: Chance gave no other network.
        """
        for _ in range(_MAX_TRIES):
            child = super().mutate(architecture, rng, n_changes=n_changes, reach=reach)
            if child.key != architecture.key:
                return child
        raise SpaceExhaustedError(
            f"no transformer other than {architecture} differs from it in {n_changes} decisions"
        )

    # -- graph -----------------------------------------------------------------------------

    @cached_property
    def node_operations(self) -> tuple[str, ...]:
        """``input``, every number with what it is, e.g. ``mlp_ratio_3.5``, ``output``."""
        fields = ("embed_dim", "depth", "mlp_ratio", "num_heads")
        numbers = [f"{name}_{n:g}" for name in fields for n in getattr(self.supernet, name)]
        return ("input", *numbers, "output")

    @cached_property
    def _first_labels(self) -> npt.NDArray[np.int16]:
        """Label of the first choice of each decision, `(D,)`; the others follow it."""
        names = [self._field(decision.name) for decision in self.decisions]
        firsts = [f"{n}_{d.choices[0]:g}" for n, d in zip(names, self.decisions, strict=True)]
        return np.array([self.node_operations.index(label) for label in firsts], dtype=np.int16)

    @staticmethod
    def _field(decision: str) -> str:
        return decision.rstrip("0123456789").rstrip("_")

    def graphs(
        self, rows: npt.NDArray[np.integer[Any]]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int16]]:
        """Chains of a batch: `(B, D + 2, D + 2)` and `(B, D + 2)`."""
        n, nodes = len(rows), len(self.decisions) + 2
        operations = np.zeros((n, nodes), dtype=np.int16)
        operations[:, 1:-1] = np.asarray(rows) + self._first_labels
        operations[:, -1] = len(self.node_operations) - 1
        chain = np.eye(nodes, k=1, dtype=np.uint8)
        return np.broadcast_to(chain, (n, nodes, nodes)).copy(), operations

    def from_graph(self, graph: Graph) -> Architecture:
        """Reads a chain back, strictly."""
        if graph.vocabulary != self.node_operations:
            raise InvalidArchitectureError("`graph` has not the labels of this space")
        labels = chain_labels(graph, len(self.decisions) + 2)
        indices = (graph.operations[1:-1] - self._first_labels).tolist()
        for decision, label, index in zip(self.decisions, labels, indices, strict=True):
            if not 0 <= index < len(decision.choices):
                raise InvalidArchitectureError(
                    f"the node of decision {decision.name!r} must not be {label!r}"
                )
        return Architecture(self, tuple(indices))

    def features(self, rows: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float64]:
        """The numbers, and how many layers have each: `(B, D)` to `(B, F)`.

        The layers in use are counted in all and in each third of the greatest depth.
        """
        thirds = np.array_split(np.arange(_FIRST_LAYER, len(self.decisions)), 3)
        groups = [*(third.tolist() for third in thirds), range(_FIRST_LAYER, len(self.decisions))]
        labels = [
            first + np.arange(len(decision.choices))
            for first, decision in zip(self._first_labels, self.decisions, strict=True)
        ]
        active = self.active(rows)
        # As numbers here; a mutation may still go to any of the few choices.
        numbers = [replace(decision, ordered=True) for decision in self.decisions]
        return decision_features(numbers, labels, rows, active=active, counted=groups)

    # -- size of the network ---------------------------------------------------------------

    def complexity_options(self, shape: tuple[int, ...]) -> Mapping[str, Any]:
        """The side and the channels of square images."""
        return square_image_options(shape)

    def complexity(self, architecture: Architecture, **options: Any) -> Complexity:
        """Parameters and FLOPs of the network.

        FLOPs are the multiply-accumulates of all matrix products: the embedding of patches, the
        linear layers, attention and its relative positions, and the classifier. Biases,
        normalisation, activations and sums are not counted.

        Args:
            architecture: The transformer.
            **options: Of `ViTShape`: ``resolution``, ``patch``, ``in_channels``, ``classes`` and
                ``relative_position``; raises ``TypeError`` for others.
        """
        params, flops = self.complexities(architecture.row[None], **options)[0].tolist()
        return Complexity(params, flops)

    def complexities(
        self, rows: npt.NDArray[np.integer[Any]], **options: Any
    ) -> npt.NDArray[np.int64]:
        """`complexity` of a batch, `(B, D)` to `(B, 2)`: parameters and FLOPs."""
        if unknown := options.keys() - set(self.complexity_settings):
            raise TypeError(f"unknown options of complexity: {sorted(unknown)}")
        return self._sizes(np.asarray(rows, dtype=np.int64), ViTShape(**options))

    def _sizes(self, rows: npt.NDArray[np.int64], shape: ViTShape) -> npt.NDArray[np.int64]:
        width = np.array(self.supernet.embed_dim, dtype=np.int64)[rows[:, :1]]
        ratios = np.array(self.supernet.mlp_ratio)[rows[:, _FIRST_LAYER::2]]
        hidden = (width * ratios).astype(np.int64)
        inner = HEAD_DIMENSION * np.array(self.supernet.num_heads)[rows[:, _FIRST_LAYER + 1 :: 2]]
        used = self.active(rows)[:, _FIRST_LAYER::2]
        tokens = shape.grid**2 + 1
        tables = 4 * (2 * shape.grid + 2) * HEAD_DIMENSION if shape.relative_position else 0
        weights = 4 * width * inner + 2 * width * hidden
        layer_params = weights + 3 * inner + hidden + 6 * width + tables
        products = 4 if shape.relative_position else 2
        layer_flops = tokens * weights + products * tokens**2 * inner
        pixels, width = shape.in_channels * shape.patch**2, width[:, 0]
        around = width * (pixels + 1 + 1 + tokens + 2 + shape.classes) + shape.classes
        params = around + np.where(used, layer_params, 0).sum(axis=1)
        flops = width * (shape.grid**2 * pixels + shape.classes)
        return np.stack([params, flops + np.where(used, layer_flops, 0).sum(axis=1)], axis=1)


def _numbers(text: str) -> dict[str, list[float]]:
    """The numbers of each of `_FIELDS`, in either notation."""
    stripped = text.strip()
    try:
        if len(stripped) > _MAX_LENGTH:
            raise ValueError(f"{len(stripped)} characters")
        if stripped.startswith("{"):
            data = json.loads(stripped)
            pairs: list[tuple[str, list[Any]]] = [
                (n, v if isinstance(v, list) else [v]) for n, v in data.items()
            ]
        else:
            parts = [part.partition("=") for part in stripped.split(";")]
            pairs = [(name.strip(), values.split(",")) for name, _, values in parts]
        if sorted(name for name, _ in pairs) != sorted(_FIELDS):
            raise ValueError(f"the fields are {[name for name, _ in pairs]}")
        return {name: [_number(v) for v in values] for name, values in pairs}
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidArchitectureError(
            "expected embed_dim=...;mlp_ratio=...,...;num_heads=...,... or a JSON object of "
            f"these, got {stripped[:200]!r} ({error})"
        ) from error


def _number(value: Any) -> float:
    """A finite number; whole ones as ``int``."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise TypeError(f"{value!r} is not a number")
    number = float(value)
    if not np.isfinite(number):
        raise ValueError(f"{value!r} is not finite")
    return int(number) if number.is_integer() else number
