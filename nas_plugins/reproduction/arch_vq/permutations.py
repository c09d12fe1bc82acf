"""Table 6: what the order of the nodes does to encoding, to the prior and to generation.

A graph has many topological orders; a sequence model sees one. Inputs are put into a random
order that keeps every edge pointing forward, the first and the last node, and the padding in
place: of the nodes whose predecessors are placed, the one with the highest random number is next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins._torch import torch
from nas_plugins.errors import unknown_name
from nas_plugins.reproduction.arch_vq.budget import ArchVQRequest, vq_recipe
from nas_plugins.reproduction.arch_vq.models import trained
from nas_plugins.reproduction.arch_vq.sampling import COLUMNS, SHOWN, TrainedVQ
from nas_plugins.reproduction.arch_vq.tables import settings, trained_as, trained_vq
from nas_plugins.reproduction.documents import Cell, Reproduction, ResultTable, Spread
from nas_plugins.spaces.base import Rows, SearchSpace
from nas_plugins.spaces.graph import ABSENT
from nas_plugins.spaces.nasbench101 import NASBench101
from nas_plugins.spaces.nasbench201 import NASBench201
from nas_plugins.strategies.arch_vq.data import GraphSet
from nas_plugins.strategies.arch_vq.metrics import (
    Generation,
    Graphs,
    lenient,
    raw_keys,
    reconstruction,
    strict_rows,
)
from nas_plugins.strategies.arch_vq.model import ArchVQModel

SPACES = ("nasbench201", "nasbench101")
_INPUT_SEED, _TRAIN_SEED = 1, 2
_GIVEN, _RANDOM = "given", "random"

Orders = npt.NDArray[np.intp]


def random_orders(graphs: Graphs, n_operations: int, seed: int) -> Orders:
    """A random topological order of each graph, decided by the graph and the seed.

    Args:
        graphs: With the nodes in some topological order already.
        n_operations: Labels, padding not included.
        seed: Seed.

    Returns:
        `(B, N)`: the old number of the node at each new place.
    """
    n_graphs, n_nodes = graphs.labels.shape
    factors = np.random.default_rng(seed).integers(2**63, size=n_nodes, dtype=np.uint64) * 2 + 1
    keys = raw_keys(graphs)
    with np.errstate(over="ignore"):
        priority = (keys[:, None] * factors >> np.uint64(33)).astype(np.int64)
    before = graphs.adjacency.astype(bool)
    fixed = graphs.labels == n_operations
    fixed[:, -1] = True
    upper = np.triu(np.ones((n_nodes, n_nodes), dtype=bool), 1)
    before |= upper & fixed[:, None, :]
    before[:, 0] |= upper[0]
    waiting = np.ones((n_graphs, n_nodes), dtype=bool)
    orders = np.zeros((n_graphs, n_nodes), dtype=np.intp)
    everyone = np.arange(n_graphs)
    for place in range(n_nodes):
        free = waiting & ~(before & waiting[:, :, None]).any(axis=1)
        chosen = np.where(free, priority, -1).argmax(axis=1)
        orders[:, place] = chosen
        waiting[everyone, chosen] = False
    return orders


def reordered(graphs: Graphs, orders: Orders) -> Graphs:
    """The graphs with their nodes in other orders."""
    batch = np.arange(len(graphs))[:, None, None]
    adjacency = graphs.adjacency[batch, orders[:, :, None], orders[:, None, :]]
    return Graphs(adjacency, np.take_along_axis(graphs.labels, orders, axis=1))


class ReorderedNASBench201(NASBench201):
    """NAS-Bench-201 whose every graph comes in one random topological order."""

    def graphs(
        self, rows: npt.NDArray[np.integer[Any]]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int16]]:
        """Line graphs `(B, 8, 8)` and `(B, 8)` in random orders."""
        return _in_random_order(*super().graphs(rows), len(self.node_operations))


class ReorderedNASBench101(NASBench101):
    """NAS-Bench-101 whose every graph comes in one random topological order."""

    def graphs(
        self, rows: npt.NDArray[np.integer[Any]]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int16]]:
        """Graphs `(B, 7, 7)` and `(B, 7)` in random orders."""
        return _in_random_order(*super().graphs(rows), len(self.node_operations))


def _in_random_order(
    adjacency: npt.NDArray[np.uint8], operations: npt.NDArray[np.int16], n_operations: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int16]]:
    labels = np.where(operations == ABSENT, n_operations, operations)
    graphs = Graphs(adjacency, labels)
    mixed = reordered(graphs, random_orders(graphs, n_operations, _TRAIN_SEED))
    back = np.where(mixed.labels == n_operations, ABSENT, mixed.labels).astype(np.int16)
    return mixed.adjacency, back


def table6(request: ArchVQRequest) -> Reproduction:
    """Encoding, likelihood and generation, with nodes in the given and in random orders."""
    space_name = request.space or SPACES[0]
    if space_name not in SPACES:
        raise unknown_name("space of table 6", space_name, SPACES)
    encoding: list[tuple[Cell, ...]] = []
    generation: list[tuple[Cell, ...]] = []
    remarks: list[str] = []
    for preset in ("paper", "default"):
        given = trained_vq(request, space_name, preset, alike=True)
        mixed = _trained_on_random(request, space_name, preset)
        remarks += trained_as({preset: given}, ())
        for order, models in ((_GIVEN, given), (_RANDOM, mixed)):
            name = f"`{preset}` preset"
            encoding += [(name, order, *_encoded(models, given[0], o)) for o in (_GIVEN, _RANDOM)]
            generation.append((name, order, *_generated(request, models)))
    return Reproduction(
        "arch-vq-table6",
        f"Table 6: the order of the nodes on {space_name}",
        (
            ResultTable("Encoding", _ENCODING, tuple(encoding), _ENCODING_NOTES),
            ResultTable("Generation", _GENERATION, tuple(generation), _GENERATION_NOTES),
        ),
        remarks=tuple(remarks),
        settings=settings(request, space_name),
    )


_ENCODING = (
    "model",
    "trained on order",
    "input order",
    "operations",
    "edges",
    "exact",
    "codes kept",
    "nats per code",
)
_ENCODING_NOTES = (
    "Held-out architectures of seed 0, percent but for the last column. *Codes kept*: nodes that "
    "have the code they have in the given order. *Nats per code*: negative log-likelihood of the "
    "codes under the model's prior.",
    "The paper's own cells are not known. That its Table 6 is about permutations, and Table 7 "
    "about ablations, is our reading.",
)
_GENERATION = (
    "model",
    "trained on order",
    *(f"lenient {name}" for name in COLUMNS),
    *(f"any order {name}" for name in COLUMNS),
)
_GENERATION_NOTES = (
    "Drawn as the paper draws, T 1. *Any order* is strict up to the order of the nodes: the graph "
    "is isomorphic to that of an architecture.",
)


def _trained_on_random(request: ArchVQRequest, space_name: str, preset: str) -> list[TrainedVQ]:
    space: SearchSpace = ReorderedNASBench201()
    if space_name == "nasbench101":
        padding = "end" if preset == "paper" else "output_last"
        space = ReorderedNASBench101(padding=padding)
    recipe = vq_recipe(space_name, preset, request.budget)
    name = f"{space_name}-{preset}-reordered"
    return [
        TrainedVQ.of(trained(request, space, recipe, seed, name), f"{name} {seed}")
        for seed in range(request.n_models)
    ]


def _encoded(models: Sequence[TrainedVQ], shown: TrainedVQ, order: str) -> tuple[Cell, ...]:
    found = [_encode(known.model, shown, order) for known in models]
    return (order, *(Spread.of(column) for column in zip(*found, strict=True)))


def _encode(model: ArchVQModel, shown: TrainedVQ, order: str) -> tuple[float, ...]:
    original = shown.held_out
    n_operations = len(shown.space.node_operations)
    orders = np.broadcast_to(np.arange(original.labels.shape[1]), original.labels.shape)
    given = _codes(model, original)
    if order == _RANDOM:
        orders = random_orders(original, n_operations, _INPUT_SEED)
    moved = reordered(original, orders)
    codes = _codes(model, moved)
    decoded = model.decode(codes)
    back = Graphs.from_columns(decoded.labels, decoded.columns)
    result = reconstruction(moved, back, n_operations)
    kept = (codes == np.take_along_axis(given, orders, axis=1)).mean() * 100
    nats = -model.log_probability(codes).mean() / codes.shape[1]
    return (result.operations, result.edges, result.exact, float(kept), float(nats))


@torch.no_grad()
def _codes(model: ArchVQModel, graphs: Graphs) -> npt.NDArray[np.int64]:
    tensors = GraphSet(
        torch.from_numpy(graphs.adjacency), torch.from_numpy(graphs.labels.astype(np.int64))
    )
    codes: npt.NDArray[np.int64] = model.vqvae.codes(tensors.adjacency, tensors.operations).numpy()
    return codes


def _generated(request: ArchVQRequest, models: Sequence[TrainedVQ]) -> tuple[Cell, ...]:
    leniently, freely = [], []
    for seed in range(request.seeds):
        known = models[seed % len(models)]
        request.note(f"sampling {known.name}, seed {seed}")
        drawn = known.model.draw(request.samples, seed=seed)
        graphs = Graphs.from_columns(drawn.labels, drawn.columns)
        leniently.append(lenient(known.space, graphs, known.train_keys))
        freely.append(_in_any_order(known, graphs))
    return tuple(
        Spread.of(getattr(one, share) for one in found)
        for found in (leniently, freely)
        for share in SHOWN
    )


def _in_any_order(known: TrainedVQ, graphs: Graphs) -> Generation:
    """Strict but for the order of the nodes."""
    if isinstance(known.space, NASBench101):
        rows, _ = strict_rows(known.space, graphs)
        return Generation.count(len(graphs), known.space.keys(rows), known.train_keys.canonical)
    every: Rows = np.concatenate(list(known.space.enumerate()))
    keys = raw_keys(graphs)
    keys = keys[np.isin(keys, raw_keys(Graphs.of(known.space, every)))]
    return Generation.count(len(graphs), keys, known.train_keys.raw)
