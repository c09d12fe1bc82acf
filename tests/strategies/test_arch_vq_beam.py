"""Drawing graphs: the probabilities are the prior's, and beams never coincide."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from arch_vq_helpers import SPACE, small_model

from nas_plugins.spaces.categorical import CategoricalSpace
from nas_plugins.strategies.arch_vq.beam import (
    CodedGraphs,
    Decoder,
    Kept,
    column_type,
    sample_distinct,
    sample_independent,
)
from nas_plugins.strategies.arch_vq.config import PriorConfig
from nas_plugins.strategies.arch_vq.prior import Prior
from nas_plugins.strategies.arch_vq.rules import rule_for

N_NODES, N_CODES = 6, 40
RULE = rule_for(SPACE, N_NODES)
EVERYWHERE = np.ones((N_NODES, N_CODES), dtype=bool)


def fixture() -> tuple[Prior, Decoder]:
    """An untrained prior over codes whose labels and edges are drawn at random."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        prior = Prior(N_NODES, N_CODES, PriorConfig(width=16, layers=1, heads=2)).eval()
        prior.head.weight.data.mul_(30)
    rng = np.random.default_rng(0)
    label = torch.from_numpy(np.arange(N_CODES) % 5)
    return prior, Decoder.of(
        label, torch.from_numpy(rng.random((N_CODES, N_CODES)) < 0.3), EVERYWHERE
    )


@torch.no_grad()
def exact_probabilities(prior: Prior, decoder: Decoder) -> dict[tuple[int, ...], float]:
    """Probability of every architecture when each step is renormalised over what is allowed."""
    leaves: dict[tuple[int, ...], float] = {}

    def visit(codes: list[int], p: float) -> None:
        if len(codes) == N_NODES:
            key = tuple(decoder.label[codes].tolist())
            leaves[key] = leaves.get(key, 0.0) + p
            return
        padded = torch.tensor([codes + [0] * (N_NODES - len(codes))])
        step = torch.softmax(prior(padded)[0, len(codes)].double(), 0).numpy()
        prefix = np.array([codes], dtype=np.int64).reshape(1, -1)
        column = np.zeros((1, N_CODES), dtype=np.int16)
        for i, code in enumerate(codes):
            column |= decoder.edge[code] << i
        allowed = RULE.allowed(
            len(codes), decoder.label[prefix], decoder.columns(prefix), decoder.label, column
        )[0]
        mass = step[allowed].sum()
        for code in np.flatnonzero(allowed):
            visit([*codes, int(code)], p * step[code] / mass)

    visit([], 1.0)
    return leaves


def keys(drawn: CodedGraphs) -> list[tuple[int, ...]]:
    return [tuple(labels) for labels in drawn.labels.tolist()]


def test_independent_draws_follow_the_renormalised_prior() -> None:
    prior, decoder = fixture()
    drawn, alive = sample_independent(prior, decoder, RULE, 4000, np.random.default_rng(1))
    assert RULE.valid(drawn.labels[alive], drawn.columns[alive]).all()
    # The first decision is the first branching; a dead end later is dropped, so look at it alone.
    first = np.bincount(drawn.labels[:, 1], minlength=5) / len(drawn)
    with torch.no_grad():
        step = torch.softmax(prior(torch.from_numpy(drawn.codes))[:, 1].double(), 1).numpy()
    expected = np.zeros(5)
    for row, code in zip(step, drawn.codes[:, 0], strict=True):
        column = decoder.edge[code]
        allowed = (column == 1) & np.isin(decoder.label, [1, 2, 3])
        for label in range(5):
            expected[label] += row[allowed & (decoder.label == label)].sum() / row[allowed].sum()
    np.testing.assert_allclose(first, expected / len(drawn), atol=0.03)


def test_beams_are_distinct_and_valid() -> None:
    prior, decoder = fixture()
    leaves = exact_probabilities(prior, decoder)
    everything = sample_distinct(prior, decoder, RULE, 1000, np.random.default_rng(0))
    assert len(everything) == len(set(keys(everything)))
    assert set(keys(everything)) <= set(leaves)
    assert RULE.valid(everything.labels, everything.columns).all()
    np.testing.assert_array_equal(decoder.columns(everything.codes), everything.columns)
    np.testing.assert_array_equal(decoder.label[everything.codes], everything.labels)


def test_beams_of_a_trained_model_are_as_many_as_asked_for() -> None:
    model = small_model()
    some = sample_distinct(model.prior, model.decoder, RULE, 20, np.random.default_rng(0))
    assert len(some) == len(set(keys(some))) == 20


def test_the_first_beam_is_a_draw_from_the_prior() -> None:
    # Every label has codes with every column here, so no code choice can lead to a dead end and
    # the probability of a branch does not depend on which of its codes carries it on.
    prior, _ = fixture()
    decoder = Decoder.of(
        torch.arange(N_CODES) % 5, torch.ones(N_CODES, N_CODES, dtype=torch.bool), EVERYWHERE
    )
    rule = _Chainless(SPACE, N_NODES)
    rng = np.random.default_rng(5)
    firsts = [int(sample_distinct(prior, decoder, rule, 2, rng).labels[0, 0]) for _ in range(400)]
    with torch.no_grad():
        step = torch.softmax(prior(torch.zeros(1, N_NODES, dtype=torch.long))[0, 0], 0)
    expected = [float(step[decoder.label == label].sum()) for label in range(5)]
    np.testing.assert_allclose(np.bincount(firsts, minlength=5) / 400, expected, atol=0.08)


class _Chainless(type(RULE)):  # type: ignore[misc]
    """Allows everything."""

    def allowed(self, position, operations, columns, op, column):  # type: ignore[no-untyped-def]
        return np.ones(column.shape, dtype=bool)


def test_what_is_kept_stays() -> None:
    model = small_model()
    graphs = sample_distinct(model.prior, model.decoder, RULE, 30, np.random.default_rng(0))
    fixed = np.array([True, True, False, True, False, True])
    kept = Kept(graphs, np.broadcast_to(fixed, graphs.codes.shape))
    drawn, alive = sample_independent(
        model.prior, model.decoder, RULE, len(graphs), np.random.default_rng(1), kept=kept
    )
    assert alive.mean() > 0.5
    np.testing.assert_array_equal(drawn.labels[alive][:, fixed], graphs.labels[alive][:, fixed])
    assert (drawn.labels[alive][:, ~fixed] != graphs.labels[alive][:, ~fixed]).any()


def test_a_low_temperature_gives_the_most_probable_first() -> None:
    model = small_model()
    firsts = {
        keys(
            sample_distinct(
                model.prior, model.decoder, RULE, 9, np.random.default_rng(s), temperature=1e-6
            )
        )[0]
        for s in range(4)
    }
    assert len(firsts) == 1


def test_a_decoder_without_valid_codes_gives_nothing() -> None:
    prior, decoder = fixture()
    hopeless = Decoder(np.zeros_like(decoder.label), decoder.edge, EVERYWHERE)
    assert len(sample_distinct(prior, hopeless, RULE, 5, np.random.default_rng(0))) == 0
    _, alive = sample_independent(prior, hopeless, RULE, 5, np.random.default_rng(0))
    assert not alive.any()


def test_columns_need_no_more_than_63_nodes() -> None:
    assert [column_type(n) for n in (15, 16, 32, 63)] == [np.int16, np.int32, np.int64, np.int64]
    with pytest.raises(ValueError, match="`n_nodes` must be <= 63, got 64"):
        column_type(64)


def test_long_chains_number_their_branches_by_sorting() -> None:
    space = CategoricalSpace.macro(28, ["a", "b"])
    n = 30
    with torch.random.fork_rng():
        torch.manual_seed(0)
        prior = Prior(n, 64, PriorConfig(width=16, layers=1, heads=2)).eval()
    # Code k stands for node k // 2: an edge leads to the codes of the next node.
    node = torch.arange(64) // 2
    edge = node[:, None] + 1 == node[None, :]
    label = torch.where(node == 0, 0, torch.where(node == n - 1, 3, 1 + torch.arange(64) % 2))
    decoder = Decoder.of(label, edge, node.numpy() == np.arange(n)[:, None])
    drawn = sample_distinct(prior, decoder, rule_for(space, n), 50, np.random.default_rng(0))
    assert len(drawn) == 50
    rows = rule_for(space, n).rows(drawn.labels, drawn.columns)
    assert len(np.unique(space.keys(rows))) == 50
