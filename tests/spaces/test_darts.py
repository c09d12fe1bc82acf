"""The DARTS spaces: notation, canonical keys, graphs and closed-form sizes."""

from __future__ import annotations

import csv
import os
import pickle
import time
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nas_plugins as nap
from nas_plugins.errors import InvalidArchitectureError, UnknownNameError
from nas_plugins.spaces import Architecture, Graph, wl_keys
from nas_plugins.spaces.darts import DARTS, NODE_OPERATIONS, OPERATIONS, DARTSCell, GenotypeSpace
from nas_plugins.spaces.darts_cell import (
    PAIRS,
    cell_inputs,
    cell_keys,
    cell_operations,
    cell_row,
)

SPACES = (DARTS(), DARTS(with_none=True), DARTSCell(), DARTSCell(with_none=False))
TWO_CELLS, ONE_CELL = SPACES[0], SPACES[2]

DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), "
    "('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], "
    "reduce_concat=[2, 3, 4, 5])"
)


@st.composite
def architectures(draw: st.DrawFn) -> Architecture:
    space = draw(st.sampled_from(SPACES))
    indices = tuple(draw(st.integers(0, int(n) - 1)) for n in space.cardinalities)
    return Architecture(space, indices)


def genotype_text(normal: object, reduce: object, concat: str = "range(2, 6)") -> str:
    return (
        f"Genotype(normal={normal}, normal_concat={concat}, "
        f"reduce={reduce}, reduce_concat={concat})"
    )


# -- the spaces ----------------------------------------------------------------------------


def test_sizes_and_decisions() -> None:
    assert TWO_CELLS.size == (180 * 7**8) ** 2
    assert ONE_CELL.size == 180 * 8**8
    assert [d.name for d in TWO_CELLS.decisions[:5]] == [
        "normal/node_2/op_0",
        "normal/node_2/op_1",
        "normal/node_3/inputs",
        "normal/node_3/op_0",
        "normal/node_3/op_1",
    ]
    assert TWO_CELLS.decisions[2].choices == ("0_1", "0_2", "1_2")
    assert TWO_CELLS.decisions[11].name == "reduce/node_2/op_0"
    assert ONE_CELL.decisions[5].name == "node_4/inputs"
    assert TWO_CELLS.decisions[0].choices == OPERATIONS
    assert ONE_CELL.decisions[0].choices == ("none", *OPERATIONS)


def test_registered_names_and_options() -> None:
    assert nap.space("darts") == TWO_CELLS
    assert nap.space("darts-cell") == ONE_CELL
    assert len(set(SPACES)) == 4
    assert DARTS(with_none=True).to_json() == {"name": "darts", "options": {"with_none": True}}
    assert DARTSCell().to_json() == {"name": "darts-cell"}


# -- notation ------------------------------------------------------------------------------


@given(architectures())
def test_round_trips(architecture: Architecture) -> None:
    space = architecture.space
    assert space.parse(str(architecture)) == architecture
    assert Architecture.from_json(architecture.to_json()) == architecture
    assert space.from_graph(space.graph(architecture)) == architecture
    assert space.architecture(architecture.choices) == architecture
    assert pickle.loads(pickle.dumps(architecture)) == architecture


@given(architectures(), st.randoms(use_true_random=False))
def test_inputs_of_a_node_may_come_in_either_order(architecture, random) -> None:
    space = architecture.space
    assert isinstance(space, GenotypeSpace)
    genotype = space.genotype(architecture)
    swapped = []
    for cell in (genotype.normal, genotype.reduce):
        nodes = [list(cell[i : i + 2]) for i in range(0, 8, 2)]
        for node in nodes:
            random.shuffle(node)
        swapped.append([pair for node in nodes for pair in node])
    assert space.parse(genotype_text(*swapped)) == architecture


def test_writes_the_notation_of_the_darts_code() -> None:
    text = str(TWO_CELLS.parse(DARTS_V2))
    assert text.startswith("Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ")
    assert text.endswith("('max_pool_3x3', 1), ('skip_connect', 2)], reduce_concat=range(2, 6))")
    assert "normal_concat=range(2, 6), reduce=[" in text


def test_reads_spaces_newlines_and_qualified_names() -> None:
    spaced = "  genotypes." + DARTS_V2.replace(", ", ",\n   ") + "\n"
    assert TWO_CELLS.parse(spaced) == TWO_CELLS.parse(DARTS_V2)


def test_reads_naslibs_compact_form() -> None:
    cell = [(0, 4), (1, 3), (0, 2), (2, 3), (2, 3), (0, 3), (2, 6), (3, 5)]
    text = genotype_text(
        [(OPERATIONS[o], i) for i, o in cell], [(OPERATIONS[o], i) for i, o in cell]
    )
    for space in SPACES:
        assert space.parse(str([cell, cell])) == space.parse(text)
        assert space.parse(str((tuple(cell), tuple(cell)))) == space.parse(text)
        assert space.from_compact([cell, cell]) == space.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a DARTS genotype reads"),
        ("nonsense(", "a DARTS genotype reads"),
        ("__import__('os').getcwd()", "a DARTS genotype reads"),
        ("(" * 3000 + ")" * 3000, "a DARTS genotype reads"),
        ("Genotype" + " " * 20_000, "got 20008 characters"),
        ("Genotype(1, 2, 3, 4)", "a DARTS genotype reads"),
        ("Genotype(normal=[])", r"lacks \['normal_concat', 'reduce', 'reduce_concat'\]"),
        (DARTS_V2.replace("reduce=", "reduction="), "unknown field 'reduction'; did you mean"),
        (
            DARTS_V2.replace("'skip_connect', 0), ('dil", "'skip_conect', 0), ('dil"),
            "node 5 of `normal`: unknown operation 'skip_conect'; did you mean 'skip_connect'",
        ),
        (
            DARTS_V2.replace("('dil_conv_3x3', 2)", "('dil_conv_3x3', 5)"),
            r"node 5 of `normal` takes inputs 0\.\.4, got 5",
        ),
        (
            DARTS_V2.replace("('dil_conv_3x3', 2)", "('dil_conv_3x3', -1)"),
            r"node 5 of `normal` takes inputs 0\.\.4, got -1",
        ),
        (
            DARTS_V2.replace("('dil_conv_3x3', 2)", "('dil_conv_3x3', True)"),
            r"node 5 of `normal` takes inputs 0\.\.4, got True",
        ),
        (
            DARTS_V2.replace("('dil_conv_3x3', 2)", "('dil_conv_3x3', 0)"),
            "node 5 of `normal` must take two different inputs, got 0 twice",
        ),
        (
            DARTS_V2.replace("('sep_conv_3x3', 0), ", "", 1),
            "`normal` must hold 8 pairs, got 7 entries",
        ),
        (
            DARTS_V2.replace("('dil_conv_3x3', 2)", "'dil_conv_3x3'"),
            "`normal` must hold pairs of an operation and an input, got",
        ),
        (
            DARTS_V2.replace("('dil_conv_3x3', 2)", "print(1)"),
            "`normal` must be written out as lists, tuples, names and numbers",
        ),
        (
            DARTS_V2.replace("reduce_concat=[2, 3, 4, 5]", "reduce_concat=[3, 4, 5]"),
            r"`reduce_concat` must be range\(2, 6\) or \[2, 3, 4, 5\], got '\[3, 4, 5\]'",
        ),
        (
            DARTS_V2.replace("reduce_concat=[2, 3, 4, 5]", "reduce_concat=range(2, 7)"),
            r"`reduce_concat` must be range\(2, 6\)",
        ),
        (
            DARTS_V2.replace("('dil_conv_3x3', 2)", "('none', 2)"),
            "operation 'none', which this space leaves out",
        ),
        ("[]", "the compact form holds two cells"),
        ("[[(0, 7)] * 8, []]", "the compact form must be written out"),
        (
            str([[(0, 7), (1, 0)] * 4, []]),
            r"an operation index of `normal` lies in 0\.\.6, got 7",
        ),
    ],
)
def test_says_what_is_wrong_with_a_text(text: str, message: str) -> None:
    with pytest.raises(InvalidArchitectureError, match=message):
        TWO_CELLS.parse(text)


def test_one_cell_space_refuses_two_cells() -> None:
    with pytest.raises(InvalidArchitectureError, match="`reduce` must equal `normal`"):
        ONE_CELL.parse(DARTS_V2)


@given(st.text(max_size=60))
def test_any_text_parses_or_raises_its_error(text: str) -> None:
    with pytest.raises(InvalidArchitectureError):
        TWO_CELLS.parse(text)


# -- keys ----------------------------------------------------------------------------------


def renamed(pairs: tuple[tuple[str, int], ...], order: tuple[int, ...]) -> list | None:
    """The cell in which old node i is node ``2 + order[i]``; None if edges would point back."""
    name = [0, 1, *(2 + new for new in order)]
    nodes: dict[int, list[tuple[str, int]]] = {}
    for old in range(4):
        inputs = [(op, name[source]) for op, source in pairs[2 * old : 2 * old + 2]]
        if any(source >= 2 + order[old] for _, source in inputs):
            return None
        nodes[order[old]] = inputs
    return [pair for new in range(4) for pair in nodes[new]]


@given(architectures(), st.permutations(range(4)), st.permutations(range(4)))
def test_keys_ignore_the_names_of_the_nodes(architecture, first, second) -> None:
    space = architecture.space
    genotype = space.genotype(architecture)
    if isinstance(space, DARTSCell):
        second = first
    normal, reduce = renamed(genotype.normal, first), renamed(genotype.reduce, second)
    if normal is not None and reduce is not None:
        other = space.parse(genotype_text(normal, reduce))
        assert other.key == architecture.key
        assert space.canonical(other) == space.canonical(architecture)


@given(architectures())
def test_canonical_is_a_representative(architecture: Architecture) -> None:
    space = architecture.space
    canonical = space.canonical(architecture)
    assert canonical.key == architecture.key
    assert space.genotype_keys(canonical.row[None])[0] == architecture.key
    assert architecture.key <= space.genotype_keys(architecture.row[None])[0]
    assert isinstance(architecture.key, int)


def reference_key(row: np.ndarray) -> tuple:
    """Smallest sorted description over all renamings, by brute force on dictionaries."""
    inputs = cell_inputs(row[None])[0].tolist()
    pairs = tuple(zip(map(str, cell_operations(row[None])[0]), inputs, strict=True))
    forms = []
    for order in permutations(range(4)):
        cell = renamed(pairs, order)
        if cell is not None:
            nodes = [sorted(cell[i : i + 2], key=lambda p: p[1]) for i in range(0, 8, 2)]
            forms.append(tuple(map(tuple, nodes)))
    return min(forms)


def test_keys_separate_exactly_the_different_cells() -> None:
    rng = np.random.default_rng(0)
    # Few operations, so that many of the cells are the same up to the names of their nodes.
    rows = rng.integers(DARTSCell().cardinalities, size=(1500, 11))
    operation_columns = [0, 1, 3, 4, 6, 7, 9, 10]
    rows[:, operation_columns] = rng.random((1500, 8)) < 0.2
    keys, references = cell_keys(rows, 8).tolist(), [reference_key(row) for row in rows]
    assert len(set(keys)) == len(set(references)) == len(set(zip(keys, references, strict=True)))
    assert len(set(keys)) < len({tuple(row) for row in rows.tolist()})


def test_number_of_wirings_up_to_renaming() -> None:
    wirings = [cell_row(list(choice), [(0, 0)] * 4) for choice in product(*PAIRS)]
    rows = np.array(wirings)
    assert len(rows) == 180
    classes = {reference_key(row) for row in rows}
    assert len(np.unique(cell_keys(rows, 1))) == len(classes)


def test_genotype_keys_number_the_rows() -> None:
    rows = np.concatenate(
        [r for r, _ in zip(ONE_CELL.enumerate(batch=500), range(3), strict=False)]
    )
    assert ONE_CELL.genotype_keys(rows).tolist() == list(range(1500))
    last = np.array([SPACES[1].cardinalities - 1])
    assert SPACES[1].genotype_keys(last).tolist() == [SPACES[1].size - 1]


def test_equal_keys_have_isomorphic_graphs() -> None:
    rng = np.random.default_rng(1)
    rows = ONE_CELL.random(300, rng)
    canonical = ONE_CELL.rows([ONE_CELL.canonical(a) for a in ONE_CELL.architectures(rows)])
    assert (canonical != rows).any()
    assert np.array_equal(wl_keys(*ONE_CELL.graphs(rows)), wl_keys(*ONE_CELL.graphs(canonical)))


def test_ten_thousand_keys_are_quick(capsys: pytest.CaptureFixture[str]) -> None:
    rows = TWO_CELLS.random(10_000, np.random.default_rng(0))
    start = time.perf_counter()
    keys = TWO_CELLS.keys(rows)
    elapsed = time.perf_counter() - start
    with capsys.disabled():
        print(f"\n10,000 DARTS keys: {elapsed * 1e3:.1f} ms")
    assert keys.shape == (10_000,)
    assert keys.dtype == np.int64


# -- graphs --------------------------------------------------------------------------------


def test_graph_is_arch2vecs() -> None:
    cell = [
        ("sep_conv_3x3", 0), ("none", 1), ("max_pool_3x3", 0), ("skip_connect", 2),
        ("avg_pool_3x3", 1), ("dil_conv_3x3", 3), ("sep_conv_5x5", 2), ("dil_conv_5x5", 4),
    ]  # fmt: skip
    graph = ONE_CELL.graph(ONE_CELL.parse(genotype_text(cell, cell)))
    assert graph.labels == ("c_k-2", "c_k-1", *(op for op, _ in cell), "output")
    assert NODE_OPERATIONS[:4] == ("c_k-2", "c_k-1", "none", "max_pool_3x3")
    into_operations = {(0, 2), (1, 3), (0, 4), (2, 5), (3, 5), (1, 6), (4, 7), (5, 7)}
    into_operations |= {(2, 8), (3, 8), (6, 9), (7, 9)}
    assert set(graph.edges) == into_operations | {(node, 10) for node in range(2, 10)}


def test_graph_of_two_cells_is_block_diagonal() -> None:
    architecture = TWO_CELLS.parse(DARTS_V2)
    graph = TWO_CELLS.graph(architecture)
    one_cell = SPACES[3]
    for part, cell in ((slice(0, 11), "normal"), (slice(11, 22), "reduce")):
        pairs = getattr(TWO_CELLS.genotype(architecture), cell)
        single = one_cell.graph(one_cell.parse(genotype_text(list(pairs), list(pairs))))
        assert np.array_equal(graph.adjacency[part, part], single.adjacency)
        assert graph.labels[part] == single.labels
    assert not graph.adjacency[:11, 11:].any()


@given(architectures(), st.integers(0, 3))
def test_operations_of_a_block_may_stand_in_either_order(architecture, block) -> None:
    space = architecture.space
    graph = space.graph(architecture)
    order = np.arange(len(graph.operations))
    order[[2 + 2 * block, 3 + 2 * block]] = order[[3 + 2 * block, 2 + 2 * block]]
    swapped = Graph(
        graph.adjacency[np.ix_(order, order)], graph.operations[order], graph.vocabulary
    )
    assert space.from_graph(swapped) == architecture


@pytest.mark.parametrize("space", [TWO_CELLS, ONE_CELL])
def test_from_graph_refuses_every_flipped_edge(space: GenotypeSpace) -> None:
    graph = space.graph(space.sample(np.random.default_rng(2)))
    for i, j in zip(*np.triu_indices(len(graph.operations), k=1), strict=True):
        adjacency = graph.adjacency.copy()
        adjacency[i, j] ^= 1
        with pytest.raises(InvalidArchitectureError):
            space.from_graph(Graph(adjacency, graph.operations, graph.vocabulary))


@pytest.mark.parametrize("space", [TWO_CELLS, ONE_CELL])
def test_from_graph_refuses_wrong_labels(space: GenotypeSpace) -> None:
    graph = space.graph(space.sample(np.random.default_rng(3)))
    for node in range(len(graph.operations)):
        operations = graph.operations.copy()
        inner = 2 <= node % 11 < 10
        wrong = "output" if inner else "skip_connect"
        operations[node] = NODE_OPERATIONS.index(wrong)
        with pytest.raises(InvalidArchitectureError, match="must be"):
            space.from_graph(Graph(graph.adjacency, operations, graph.vocabulary))


def test_from_graph_refuses_none_where_it_is_no_choice() -> None:
    cell = [("none", 0), ("none", 1)] * 4
    graph = ONE_CELL.graph(ONE_CELL.parse(genotype_text(cell, cell)))
    with pytest.raises(InvalidArchitectureError, match=r"node 2 must be one of .* got 'none'"):
        SPACES[3].from_graph(graph)


@pytest.mark.parametrize("space", [TWO_CELLS, ONE_CELL])
def test_from_graph_refuses_another_size(space: GenotypeSpace) -> None:
    empty = Graph(np.zeros((5, 5)), np.zeros(5), NODE_OPERATIONS)
    with pytest.raises(InvalidArchitectureError, match="nodes, got 5"):
        space.from_graph(empty)


# -- sizes ---------------------------------------------------------------------------------


def test_published_sizes_of_darts_v2() -> None:
    architecture = TWO_CELLS.parse(DARTS_V2)
    cifar = TWO_CELLS.complexity(architecture)
    imagenet = TWO_CELLS.complexity(architecture, stem="imagenet")
    assert cifar.params == 3_349_342
    assert imagenet.params == 4_718_752
    assert imagenet.flops == 529_911_552


def test_share_of_random_cells_below_600_million() -> None:
    rows = ONE_CELL.random(50_000, np.random.default_rng(0))
    flops = ONE_CELL.complexities(rows, stem="imagenet")[:, 1]
    assert flops.mean() == pytest.approx(449e6, rel=0.005)
    assert (flops < 600e6).mean() == pytest.approx(0.979, abs=0.003)


def test_batch_sizes_equal_single_ones() -> None:
    rows = TWO_CELLS.random(5, np.random.default_rng(0))
    options = {"channels": 16, "layers": 8, "classes": 100, "resolution": 33}
    single = [TWO_CELLS.complexity(a, **options) for a in TWO_CELLS.architectures(rows)]
    assert TWO_CELLS.complexities(rows, **options).tolist() == [
        [c.params, c.flops] for c in single
    ]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"channels": 0}, ValueError, "`channels` must be >= 1, got 0"),
        ({"channels": 7}, ValueError, "`channels` must be even, got 7"),
        ({"layers": -1}, ValueError, "`layers` must be >= 1, got -1"),
        ({"stem": "imagnet"}, UnknownNameError, "did you mean 'imagenet'"),
        ({"width": 3}, TypeError, "unknown options of complexity: \\['width'\\]"),
    ],
)
def test_refuses_wrong_settings(options, error, message) -> None:
    with pytest.raises(error, match=message):
        TWO_CELLS.complexity(TWO_CELLS.parse(DARTS_V2), **options)


def test_compact_form_means_what_naslib_counted() -> None:
    """Closed-form sizes explain those published with the compact strings to the last weight."""
    table = Path(os.environ.get("NAS_PLUGINS_DATA", "")) / "nbsuitezero_nb301_500.csv"
    if not os.environ.get("NAS_PLUGINS_DATA") or not table.is_file():
        pytest.skip("NAS_PLUGINS_DATA does not name a folder with nbsuitezero_nb301_500.csv")
    with table.open() as file:
        records = list(csv.DictReader(file))
    rows = TWO_CELLS.rows([TWO_CELLS.parse(record["arch"]) for record in records])
    params = np.array([float(record["params"]) for record in records]) * 1e6
    ours = TWO_CELLS.complexities(rows, channels=32, layers=8)[:, 0]
    normal, reduce = TWO_CELLS.cells(rows)
    convolutions = [OPERATIONS.index(o) for o in OPERATIONS if "conv" in o]
    # NASLib's operations have no affine normalisation: two parameters per channel and norm.
    norms = np.array([0, 0, 0, 2, 2, 1, 1])
    strided = cell_inputs(reduce) < 2
    channels_per_cell = (2 * 32 + 2 * 64 + 2 * 128, 64 + 128)
    assert set(convolutions) == set(np.flatnonzero(norms))
    affine = 2 * channels_per_cell[0] * norms[cell_operations(normal)].sum(axis=1)
    skips = (cell_operations(reduce) == OPERATIONS.index("skip_connect")) & strided
    affine += 2 * channels_per_cell[1] * (norms[cell_operations(reduce)] + skips).sum(axis=1)
    assert np.ptp(ours - affine - params) < 1
