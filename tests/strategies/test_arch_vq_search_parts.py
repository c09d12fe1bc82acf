"""The parts of the Arch-VQ search: features, predictors, acquisition, latent spaces, models."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arch_vq_helpers import SMALL, SPACE, small_model

import nas_plugins as nap
from nas_plugins import pareto
from nas_plugins.errors import DataError
from nas_plugins.numerics.ranks import normal_scores
from nas_plugins.sampling import new_rows
from nas_plugins.spaces.graph import live_nodes
from nas_plugins.strategies.arch_vq import acquisition, predictors
from nas_plugins.strategies.arch_vq.candidates import refilled
from nas_plugins.strategies.arch_vq.features import describer
from nas_plugins.strategies.arch_vq.latent import CellLatent, ModelLatent, PlainLatent
from nas_plugins.strategies.arch_vq.loading import latent_for, trained
from nas_plugins.strategies.arch_vq.model import ArchVQModel, shipped_names

NB201 = nap.space("nasbench201")


# -- features ----------------------------------------------------------------------------------


def test_none_cuts_off_what_it_alone_connects() -> None:
    cell = NB201.parse(
        "|none~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|none~0|skip_connect~1|avg_pool_3x3~2|"
    )
    adjacency, labels = NB201.graphs(cell.row[None])
    live = live_nodes(adjacency, labels, NB201.node_operations)[0]
    names = [NB201.node_operations[label] for label in labels[0][live]]
    assert names == ["input", "nor_conv_1x1", "avg_pool_3x3", "output"]


def test_features_do_not_depend_on_the_batch() -> None:
    rows = SPACE.random(20, np.random.default_rng(0))
    at_once = describer(ModelLatent(small_model()))(rows)
    fresh = describer(ModelLatent(small_model()))
    one_by_one = [fresh(row[None]) for row in rows]
    for name in ("counts", "neighbourhoods", "codes"):
        joined = np.concatenate([getattr(f, name) for f in one_by_one])
        assert np.array_equal(getattr(at_once, name), joined)
    assert len(fresh(rows[:0])) == 0


def test_distances_are_zero_for_equals_only() -> None:
    rows = new_rows(SPACE, SPACE.random(20, np.random.default_rng(0)))
    features = describer(PlainLatent(SPACE))(rows)
    distances = features.distances(features, 1.0)
    assert np.allclose(np.diagonal(distances, axis1=1, axis2=2), 0, atol=1e-5)
    assert (distances.sum(axis=0) + np.eye(len(rows)) > 1e-3).all()


# -- predictors --------------------------------------------------------------------------------


def _known(n: int, kind: str) -> tuple[Any, Any, Any, list[predictors.Beliefs]]:
    """Trials of a smooth function of the small space, and beliefs about all architectures."""
    rows = np.concatenate(list(SPACE.enumerate()))
    rows = rows[np.random.default_rng(1).permutation(len(rows))]
    values = rows @ np.array([4.0, 3.0, 2.0, 1.0])
    scores = normal_scores(values[:n], np.zeros(n))
    describe = describer(PlainLatent(SPACE))
    found = predictors.beliefs(
        kind,
        describe,
        settled=[predictors.Labelled(rows[:n], scores)],
        rows=rows[:n],
        scores=scores[:, None],
        candidates=describe(rows),
    )
    return rows, values, scores, found


@pytest.mark.parametrize("kind", ["gp", "ridge"])
def test_predictions_rank_what_was_not_seen(kind: str) -> None:
    _, values, _, (found,) = _known(40, kind)
    assert np.corrcoef(found.mean[40:], values[40:])[0, 1] > 0.9
    assert found.deviation[:40].mean() < found.deviation[40:].mean()


@pytest.mark.parametrize("kind", ["gp", "ridge"])
def test_intervals_hold_what_they_promise(kind: str) -> None:
    _, values, scores, (found,) = _known(30, kind)
    order = np.argsort(values[:30])
    truth = np.interp(values[30:], values[:30][order], scores[order])
    spread = np.sqrt(found.deviation[30:] ** 2 + found.noise)
    assert np.mean(np.abs(truth - found.mean[30:]) < 1.645 * spread) > 0.75


@pytest.mark.parametrize("kind", ["gp", "ridge"])
def test_believing_is_the_same_as_another_trial_at_the_mean(kind: str) -> None:
    """Means stay, and the deviations are those of a process that saw the candidate too."""
    rows, _, scores, (found,) = _known(12, kind)
    describe = describer(PlainLatent(SPACE))
    covariance = found._covariance  # type: ignore[attr-defined]
    extended = np.concatenate([rows[:12], rows[50:51]])
    features = describe(extended)
    pairs = predictors.Pairs(features, features, describe.scale)
    cross = predictors.Pairs(features, describe(rows), describe.scale)
    told = np.append(scores, found.mean[50])
    again = predictors.GaussianBeliefs(covariance, told, pairs, cross)
    scale = found._scale / again._scale  # type: ignore[attr-defined]
    before = found.mean.copy()
    found.believe(50)
    assert np.array_equal(found.mean, before)
    assert np.allclose(again.mean, before, atol=1e-6)
    assert np.allclose(found.deviation, again.deviation * math.sqrt(scale), atol=1e-5)


def test_an_ensemble_believes_by_what_its_members_agree_on() -> None:
    members = np.random.default_rng(0).normal(size=(4, 6))
    members[:, 1] = members[:, 0]
    found = predictors.EnsembleBeliefs(members)
    before = found.deviation.copy()
    found.believe(0)
    assert np.allclose(found.mean, members.mean(axis=0))
    assert found.deviation[0] == pytest.approx(found.deviation[1])
    assert found.deviation[0] < 0.5 * before[0]
    assert (found.deviation <= before + 1e-12).all()


# -- acquisition -------------------------------------------------------------------------------


class Given(predictors.Beliefs):
    """Beliefs as told."""

    def __init__(self, mean: Any, deviation: Any) -> None:
        self.mean, self._deviation, self.noise = np.array(mean), np.array(deviation), 0.0

    @property
    def deviation(self) -> Any:
        return self._deviation

    def believe(self, j: int) -> None:
        self._deviation[j] = 0.0


def test_expected_improvement_is_the_mean_improvement() -> None:
    one = Given([0.0, -1.0, 1.0], [1.0, 0.5, 2.0])
    rng = np.random.default_rng(0)
    utility = acquisition.single("ei", one, -0.3, rng)
    draws = one.mean + one.deviation * rng.standard_normal((200_000, 3))
    assert np.allclose(np.exp(utility), np.maximum(-0.3 - draws, 0).mean(axis=0), atol=0.01)


def test_expected_improvement_tells_hopeless_candidates_apart() -> None:
    """All improve by less than the smallest float; the likeliest is still the best."""
    one = Given([60.0, 50.0, 50.0, 70.0], [1.0, 1.0, 1.1, 1.0])
    utility = acquisition.single("ei", one, 0.0, np.random.default_rng(0))
    assert np.exp(utility).max() == 0.0
    assert np.argsort(-utility).tolist() == [2, 1, 0, 3]


def test_ucb_and_thompson() -> None:
    one = Given([0.0, -1.0], [2.0, 0.5])
    rng = np.random.default_rng(0)
    assert np.allclose(acquisition.single("ucb", one, 0.0, rng), [2.0, 1.5])
    drawn = [acquisition.single("thompson", one, 0.0, rng) for _ in range(4000)]
    assert np.allclose(np.mean(drawn, axis=0), [0.0, 1.0], atol=0.1)
    assert np.allclose(np.std(drawn, axis=0), [2.0, 0.5], atol=0.1)


def test_gain_of_hypervolume_agrees_with_the_hypervolume() -> None:
    rng = np.random.default_rng(0)
    losses = rng.random((12, 2))
    scores = np.stack([normal_scores(c, np.zeros(12)) for c in losses.T], axis=1)
    found = [Given(rng.normal(size=5), 0.5 * np.ones(5)) for _ in range(2)]
    utility = acquisition.several("ei", found, scores, losses, rng)
    drawn = [acquisition.outcomes("ei", one, rng) for one in found]
    back = [acquisition._loss_of(d, scores[:, j], losses[:, j]) for j, d in enumerate(drawn)]
    front = losses[pareto.front_mask(losses)]
    ideal, nadir = front.min(axis=0), front.max(axis=0)
    corner = ideal + 1.1 * (nadir - ideal)
    base = pareto.hypervolume(front, corner)
    for i in range(5):
        gains = [
            pareto.hypervolume(np.vstack([front, [a, b]]), corner) - base
            for a, b in itertools.product(back[0][i], back[1][i])
        ]
        assert utility[i] == pytest.approx(np.mean(gains) / np.prod(nadir - ideal), abs=1e-9)


@pytest.mark.parametrize("m", [2, 3])
def test_with_several_objectives_the_dominating_candidate_wins(m: int) -> None:
    rng = np.random.default_rng(0)
    losses = rng.random((10, m))
    scores = np.stack([normal_scores(c, np.zeros(10)) for c in losses.T], axis=1)
    found = [Given([0.0, -3.0, 1.0], [0.1, 0.1, 0.1]) for _ in range(m)]
    for kind in acquisition.ACQUISITIONS:
        assert acquisition.several(kind, found, scores, losses, rng).argmax() == 1
    nothing = np.full_like(losses, np.nan)
    assert acquisition.several("ei", found, scores, nothing, rng).argmax() == 1


# -- candidates and latent spaces --------------------------------------------------------------


@pytest.mark.parametrize("make", [PlainLatent, lambda space: ModelLatent(small_model())])
def test_refilled_trials_keep_something(make: Any) -> None:
    latent = make(SPACE)
    good = np.array([[0, 1, 2, 0], [0, 1, 0, 2]], dtype=np.int16)
    found = refilled(latent, good, 64, np.random.default_rng(0))
    assert SPACE.valid(found).all()
    assert (found[1::2][:, :2] == [0, 1]).mean() > 0.9  # shared by both
    changed = np.minimum(*((found != row).sum(axis=1) for row in good))
    assert 0 < changed.mean() <= 2


def test_pools_are_the_same_at_every_call() -> None:
    first, second = (ModelLatent(small_model()) for _ in range(2))
    assert np.array_equal(first.pool(3, 20, 1.0), second.pool(3, 20, 1.0))
    assert not np.array_equal(first.pool(3, 20, 1.0), first.pool(4, 20, 1.0))
    assert len(np.unique(SPACE.keys(first.pool(3, 20, 1.0)))) == 20
    assert len(first.pool(0, 100, 1.0)) == 0  # there are only 81


@pytest.mark.skipif("darts" not in shipped_names(), reason="no model of 'darts' is shipped")
@pytest.mark.parametrize("name", ["darts", "darts-cell"])
def test_darts_cells_without_none(name: str) -> None:
    space = nap.space(name, with_none=False)
    latent = latent_for(space)
    assert isinstance(latent, CellLatent)
    rng = np.random.default_rng(0)
    rows = latent.sample(40, rng)
    assert rows.shape == (40, len(space.decisions))
    assert space.valid(rows).all()
    assert ((rows >= 0) & (rows < space.cardinalities)).all()
    vectors = latent.vectors(rows)
    assert vectors.shape == (40, latent.n_nodes * 16)
    fixed = np.ones((40, latent.n_nodes), dtype=bool)
    assert np.array_equal(latent.fill(rows, fixed, rng)[0], rows)
    fixed[:, 5:7] = False
    filled, ended = latent.fill(rows, fixed, rng)
    assert ended.sum() == len(filled)
    assert len(filled) > 3  # the others came to no valid end
    assert ((filled >= 0) & (filled < space.cardinalities)).all()
    if name == "darts":
        kept = {row.tobytes() for row in rows[:, 11:]}
        assert {row.tobytes() for row in filled[:, 11:]} <= kept


class Sized(nap.CategoricalSpace):
    """`SPACE` and a width, of which one goes with some of the cells only."""

    core = SPACE

    def __init__(self) -> None:
        cell = {decision.name: decision.choices for decision in SPACE.decisions}
        super().__init__({**cell, "width": tuple(range(8, 48, 2))}, name="sized")
        self.options = {}

    def valid(self, rows: Any) -> Any:
        return (rows[:, -1] > 0) | (rows[:, 0] == 0)


def test_further_decisions_are_searched_on_the_model_of_the_core(tmp_path: Path) -> None:
    small_model().save(tmp_path)
    space, rng = Sized(), np.random.default_rng(0)
    latent = latent_for(space, str(tmp_path))
    inner = latent_for(SPACE, str(tmp_path))
    rows = latent.distinct(60, rng)
    assert len(rows) == 60
    assert space.valid(rows).all()
    assert len(set(rows[:, -1].tolist())) > 10
    codes = latent.vectors(rows).reshape(60, latent.n_nodes, -1)
    cores = inner.vectors(rows[:, :-1]).reshape(60, inner.n_nodes, -1)
    assert np.array_equal(codes[:, :-1, : cores.shape[2]], cores)
    assert np.array_equal(codes[:, -1].argmax(axis=1), rows[:, -1])
    assert latent.open_nodes.tolist() == [*inner.open_nodes, inner.n_nodes]
    fixed = np.ones((60, latent.n_nodes), dtype=bool)
    fixed[::2, -1] = False
    filled, ended = latent.fill(rows, fixed, rng)
    assert space.valid(filled).all()
    assert 50 < len(filled) == ended.sum()
    assert np.array_equal(filled[:, :-1], rows[ended][:, :-1])
    moved = filled[:, -1] != rows[ended][:, -1]
    assert 20 < moved.sum() == moved[(np.arange(60) % 2 == 0)[ended]].sum()
    others = rows[::-1]
    assert np.array_equal(latent.shared(rows, others)[:, -1], rows[:, -1] == others[:, -1])
    assert space.valid(refilled(latent, rows[:4], 32, rng)).all()


# -- models ------------------------------------------------------------------------------------


def test_a_model_is_trained_once_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NAS_PLUGINS_CACHE", str(tmp_path))
    first = trained(SPACE, SMALL)
    assert "this takes up to a few minutes, once for this space; model='none'" in caplog.text
    (folder,) = tmp_path.iterdir()
    caplog.clear()
    second = trained(SPACE, SMALL)
    assert not caplog.text
    rows = SPACE.random(30, np.random.default_rng(0))
    assert np.array_equal(first.encode(rows), second.encode(rows))
    (folder / "model.safetensors").write_bytes(b"torn")
    trained(SPACE, SMALL)
    assert "learning" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert ArchVQModel.load(folder).space == SPACE


def test_an_interrupted_training_leaves_nothing_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: Any, out: Path, **options: Any) -> None:
        (out / "vqvae.state").write_bytes(b"half a training")
        raise KeyboardInterrupt

    monkeypatch.setenv("NAS_PLUGINS_CACHE", str(tmp_path))
    monkeypatch.setattr("nas_plugins.strategies.arch_vq.train.train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trained(SPACE, SMALL)
    assert list(tmp_path.iterdir()) == []


def test_a_given_model_must_fit_the_space(tmp_path: Path) -> None:
    small_model().save(tmp_path)
    assert isinstance(latent_for(SPACE, str(tmp_path)), ModelLatent)
    with pytest.raises(DataError, match=r"is of CategoricalSpace.* not of NASBench201"):
        latent_for(NB201, str(tmp_path))
    with pytest.raises(DataError, match=r"cannot read .*model\.json"):
        latent_for(SPACE, str(tmp_path / "absent"))


def test_small_spaces_need_no_model() -> None:
    assert isinstance(latent_for(SPACE), PlainLatent)
    assert isinstance(latent_for(NB201, "none"), PlainLatent)


def test_spaces_that_cannot_be_learned_on_the_fly_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wired(nap.CategoricalSpace):
        """Its first decision removes an edge."""

        def graphs(self, rows: Any) -> Any:
            adjacency, operations = super().graphs(rows)
            adjacency[:, 0, 1] = rows[:, 0] > 0
            return adjacency, operations

    space = Wired({f"d{i}": ["a", "b", "c"] for i in range(8)})
    with pytest.raises(ValueError, match=r"cannot be learned on the fly.*nas-plugins train"):
        latent_for(space)
