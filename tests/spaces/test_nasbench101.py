"""The NAS-Bench-101 space: pruning, keys, enumeration, notation, graph, size."""

from __future__ import annotations

import json
import os
import pickle
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import nas_plugins as nap
from nas_plugins.errors import InvalidArchitectureError, SpaceExhaustedError
from nas_plugins.spaces.graph import ABSENT, Graph, wl_keys, wl_md5
from nas_plugins.spaces.nasbench101 import OPERATIONS, NASBench101, vertex_channels

SPACE = NASBench101()
CONV3, CONV1, POOL = OPERATIONS
EXAMPLE = {
    # The cell of the benchmark's README.
    "matrix": [
        [0, 1, 1, 1, 0, 1, 0],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 0],
    ],
    "ops": ["input", CONV1, CONV3, CONV3, CONV3, POOL, "output"],
}
DIRECT = '{"matrix": [[0, 1], [0, 0]], "ops": ["input", "output"]}'


def spec(matrix=((0, 1, 0), (0, 0, 1), (0, 0, 0)), ops=("input", CONV3, "output")):
    return json.dumps({"matrix": matrix, "ops": ops})


def table():
    path = Path(os.environ.get("NAS_PLUGINS_DATA", "")) / "nb101_full.npz"
    if not path.is_file():
        pytest.skip("NAS_PLUGINS_DATA has no nb101_full.npz")
    with np.load(path) as data:
        names = ("hash_md5", "num_vertices", "adj_bits", "ops", "trainable_parameters")
        return {name: data[name] for name in names}


def table_text(data, i):
    v, bits = int(data["num_vertices"][i]), int(data["adj_bits"][i])
    matrix = np.zeros((v, v), dtype=int)
    for y in range(v):
        for x in range(y):
            matrix[x, y] = bits >> (x + y * (y - 1) // 2) & 1
    inner = [OPERATIONS[o] for o in data["ops"][i, : v - 2]]
    return json.dumps({"matrix": matrix.tolist(), "ops": ["input", *inner, "output"]})


def table_codes(data):
    """Codes of the matrices in the table as they stand, without looking for the least."""
    v = data["num_vertices"].astype(np.int64)
    labels = np.zeros(len(v), dtype=np.int64)
    for position in range(5):
        used = position < v - 2
        labels[used] = labels[used] * 3 + data["ops"][used, position]
    return v * 2**32 + data["adj_bits"].astype(np.int64) * 3 ** (v - 2) + labels


seeds = st.integers(0, 2**32 - 1)


@st.composite
def architectures(draw):
    """Random choices, or a random one of the 423,624 cells: those have few dead vertices."""
    rng = np.random.default_rng(draw(seeds))
    rows = SPACE.random_cells(1, rng) if draw(st.booleans()) else SPACE.random(1, rng)
    return SPACE.architectures(rows)[0]


raw_rows = st.tuples(
    st.lists(st.integers(0, 1), min_size=21, max_size=21),
    st.lists(st.integers(0, 2), min_size=5, max_size=5),
).map(lambda parts: np.array([*parts[0], *parts[1]], dtype=np.int16))


def slow_prune(row):
    """Pruning by walking every path, one row at a time."""
    matrix = np.zeros((7, 7), dtype=int)
    matrix[np.triu_indices(7, 1)] = row[:21]
    kept, edges = set(), set()

    def walk(path):
        if path[-1] == 6:
            kept.update(path)
            edges.update(pairwise(path))
        for target in np.flatnonzero(matrix[path[-1]]).tolist():
            walk([*path, target])

    walk([0])
    return sorted(kept), edges


@given(raw_rows)
def test_validity_agrees_with_walking_every_path(row):
    kept, edges = slow_prune(row)
    expected = bool(kept) and len(edges) <= 9
    assert SPACE.valid(row[None]).tolist() == [expected]
    assert (SPACE.violation(row.tolist()) is None) == expected
    if expected:
        matrix, operations = SPACE.cell(nap.Architecture(SPACE, tuple(row)))
        found = {(kept[i], kept[j]) for i, j in np.argwhere(matrix).tolist()}
        assert found == edges
        assert operations[1:-1] == tuple(OPERATIONS[row[20 + v]] for v in kept[1:-1])


def test_violation_says_why():
    full = [1] * 21 + [0] * 5
    assert SPACE.violation(full) == "a cell has at most 9 edges after pruning, got 21"
    assert SPACE.violation([0] * 26) == "no path leads from the input to the output"
    assert "in 0..1, got 2" in SPACE.violation([2] + [0] * 25)


def test_decisions_are_the_benchmarks_first_encoding():
    names = [d.name for d in SPACE.decisions]
    assert names == [f"edge_{i}" for i in range(21)] + [f"op_node_{i}" for i in range(5)]
    assert SPACE.decisions[0].choices == (0, 1)
    assert SPACE.decisions[-1].choices == ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
    assert nap.space("nasbench101") == SPACE
    assert SPACE.size == 423_624


@given(architectures())
def test_text_round_trip_keeps_the_cell(architecture):
    text = str(architecture)
    again = SPACE.parse(text)
    assert again.key == architecture.key
    assert str(again) == text
    assert "\n" not in text


@given(architectures())
def test_json_and_pickle_round_trips(architecture):
    again = nap.Architecture.from_json(json.loads(json.dumps(architecture.to_json())))
    assert again.space == SPACE
    assert again.key == architecture.key
    assert pickle.loads(pickle.dumps(architecture)) == architecture


@given(architectures(), seeds)
def test_key_ignores_labels_of_inner_vertices_and_dead_parts(architecture, seed):
    rng = np.random.default_rng(seed)
    matrix, operations = SPACE.cell(architecture)
    v = len(matrix)
    order, left = [0], set(range(1, v - 1))
    while left:  # a random topological order
        ready = sorted(u for u in left if not any(matrix[w, u] for w in left))
        order.append(int(rng.choice(ready)))
        left.remove(order[-1])
    order.append(v - 1)
    relabelled = {
        "matrix": matrix[np.ix_(order, order)].tolist(),
        "ops": [operations[i] for i in order],
    }
    assert SPACE.parse(json.dumps(relabelled)).key == architecture.key
    if v < 7:  # a vertex that the input feeds, and that feeds nothing
        for row in relabelled["matrix"]:
            row.insert(1, 0)
        relabelled["matrix"].insert(1, [0] * (v + 1))
        relabelled["matrix"][0][1] = 1
        relabelled["ops"].insert(1, POOL)
        dead = SPACE.parse(json.dumps(relabelled))
        assert dead.key == architecture.key
        assert len(SPACE.cell(dead)[1]) == v


@given(architectures())
def test_canonical_is_one_architecture_per_key(architecture):
    canonical = SPACE.canonical(architecture)
    assert canonical.key == architecture.key
    assert SPACE.canonical(canonical) == canonical
    assert SPACE.parse(str(canonical)) == canonical


def test_keys_and_colour_refinement_draw_the_same_classes():
    rows = SPACE.random(20_000, np.random.default_rng(0))
    pairs = np.stack([SPACE.keys(rows), wl_keys(*SPACE.graphs(rows)).astype(np.int64)])
    counts = [len(np.unique(pairs[0])), len(np.unique(pairs[1])), len(np.unique(pairs, axis=1).T)]
    assert counts[0] == counts[1] == counts[2]


def test_keys_of_a_batch_are_those_of_its_rows():
    rows = SPACE.random(500, np.random.default_rng(1))
    assert [a.key for a in SPACE.architectures(rows)] == SPACE.keys(rows).tolist()
    assert SPACE.keys(rows[:0]).shape == (0,)


def test_enumeration_has_exactly_the_benchmarks_cells():
    batches = list(SPACE.enumerate(batch=100_000))
    assert [len(b) for b in batches] == [100_000] * 4 + [23_624]
    rows = np.concatenate(batches)
    assert np.array_equal(rows, SPACE.enumerate_cells())
    assert SPACE.valid(rows).all()
    keys = SPACE.keys(rows)
    assert (np.diff(keys) > 0).all()
    sizes = np.bincount(keys >> 32).tolist()
    assert sizes == [0, 0, 1, 6, 84, 2441, 62_010, 359_082]


@pytest.mark.slow
def test_enumerated_cells_differ_by_colour_refinement_too():
    keys = np.concatenate([wl_keys(*SPACE.graphs(rows)) for rows in SPACE.enumerate()])
    assert len(np.unique(keys)) == 423_624


def test_random_cells_are_uniform_over_cells():
    rows = SPACE.random_cells(20_000, np.random.default_rng(2))
    again = SPACE.random_cells(20_000, np.random.default_rng(2))
    assert np.array_equal(rows, again)
    assert np.mean(SPACE.keys(rows) >> 32 == 7) == pytest.approx(359_082 / 423_624, abs=0.01)


def test_random_is_uniform_over_valid_choices():
    rows = SPACE.random(5_000, np.random.default_rng(3))
    assert rows.shape == (5_000, 26)
    assert rows.dtype == np.int16
    assert SPACE.valid(rows).all()
    # Most choices are dense, so that 9 edges are only kept where pruning leaves little.
    assert np.mean(SPACE.keys(rows) >> 32 == 7) == pytest.approx(0.003, abs=0.003)


@given(architectures())
def test_neighbours_are_different_cells_one_decision_away(architecture):
    neighbours = SPACE.neighbours(architecture)
    keys = [n.key for n in neighbours]
    assert architecture.key not in keys
    assert len(set(keys)) == len(keys)
    assert neighbours
    for neighbour in neighbours:
        assert np.count_nonzero(neighbour.row != architecture.row) == 1


def test_the_smallest_cell_can_grow():
    direct = SPACE.parse(DIRECT)
    (only,) = SPACE.neighbours(direct)
    assert SPACE.cell(only)[1] == ("input", CONV3, "output")
    assert SPACE.mutate(direct, np.random.default_rng(0)).key == only.key


@given(architectures(), seeds, st.integers(1, 4))
def test_mutation_changes_the_cell(architecture, seed, n_changes):
    child = SPACE.mutate(architecture, np.random.default_rng(seed), n_changes=n_changes)
    assert child.key != architecture.key
    assert np.count_nonzero(child.row != architecture.row) == n_changes
    again = SPACE.mutate(architecture, np.random.default_rng(seed), n_changes=n_changes)
    assert again == child


def test_mutation_without_a_way_out_is_an_error():
    row = np.zeros(26, dtype=np.int16)
    row[5] = 1  # input to output, every other vertex isolated
    alone = nap.Architecture(SPACE, tuple(row))
    assert SPACE.neighbours(alone) == []
    with pytest.raises(SpaceExhaustedError, match="differs from it in 1 decisions"):
        SPACE.mutate(alone, np.random.default_rng(0))
    with pytest.raises(ValueError, match="`n_changes` must be in"):
        SPACE.mutate(alone, np.random.default_rng(0), n_changes=0)


@given(architectures(), architectures(), seeds)
def test_crossover_takes_every_decision_from_a_parent(first, second, seed):
    child = SPACE.crossover(first, second, np.random.default_rng(seed))
    assert ((child.row == first.row) | (child.row == second.row)).all()
    assert SPACE.valid(child.row[None]).all()


def test_completion_keeps_what_is_given():
    fixed = {"edge_5": 0, "op_node_2": POOL, "learning_rate": 0.1}
    choices = SPACE.complete(fixed, np.random.default_rng(0)).choices
    assert choices["edge_5"] == 0
    assert choices["op_node_2"] == POOL
    with pytest.raises(InvalidArchitectureError, match="no valid architecture"):
        SPACE.complete({f"edge_{i}": 0 for i in range(6)}, np.random.default_rng(0))


@given(architectures(), st.sampled_from(["output_last", "end"]))
def test_graph_round_trip(architecture, padding):
    space = NASBench101(padding=padding)
    architecture = space.architectures(architecture.row[None])[0]
    graph = space.graph(architecture)
    matrix, operations = space.cell(architecture)
    v = len(operations)
    kept = [*range(v - 1), 6 if padding == "output_last" else v - 1]
    assert tuple(graph.labels[i] for i in kept) == operations
    assert np.count_nonzero(graph.operations == ABSENT) == 7 - v
    assert np.array_equal(graph.adjacency[np.ix_(kept, kept)], matrix)
    again = space.from_graph(Graph.from_json(graph.to_json()))
    assert again.key == architecture.key
    assert space.graph(again) == graph


def test_graph_uses_arch2vecs_labels():
    assert SPACE.node_operations == (
        "input",
        "conv1x1-bn-relu",
        "conv3x3-bn-relu",
        "maxpool3x3",
        "output",
    )
    adjacency, operations = SPACE.graphs(SPACE.parse(json.dumps(EXAMPLE)).row[None])
    assert operations.tolist() == [[0, 1, 2, 2, 2, 3, 4]]
    assert adjacency[0].tolist() == EXAMPLE["matrix"]
    small = SPACE.parse(spec(ops=("input", POOL, "output")))
    assert SPACE.graphs(small.row[None])[1].tolist() == [[0, 3, -1, -1, -1, -1, 4]]
    end = NASBench101(padding="end")
    assert end.graphs(small.row[None])[1].tolist() == [[0, 3, 4, -1, -1, -1, -1]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, o: (a[:6, :6], o[:6]), "must have 7 nodes, got 6"),
        (lambda a, o: (a, [0, 2, 0, ABSENT, ABSENT, ABSENT, 4]), "vertex 2 of `ops`.*'input'"),
        (lambda a, o: (a, [0, ABSENT, 2, 2, ABSENT, ABSENT, 4]), "padding out of place"),
        (lambda a, o: (a, [0, 2, ABSENT, ABSENT, ABSENT, ABSENT, 4]), "on no path"),
        (lambda a, o: (a, [1, 2, 2, ABSENT, ABSENT, ABSENT, 4]), "begin with 'input'"),
        (lambda a, o: (a * 0, o), "no path leads"),
        (lambda a, o: (a + np.outer(np.arange(7) == 3, np.arange(7) == 5), o), "on no path"),
        (lambda a, o: (a + np.eye(7, k=1, dtype=np.uint8), o), "must hold 0 and 1, got 2"),
        (lambda a, o: (a, [ABSENT] * 7), "padding out of place"),
    ],
)
def test_graph_reading_is_strict(change, message):
    text = (
        '{"matrix": [[0,1,1,0],[0,0,0,1],[0,0,0,1],[0,0,0,0]], '
        '"ops": ["input","conv3x3-bn-relu","conv3x3-bn-relu","output"]}'
    )
    graph = SPACE.graph(SPACE.parse(text))
    adjacency, operations = change(np.array(graph.adjacency), graph.operations)
    with pytest.raises(InvalidArchitectureError, match=message):
        SPACE.from_graph(Graph(adjacency, np.array(operations), graph.vocabulary))


def test_padding_is_an_option_of_the_space():
    end = NASBench101(padding="end")
    assert end != SPACE
    assert end.to_json() == {"name": "nasbench101", "options": {"padding": "end"}}
    assert nap.Architecture.from_json(end.parse(DIRECT).to_json()).space == end
    with pytest.raises(ValueError, match=r"`padding` must be one of .* got 'start'"):
        NASBench101(padding="start")


def test_notation_is_the_benchmarks():
    architecture = SPACE.parse(json.dumps(EXAMPLE))
    assert json.loads(str(architecture)) == EXAMPLE
    assert str(SPACE.parse(DIRECT)) == DIRECT


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("conv", "expected a JSON object with 'matrix' and 'ops'"),
        ("[]", "expected a JSON object"),
        ('{"matrix": []}', "expected a JSON object"),
        (spec(ops=("input", "conv3x3", "output")), "did you mean 'conv3x3-bn-relu'"),
        (spec(ops=("input", 3, "output")), "vertex 1 of `ops`: unknown operation '3'"),
        (spec(ops=(CONV3, CONV3, "output")), "begin with 'input'"),
        (spec(ops=("input", CONV3, CONV3)), "end with 'output'"),
        (spec(ops="input"), "`ops` must be a list of 2 to 7"),
        (spec(ops=("input",)), "`ops` must be a list of 2 to 7"),
        (spec(ops=("input", *[CONV3] * 6, "output")), "`ops` must be a list of 2 to 7"),
        (spec(matrix=((0, 1), (0, 0))), "`matrix` must be 3 lists of 3 numbers"),
        (spec(matrix=((0, 1, 0), (0, 0), (0, 0, 0))), "`matrix` must be 3 lists of 3 numbers"),
        (spec(matrix=(0, 1, 0)), "`matrix` must be 3 lists"),
        (spec(matrix=7), "`matrix` must be 3 lists"),
        (spec(matrix=((0, 2, 0), (0, 0, 1), (0, 0, 0))), "got 2 in row 0, column 1"),
        (spec(matrix=((0, True, 0), (0, 0, 1), (0, 0, 0))), "got True in row 0, column 1"),
        (spec(matrix=((0, [1], 0), (0, 0, 1), (0, 0, 0))), r"got \[1\] in row 0, column 1"),
        (spec(matrix=((0, 1, 0), (1, 0, 1), (0, 0, 0))), "upper triangular, got 1 in row 1"),
        (spec(matrix=((0, 1, 0), (0, 0, 0), (0, 0, 0))), "no path leads from the input"),
        (
            spec(np.triu(np.ones((7, 7), int), 1).tolist(), ("input", *[CONV3] * 5, "output")),
            "at most 9 edges after pruning, got 21",
        ),
    ],
)
def test_parse_errors_say_what_is_wrong(text, message):
    with pytest.raises(InvalidArchitectureError, match=message):
        SPACE.parse(text)


@pytest.mark.parametrize(
    ("outputs", "expected"), [(128, (128, 43, 43, 43, 42, 128)), (64, (128, 22, 22, 21, 21, 64))]
)
def test_channels_are_shared_among_what_feeds_the_output(outputs, expected):
    # 1 feeds 2; 2, 3 and 4 feed the output.
    matrix = np.zeros((6, 6), dtype=np.uint8)
    for edge in [(0, 1), (0, 3), (0, 4), (1, 2), (2, 5), (3, 5), (4, 5)]:
        matrix[edge] = 1
    assert vertex_channels(matrix, 128, outputs) == expected


def test_channels_cannot_be_shared_among_more_vertices_than_there_are():
    with pytest.raises(ValueError, match="a channel for each of the 4 vertices"):
        SPACE.complexity(SPACE.parse(json.dumps(EXAMPLE)), stem_channels=3)
    with pytest.raises(TypeError, match="unknown options of complexity: \\['width'\\]"):
        SPACE.complexity(SPACE.parse(DIRECT), width=3)


def test_complexity_depends_on_the_cell_only():
    rows = SPACE.random(50, np.random.default_rng(4))
    for architecture in SPACE.architectures(rows):
        canonical = SPACE.canonical(architecture)
        assert SPACE.complexity(architecture) == SPACE.complexity(canonical)


def test_table_holds_the_enumerated_cells_in_canonical_form():
    assert np.array_equal(np.sort(table_codes(table())), SPACE.keys(SPACE.enumerate_cells()))


def test_table_parameters_and_hashes():
    data = table()
    rng = np.random.default_rng(5)
    small = np.flatnonzero(data["num_vertices"] < 5)
    chosen = np.concatenate([small, rng.choice(len(data["ops"]), size=500, replace=False)])
    for i in chosen.tolist():
        architecture = SPACE.parse(table_text(data, i))
        assert SPACE.canonical(architecture) == architecture
        assert SPACE.complexity(architecture).params == data["trainable_parameters"][i]
    for i in chosen[-100:].tolist():
        matrix, operations = SPACE.cell(SPACE.parse(table_text(data, i)))
        labels = [-1, *(OPERATIONS.index(name) for name in operations[1:-1]), -2]
        assert wl_md5(matrix, labels) == bytes(data["hash_md5"][i]).hex()


@given(raw_rows)
def test_construction_accepts_exactly_the_valid(row):
    assume(not SPACE.valid(row[None])[0])
    with pytest.raises(InvalidArchitectureError, match="not an architecture of 'nasbench101'"):
        nap.Architecture(SPACE, tuple(row))
