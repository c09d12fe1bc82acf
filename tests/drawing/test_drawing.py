"""Every architecture can be drawn, legibly and always the same."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_helpers import HOSTILE, Page

import nas_plugins as nap
from nas_plugins import registry
from nas_plugins.drawing import distinct, draw, short
from nas_plugins.drawing.architectures import MAX_NODES
from nas_plugins.drawing.layout import components, layered
from nas_plugins.testing.spaces import EXAMPLE_OPTIONS

NAMES = registry.names("space")
SVG = "{http://www.w3.org/2000/svg}"


def texts(picture: str) -> list[str]:
    return [node.text or "" for node in ET.fromstring(picture).iter(f"{SVG}text")]


@pytest.mark.parametrize("name", NAMES)
def test_every_space_is_drawn(name: str) -> None:
    space = nap.space(name, **EXAMPLE_OPTIONS.get(name, {}))
    for seed in range(5):
        architecture = space.sample(np.random.default_rng(seed))
        picture = draw(architecture)
        page = Page(picture)
        assert page.tags[0][0] == "svg"
        assert str(architecture) in (page.tags[0][1]["aria-label"] or "")
        assert page.tags[1][0] == "title"
        assert draw(architecture) == picture
        _check_inside(picture)


def _check_inside(picture: str) -> None:
    """No box sticks out of the picture, and none overlaps another one."""
    root = ET.fromstring(picture)
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    for group in root.iter(f"{SVG}g"):
        if "transform" in group.attrib:
            continue
        for box in group.findall(f"{SVG}rect"):
            x, y, w, h = (float(box.attrib[k]) for k in ("x", "y", "width", "height"))
            assert x >= -1
            assert x + w <= width + 1
            assert y >= -1
            assert y + h <= height + 1


def test_nasbench201_is_drawn_as_its_cell() -> None:
    space = nap.space("nasbench201")
    text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"
    labels = texts(draw(space.parse(text)))
    assert [label for label in labels if label in {"0", "1", "2", "3"}] == ["0", "1", "2", "3"]
    for operation in ("conv 3×3", "none", "skip", "avg pool 3×3", "conv 1×1"):  # noqa: RUF001
        assert labels.count(operation) == (2 if operation == "none" else 1)


def test_nasbench101_is_drawn_pruned() -> None:
    space = nap.space("nasbench101")
    cell = (
        '{"matrix": [[0, 1, 0], [0, 0, 1], [0, 0, 0]], "ops": ["input", "maxpool3x3", "output"]}'
    )
    labels = texts(draw(space.parse(cell)))
    assert "maxpool 3×3" in labels  # noqa: RUF001
    assert len([label for label in labels if label]) == 3


def test_darts_shows_both_cells_and_once_where_they_are_equal() -> None:
    labels = texts(draw(nap.space("darts").sample(np.random.default_rng(0))))
    assert "normal" in labels
    assert "reduce" in labels
    assert "normal and reduce" in texts(
        draw(nap.space("darts-cell").sample(np.random.default_rng(0)))
    )


def test_choices_without_an_order_are_a_table_and_no_chain() -> None:
    space = nap.CategoricalSpace(
        {"lr": [0.1, 0.01], "optimizer": ["sgd", "adam"], "a rather long name": [1, 2]}
    )
    picture = draw(space.architectures([[1, 0, 1]])[0])
    assert texts(picture) == ["lr", "0.01", "optimizer", "sgd", "a rather long name", "2"]
    assert "<path" not in picture  # no arrow leads from one decision to the next
    assert "polygon" not in picture


def test_a_long_choice_ends_inside_its_table() -> None:
    space = nap.CategoricalSpace({"activation": ["relu", "a rather long name of an activation"]})
    picture = ET.fromstring(draw(space.architectures([[1]])[0]))
    width = float(picture.attrib["viewBox"].split()[2])
    cell = next(node for node in picture.iter() if (node.text or "").startswith("a rather"))
    semi_bold = 0.66 * 12 * len(cell.text or "")  # as wide as browsers have drawn it
    assert float(cell.attrib["x"]) + semi_bold <= width


def test_a_table_of_many_choices_takes_several_columns_and_is_cut() -> None:
    space = nap.CategoricalSpace({f"decision {i}": [1, 2] for i in range(MAX_NODES + 40)})
    picture = draw(space.sample(np.random.default_rng(0)))
    width, height = map(float, ET.fromstring(picture).attrib["viewBox"].split()[2:])
    assert 300 < width < 700
    assert height < 22 * MAX_NODES / 2
    assert "and 40 more" in texts(picture)


def test_a_long_chain_is_drawn_over_several_lines() -> None:
    space = nap.CategoricalSpace.macro(30, ["conv", "pool"])
    picture = draw(space.sample(np.random.default_rng(0)))
    match = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)', picture)
    assert match is not None
    assert float(match[1]) < 900
    assert float(match[2]) > 100
    assert "layer 29" in texts(picture)


def test_an_endless_chain_is_cut_and_says_so() -> None:
    space = nap.CategoricalSpace.macro(MAX_NODES + 40, [1, 2])
    assert "and 42 more" in texts(draw(space.sample(np.random.default_rng(0))))


def test_hostile_text_stays_text() -> None:
    space = nap.CategoricalSpace({HOSTILE: [HOSTILE, "b"], "other": ["a", "b"]})
    picture = draw(space.architectures([[0, 0]])[0])
    page = Page(picture)
    assert {tag for tag, _ in page.tags} <= {
        "svg",
        "title",
        "g",
        "rect",
        "path",
        "polygon",
        "text",
    }
    ET.fromstring(picture)
    picture.encode()


dags = st.integers(2, 9).flatmap(
    lambda n: st.lists(
        st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda e: e[0] < e[1]),
        unique=True,
        max_size=14,
    ).map(lambda edges: (list(range(n)), sorted(edges)))
)


@given(dags)
@settings(max_examples=60, deadline=None)
def test_a_layout_keeps_edges_forward_and_nodes_apart(
    graph: tuple[list[int], list[tuple[int, int]]],
) -> None:
    nodes, edges = graph
    plan = layered(nodes, edges)
    for source, target in edges:
        assert plan.layer[source] < plan.layer[target]
        assert len(plan.routes[source, target]) == plan.layer[target] - plan.layer[source] + 1
    for level in range(plan.n_layers):
        heights = sorted(plan.height[v] for v in nodes if plan.layer[v] == level)
        assert all(b - a >= 1 - 1e-6 for a, b in pairwise(heights))
    assert min(plan.height.values()) >= -1e-9
    assert max(plan.height.values()) <= plan.span + 1e-9
    parts = components(nodes, edges)
    assert sorted(v for part in parts for v in part) == nodes


def test_an_architecture_draws_itself_in_jupyter_and_is_readable_elsewhere() -> None:
    space = nap.space("nasbench201")
    cell = space.architectures([[3, 0, 1, 2, 4, 3]])[0]
    assert cell._repr_svg_() == draw(cell)
    assert repr(cell) == f"Architecture(nasbench201: {cell})"


class TwoNodes(nap.CategoricalSpace):
    """Operations that stand on edges of a small cell, as a third party declares them."""

    def __init__(self) -> None:
        super().__init__({"first": ["conv3x3", "skip"], "second": ["conv3x3", "skip"]})

    def edge_cells(self, architecture: nap.Architecture) -> dict[str, list[tuple[int, int, str]]]:
        first, second = map(str, architecture.choices.values())
        return {"": [(0, 1, first), (1, 2, second), (0, 2, "skip")]}


class TwoCells(TwoNodes):
    """Cells with two inputs."""

    def edge_cells(self, architecture: nap.Architecture) -> dict[str, list[tuple[int, int, str]]]:
        first, second = map(str, architecture.choices.values())
        return {"left": [(0, 2, first), (1, 2, "skip")], "right": [(0, 2, second), (1, 2, "x")]}


def test_a_space_declares_what_stands_on_edges() -> None:
    row = texts(draw(TwoNodes().architectures([[0, 1]])[0]))
    assert row == ["0", "1", "2", "input", "output", "conv 3×3", "skip", "skip"]  # noqa: RUF001
    cells = texts(draw(TwoCells().architectures([[0, 1]])[0]))
    assert {"left", "right", "conv 3×3"} < set(cells)  # noqa: RUF001
    assert cells.count("cₖ") == 2


@pytest.mark.parametrize(
    "names",
    [
        [decision.name for decision in nap.space("darts").decisions],
        ["torch.nn.modules.activation.ReLU", "torch.nn.modules.activation.SiLU", "skip_connect"],
        ["latency_ms_edgegpu", "latency_ms_edgetpu"],
        ["one_name_of_many_words_1_and_more", "one_name_of_many_words_2_and_more"],
        ["op_1", "op 1", ""],
    ],
)
def test_names_that_differ_are_shortened_to_labels_that_differ(names: list[str]) -> None:
    labels = distinct(names, 14)
    assert len(set(labels)) == len(names)
    assert all(len(label) <= max(len(name), 14) for name, label in zip(names, labels, strict=True))
    assert sum(len(label) > 16 for label in labels) <= 2
    assert distinct(names[:1], 14) == [short(names[0], 14)]
