"""The reproduction: baselines, ablations, predictor, permutations, documents."""

from __future__ import annotations

import csv
import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")

from nas_plugins.errors import DataError, UnknownNameError
from nas_plugins.reproduction.arch_vq import (
    budget,
    figures,
    models,
    permutations,
    ranking,
    tables,
)
from nas_plugins.reproduction.arch_vq.ablations import (
    VectorPrior,
    draw_marginals,
    vector_prior,
)
from nas_plugins.reproduction.arch_vq.arch2vec import arch2vec
from nas_plugins.reproduction.arch_vq.budget import ArchVQRequest, vae_recipe, vq_recipe
from nas_plugins.reproduction.arch_vq.permutations import (
    ReorderedNASBench201,
    random_orders,
    reordered,
)
from nas_plugins.reproduction.arch_vq.sampling import draw_seen
from nas_plugins.reproduction.charts import Line, line_chart
from nas_plugins.reproduction.documents import Reproduction, ResultTable, Spread
from nas_plugins.reproduction.experiments import BUDGETS
from nas_plugins.spaces.nasbench101 import NASBench101
from nas_plugins.spaces.nasbench201 import NASBench201
from nas_plugins.strategies.arch_vq.lstm import (
    Predictor,
    PredictorConfig,
    kendall_tau,
    ordinal_scores,
)
from nas_plugins.strategies.arch_vq.metrics import Graphs, raw_keys, strict_rows

NB201 = NASBench201()


@pytest.fixture
def request_(tmp_path, monkeypatch):
    """A request that trains on 60 architectures where no shipped checkpoint stands in."""
    monkeypatch.setattr(budget, "_QUICK_ARCHITECTURES", 60)
    return ArchVQRequest(tmp_path, budget="quick", seeds=1, samples=40)


def cell(table: ResultTable, row: int, column: str):
    return table.rows[row][table.columns.index(column)]


# -- documents -----------------------------------------------------------------------------


def test_spread_leaves_out_what_is_no_number():
    spread = Spread.of([1.0, math.nan, 3.0])
    assert (spread.mean, spread.n) == (2.0, 2)
    assert spread.sd == pytest.approx(math.sqrt(2))
    assert spread.text(2) == "2.00 ± 1.41"
    assert Spread.of([5.0]).text(1) == "5.0"
    assert Spread.of([math.nan]).text(2) == "\N{EN DASH}"


def test_a_document_is_written_as_markdown_csv_and_svg(tmp_path):
    table = ResultTable("T", ("model", "x"), (("paper", None), ("ours", Spread.of([1.0, 2.0]))))
    document = Reproduction(
        "name", "Title", (table,), {"figure": "<svg/>"}, settings={"seeds": 2}, seconds=90
    )
    files = document.write(tmp_path)
    assert [file.name for file in files] == ["name.md", "name.csv", "figure.svg"]
    text = files[0].read_text(encoding="utf-8")
    assert "| paper | \N{EN DASH} |" in text
    assert "| ours | 1.50 ± 0.71 |" in text
    assert "seeds 2; 1.5 minutes" in text
    assert list(csv.reader(files[1].open(encoding="utf-8"))) == [
        ["model", "x", "x sd"],
        ["paper", "", ""],
        ["ours", "1.5", "0.7071"],
    ]
    rows = document.to_json()["tables"][0]["rows"]
    assert rows[0] == ["paper", None]
    assert rows[1][1]["runs"] == 2


def test_a_table_refuses_rows_of_another_length():
    with pytest.raises(ValueError, match="`rows` must have 2 cells each, got 1"):
        ResultTable("T", ("a", "b"), (("x",),))


def test_a_chart_is_well_formed_and_draws_only_numbers():
    lines = [
        Line("a < b", (0.1, 1, 10), (1, math.nan, 3), (0.5, 0, 0)),
        Line("c", (0.1, 10), (2, 2), dashed=True, colour=1),
    ]
    text = line_chart(lines, title="t", x_label="x", y_label="y", y_range=(0, 4), log_x=True)
    root = ET.fromstring(text)
    circles = [e for e in root.iter() if e.tag.endswith("circle")]
    assert len(circles) == 4
    assert "a &lt; b" in text
    with pytest.raises(ValueError, match="at least one point"):
        line_chart([], title="", x_label="", y_label="", y_range=(0, 1))


def test_requests_are_checked(tmp_path):
    with pytest.raises(UnknownNameError, match="quick"):
        ArchVQRequest(tmp_path, budget="quikc")
    with pytest.raises(ValueError, match="`seeds` must be >= 0, got -1"):
        ArchVQRequest(tmp_path, seeds=-1)
    with pytest.raises(UnknownNameError, match="nasbench201"):
        ArchVQRequest(tmp_path, space="nasbench2")
    assert ArchVQRequest(tmp_path, seeds=4).n_models == 4
    assert ArchVQRequest(tmp_path, seeds=4, budget="small").n_models == 1
    assert ArchVQRequest(tmp_path, seeds=2, budget="small", models=3).n_models == 2


@pytest.mark.parametrize("space", budget.SPACES)
def test_budgets_cut_what_is_trained(space):
    for preset in ("paper", "default"):
        sizes = [vq_recipe(space, preset, b).architectures for b in BUDGETS]
        assert sizes == sorted(sizes)
    assert vae_recipe(space, "full").vqvae.schedule.batch_size == 32


# -- predictor -----------------------------------------------------------------------------


def slow_tau(x, y):
    signs = [(np.sign(x[i] - x[j]), np.sign(y[i] - y[j])) for i in range(len(x)) for j in range(i)]
    score = sum(a * b for a, b in signs)
    untied = [sum(s[k] != 0 for s in signs) for k in (0, 1)]
    return score / math.sqrt(untied[0] * untied[1]) if all(untied) else math.nan


@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=2, max_size=30))
def test_kendall_tau_agrees_with_counting_pairs(pairs):
    x, y = (np.array(column, dtype=float) for column in zip(*pairs, strict=True))
    expected = slow_tau(x, y)
    if math.isnan(expected):
        assert math.isnan(kendall_tau(x, y))
    else:
        assert kendall_tau(x, y) == pytest.approx(expected)


def test_kendall_tau_of_many_values():
    x = np.random.default_rng(0).permutation(20_000).astype(float)
    assert kendall_tau(x, 3 * x + 1) == 1.0
    assert kendall_tau(x, -x) == -1.0
    with pytest.raises(ValueError, match="`second` must have 20000 values"):
        kendall_tau(x, x[:3])


def test_ordinal_scores_keep_the_order_and_are_centred():
    scores = ordinal_scores(np.array([5.0, -1e9, 7.0, 6.0]))
    assert np.argsort(scores).tolist() == [1, 0, 3, 2]
    assert scores.sum() == pytest.approx(0.0, abs=1e-6)


def test_the_predictor_learns_and_is_decided_by_its_seed():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((400, 5, 4))
    values = vectors[:, 1, 0] + vectors[:, 3, 2]
    config = PredictorConfig(steps=80)
    first, again, other = (
        Predictor(vectors[:200], values[:200], seed=seed, config=config) for seed in (0, 0, 1)
    )
    assert kendall_tau(first(vectors[200:]), values[200:]) > 0.3
    assert np.array_equal(first(vectors), again(vectors))
    assert not np.array_equal(first(vectors), other(vectors))
    with pytest.raises(ValueError, match="at least 2 architectures"):
        Predictor(vectors[:1], values[:1], seed=0)


# -- permutations --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "space",
    [NB201, NASBench101(), NASBench101(padding="end")],
    ids=["nasbench201", "nasbench101", "padded at the end"],
)
def test_random_orders_are_topological_and_keep_the_ends(space):
    rng = np.random.default_rng(0)
    rows = getattr(space, "random_cells", space.random)(300, rng)
    graphs = Graphs.of(space, rows)
    n_operations = len(space.node_operations)
    orders = random_orders(graphs, n_operations, 1)
    moved = reordered(graphs, orders)
    assert not np.tril(moved.adjacency).any()
    assert np.array_equal(
        np.sort(orders, axis=1), np.broadcast_to(np.arange(orders.shape[1]), orders.shape)
    )
    assert np.array_equal(raw_keys(moved), raw_keys(graphs))
    for node in (0, -1):
        assert np.array_equal(moved.labels[:, node], graphs.labels[:, node])
    assert np.array_equal(moved.labels == n_operations, graphs.labels == n_operations)
    assert (orders != np.arange(orders.shape[1])).any(axis=1).mean() > 0.3
    assert np.array_equal(orders, random_orders(graphs, n_operations, 1))
    assert not np.array_equal(orders, random_orders(graphs, n_operations, 2))


def test_a_reordered_space_has_the_same_architectures_in_other_orders():
    rows = NB201.random(200, np.random.default_rng(0))
    space = ReorderedNASBench201()
    given, mixed = Graphs.of(NB201, rows), Graphs.of(space, rows)
    assert np.array_equal(raw_keys(given), raw_keys(mixed))
    assert not np.array_equal(given.adjacency, mixed.adjacency)
    assert np.array_equal(space.keys(rows), NB201.keys(rows))


# -- baselines -----------------------------------------------------------------------------


def test_arch2vec_trains_as_published_and_is_kept(request_):
    lines = []
    asked = ArchVQRequest(request_.out, budget="quick", seeds=1, note=lines.append)
    first = arch2vec(asked, "nasbench201", 0)
    assert int(first.vae.epochs) == vae_recipe("nasbench201", "quick").vqvae.schedule.epochs
    assert lines
    lines.clear()
    again = arch2vec(asked, "nasbench201", 0)
    assert not lines
    assert np.array_equal(first.centre, again.centre)
    drawn = first.draw(50, 3)
    assert drawn.adjacency.shape == (50, 8, 8)
    assert not np.tril(drawn.adjacency).any()
    assert np.array_equal(drawn.labels, again.draw(50, 3).labels)


def test_arch2vec_from_the_second_epoch_on_is_in_evaluation_mode():
    import torch

    from nas_plugins.reproduction.arch_vq.arch2vec import GraphVAE, VAETask
    from nas_plugins.strategies.arch_vq.config import VQVAEConfig
    from nas_plugins.strategies.arch_vq.data import GraphSet

    graphs = GraphSet.of(NB201, NB201.random(40, np.random.default_rng(0)))
    task = VAETask(GraphVAE(8, 7, VQVAEConfig(hidden=8, layers=1)), graphs)
    index = torch.arange(40)
    task.module.train()
    assert task.loss(index) != task.loss(index)
    task.evaluate()
    task.module.train()
    assert task.loss(index) == task.loss(index)


def test_independent_codes_follow_the_training_marginals(request_):
    model = models.arch_vq(request_, "nasbench201", "default", 0)
    codes = np.array([[3, 5], [3, 6], [3, 5], [3, 5]])
    codes = np.concatenate([codes, np.full((4, 6), 7)], axis=1)
    seen: list[np.ndarray] = []

    class Spy:
        decoder = model.decoder

        @staticmethod
        def decode(drawn):
            seen.append(drawn)
            return model.decode(drawn)

    draw_marginals(Spy, codes, 4000, 0)  # type: ignore[arg-type]
    assert (seen[0][:, 0] == 3).all()
    assert set(np.unique(seen[0][:, 1])) == {5, 6}
    assert (seen[0][:, 1] == 5).mean() == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize("kind", ["regression", "gaussian"])
def test_vector_priors_draw_vectors_by_seed(request_, kind):
    baseline = arch2vec(request_, "nasbench201", 0)
    prior = vector_prior(request_, baseline, kind, 0, "test")
    assert isinstance(prior, VectorPrior)
    first, again, other = (prior.draw(30, seed) for seed in (0, 0, 1))
    assert first.shape == (30, 8, 16)
    assert np.isfinite(first).all()
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    cold = prior.draw(30, 0, temperature=1e-6)
    assert cold.std(axis=0).max() < first.std(axis=0).max()


def test_vectors_drawn_without_noise_are_what_the_prior_expects():
    import torch

    from nas_plugins.strategies.arch_vq.config import PriorConfig

    torch.manual_seed(0)
    scale = torch.rand(8, 16) + 0.5
    config = PriorConfig(width=16, layers=2, dropout=0.0)
    prior = VectorPrior(torch.randn(8, 16), scale, config, "gaussian").eval()
    standard = (torch.from_numpy(prior.draw(5, 0, temperature=1e-9)) - prior.centre) / scale
    with torch.no_grad():
        mean, _ = prior(standard)
    assert torch.allclose(mean, standard, atol=1e-5)


def test_a_model_of_another_recipe_in_the_folder_is_refused(request_, monkeypatch):
    models.arch_vq(request_, "nasbench201", "paper", 0)
    monkeypatch.setattr(budget, "_QUICK_ARCHITECTURES", 70)
    with pytest.raises(DataError, match="another recipe or seed"):
        models.arch_vq(request_, "nasbench201", "paper", 0)


# -- tables and figures --------------------------------------------------------------------


def test_table_3_sets_the_paper_beside_ours(request_):
    if "nasbench201" not in models.shipped_names():
        pytest.skip("the nasbench201 checkpoint is not there")
    document = tables.table3(request_)
    table = document.tables[1]
    names = [row[0] for row in table.rows]
    assert names[0] == "Arch-VQ (arXiv 2503.22063v2, as noted)"
    assert cell(table, 1, "lenient novel") == 69.3
    assert cell(table, 0, "lenient valid") is None
    decodings = [row[table.columns.index("decoding")] for row in table.rows]
    for decoding in ("strict, unique", "strict, unique, none of train"):
        row = decodings.index(decoding)
        for way in ("lenient", "strict"):
            assert cell(table, row, f"{way} valid").mean == 100.0
            assert cell(table, row, f"{way} unique").mean == 100.0
    row = decodings.index("strict, unique, none of train")
    assert cell(table, row, "strict novel").mean == 100.0
    assert cell(table, len(table.rows) - 1, "strict unique") == pytest.approx(99.875, abs=0.01)
    assert names[-1] == "ceiling of 40 independent draws from 15,625"
    assert any("26 %" in remark for remark in document.remarks)


@pytest.mark.slow
@pytest.mark.parametrize("table", [tables.table2, tables.table4])
def test_tables_2_and_4_run(request_, table):
    document = table(request_)
    assert len(document.tables) == 2
    assert "\N{EN DASH}" in document.markdown()


@pytest.mark.slow
def test_table_6_keeps_the_given_order_apart_from_random_ones(request_):
    document = permutations.table6(request_)
    encoding, generation = document.tables
    assert len(encoding.rows) == 8
    assert len(generation.rows) == 4
    for row in range(8):
        if cell(encoding, row, "input order") == "given":
            assert cell(encoding, row, "codes kept").mean == 100.0
    # The paper's encoder sees a graph, not an order; the default's sees positions.
    assert cell(encoding, 1, "codes kept").mean > 99.0
    with pytest.raises(UnknownNameError, match="nasbench201"):
        permutations.table6(ArchVQRequest(request_.out, budget="quick", space="darts-cell"))


def test_table_7_has_every_ablation(request_):
    (table,) = tables.table7(request_).tables
    assert [row[0] for row in table.rows] == [
        "VQ-VAE + Standard Prior (arXiv 2503.22063v2, as noted)",
        "VAE + Transformer (arXiv 2503.22063v2, as noted)",
        "VQ-VAE + transformer",
        "VQ-VAE + codes drawn independently",
        "VAE + transformer, regression",
        "VAE + transformer, gaussian",
        "VAE + Gaussian (arch2vec)",
        "ceiling of 40 independent draws from 15,625",
    ]


def test_figure_2_sweeps_the_temperature(request_):
    document = figures.figure2(request_)
    assert [row[0] for row in document.tables[0].rows] == [0.7, 1.5, 2.4]
    assert set(document.figures) == {
        f"arch-vq-figure2-nasbench201-{preset}" for preset in ("paper", "default")
    }
    for text in document.figures.values():
        ET.fromstring(text)


def test_codes_seen_at_their_node_are_all_that_is_drawn(request_):
    model = models.arch_vq(request_, "nasbench201", "paper", 0)
    drawn: list[np.ndarray] = []

    class Spy:
        prior, seen = model.prior, model.seen

        @staticmethod
        def decode(codes):
            drawn.append(codes)
            return model.decode(codes)

    draw_seen(Spy, 300, 0, 2.0)  # type: ignore[arg-type]
    assert drawn[0].shape == (300, 8)
    assert model.seen[np.arange(8), drawn[0]].all()


@pytest.mark.slow
def test_table_5_and_figure_3_rank_architectures(request_, monkeypatch):
    if "nasbench201" not in models.shipped_names():
        pytest.skip("the nasbench201 checkpoint is not there")
    monkeypatch.setattr(ranking, "_config", lambda request: PredictorConfig(steps=5))
    document = ranking.table5(request_)
    assert [table.title for table in document.tables] == [
        "Generate and sort, cifar10",
        "Generate and sort, cifar100",
    ]
    for table in document.tables:
        row = [r[0] for r in table.rows].index("`default` preset, strict, unique")
        assert cell(table, row, "different valid").mean == 40
        assert (
            cell(table, row, "mean kept").mean <= cell(table, row, "mean if sorted by truth").mean
        )
        assert cell(table, row, "best kept").mean <= cell(table, row, "best generated").mean
    document = ranking.figure3(request_)
    (table,) = document.tables
    assert table.columns == ("input of the predictor", "0.5 %", "5 %", "20 %")
    assert all(-1 <= spread.mean <= 1 for row in table.rows[1:] for spread in row[1:])


def test_strict_rows_of_a_random_order_need_the_given_one():
    rows = NB201.random(50, np.random.default_rng(0))
    graphs = Graphs.of(NB201, rows)
    moved = reordered(graphs, random_orders(graphs, 7, 1))
    same = (moved.adjacency == graphs.adjacency).all(axis=(1, 2))
    assert np.array_equal(strict_rows(NB201, moved)[1], same)
