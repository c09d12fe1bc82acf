"""Training: exact reconstruction, determinism, resume, and files that are not what they say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from arch_vq_helpers import SMALL, SPACE

import nas_plugins as nap
from nas_plugins.errors import DataError, UnknownNameError
from nas_plugins.spaces.categorical import CategoricalSpace
from nas_plugins.strategies.arch_vq.config import (
    PriorConfig,
    Recipe,
    Schedule,
    VQVAEConfig,
    recipe,
)
from nas_plugins.strategies.arch_vq.data import GraphSet, digest, distinct_rows, split
from nas_plugins.strategies.arch_vq.fit import Progress
from nas_plugins.strategies.arch_vq.model import ArchVQModel
from nas_plugins.strategies.arch_vq.train import reconstruction, train
from nas_plugins.strategies.arch_vq.vqvae import VQVAE, GraphLayer

SHORT = replace(
    SMALL,
    vqvae=replace(SMALL.vqvae, schedule=Schedule(4, 27, 5e-3)),
    prior=replace(SMALL.prior, schedule=Schedule(3, 27, 3e-3)),
)


def weights(model: ArchVQModel) -> list[np.ndarray]:
    states = (model.vqvae.state_dict(), model.prior.state_dict())
    return [tensor.numpy() for state in states for tensor in state.values()]


def same(a: ArchVQModel, b: ArchVQModel) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(weights(a), weights(b), strict=True))


class InterruptedTrainingError(Exception):
    """Stands for Ctrl-C."""


def interrupt_after(stage: str, epoch: int):  # type: ignore[no-untyped-def]
    def on_epoch(progress: Progress) -> None:
        if (progress.stage, progress.epoch) == (stage, epoch):
            raise InterruptedTrainingError

    return on_epoch


def test_the_seed_decides_the_result_and_global_randomness_stays(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    first = train(SPACE, settings=SHORT, seed=3)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(99)
    assert same(first, train(SPACE, settings=SHORT, seed=3, out=tmp_path))
    assert not same(first, train(SPACE, settings=SHORT, seed=4))


@pytest.mark.parametrize(("stage", "epoch"), [("vqvae", 2), ("vqvae", 4), ("prior", 1)])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path, stage: str, epoch: int) -> None:
    whole = train(SPACE, settings=SHORT, seed=0)
    with pytest.raises(InterruptedTrainingError):
        train(SPACE, settings=SHORT, seed=0, out=tmp_path, on_epoch=interrupt_after(stage, epoch))
    assert list(tmp_path.glob("*.state"))
    seen: list[tuple[str, int]] = []
    resumed = train(
        SPACE,
        settings=SHORT,
        seed=0,
        out=tmp_path,
        resume=True,
        on_epoch=lambda p: seen.append((p.stage, p.epoch)),
    )
    planned = [("vqvae", i) for i in range(1, 5)] + [("prior", i) for i in range(1, 4)]
    assert seen == planned[planned.index((stage, epoch)) + 1 :]
    assert same(whole, resumed)
    assert not list(tmp_path.glob("*.state"))


def test_a_state_of_another_run_or_a_torn_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InterruptedTrainingError):
        train(SPACE, settings=SHORT, out=tmp_path, on_epoch=interrupt_after("vqvae", 2))
    with pytest.raises(DataError, match="belongs to another run, its seed differ"):
        train(SPACE, settings=SHORT, seed=1, out=tmp_path, resume=True)
    state = tmp_path / "vqvae.state"
    state.write_bytes(state.read_bytes()[:100])
    with pytest.raises(DataError, match="is not a whole training state"):
        train(SPACE, settings=SHORT, out=tmp_path, resume=True)
    with pytest.raises(ValueError, match="`resume` needs `out`"):
        train(SPACE, settings=SHORT, resume=True)


def test_progress_tells_epoch_metrics_and_time() -> None:
    seen: list[Progress] = []
    train(SPACE, settings=SHORT, on_epoch=seen.append)
    assert [p.epochs for p in seen] == [4] * 4 + [3] * 3
    assert {"loss", "exact", "operations", "edges", "codes_used"} <= set(seen[0].metrics)
    assert {"loss", "held_out_nll"} <= set(seen[-1].metrics)
    assert seen[0].remaining > 0
    assert seen[3].remaining == 0


def test_patience_stops_a_stage() -> None:
    patient = replace(SHORT.prior, schedule=Schedule(50, 27, 1.0, one_cycle=False, patience=2))
    seen: list[Progress] = []
    train(SPACE, settings=replace(SHORT, prior=patient), on_epoch=seen.append)
    assert sum(p.stage == "prior" for p in seen) < 50


def test_checkpoints_come_back_as_they_were(tmp_path: Path) -> None:
    model = train(SPACE, settings=SHORT, out=tmp_path, command="nas-plugins train ...")
    loaded = ArchVQModel.load(tmp_path)
    assert loaded.card.command == "nas-plugins train ..."
    assert loaded.card.recipe == SHORT
    assert loaded.space == SPACE
    rows = np.concatenate(list(SPACE.enumerate()))
    np.testing.assert_array_equal(model.encode(rows), loaded.encode(rows))
    np.testing.assert_array_equal(model.decoder.label, loaded.decoder.label)
    np.testing.assert_array_equal(model.decoder.edge, loaded.decoder.edge)
    parts = split(SPACE, SHORT.architectures, SHORT.held_out, 0)
    assert loaded.card.train_digest == digest(SPACE.keys(parts.train))
    # The figures on the card are those of the weights as they are saved.
    measured = reconstruction(loaded.vqvae, GraphSet.of(SPACE, parts.held_out))
    assert {f"held_out_{k}": v for k, v in measured.items()}.items() <= (
        loaded.card.metrics.items()
    )


def test_torn_and_foreign_checkpoints_are_refused_by_name(tmp_path: Path) -> None:
    train(SPACE, settings=SHORT, out=tmp_path)
    card, weights_file = tmp_path / "model.json", tmp_path / "model.safetensors"
    content, text = weights_file.read_bytes(), card.read_text()
    weights_file.write_bytes(content[:-1])
    with pytest.raises(DataError, match=r"model\.safetensors is torn or foreign"):
        ArchVQModel.load(tmp_path)
    weights_file.unlink()
    with pytest.raises(DataError, match=r"cannot read .*model\.safetensors"):
        ArchVQModel.load(tmp_path)
    weights_file.write_bytes(content)
    card.write_text(text[:50])
    with pytest.raises(DataError, match=r"model\.json is not a readable checkpoint card"):
        ArchVQModel.load(tmp_path)
    card.write_text(json.dumps({"format": "other/1"}))
    with pytest.raises(DataError, match="`format` must be 'nas_plugins/arch-vq/1', got 'other/1'"):
        ArchVQModel.load(tmp_path)
    card.write_text(text.replace('"hidden": 32', '"hidden": 16'))
    with pytest.raises(DataError, match="does not fit its card"):
        ArchVQModel.load(tmp_path)
    card.write_text(text.replace('"input"', '"entrance"'))
    with pytest.raises(DataError, match="another encoding of 'categorical'"):
        ArchVQModel.load(tmp_path)
    with pytest.raises(DataError, match=r"cannot read .*model\.json"):
        ArchVQModel.load(tmp_path / "nowhere")


def test_a_large_space_is_sampled_and_split_without_overlap() -> None:
    for name in ("nasbench101", "darts-cell"):
        space = nap.space(name)
        parts = split(space, 2000, 0.1, seed=0)
        train_keys, held_out = space.keys(parts.train), space.keys(parts.held_out)
        assert len(np.unique(train_keys)) == len(train_keys) > 1700
        assert not np.isin(held_out, train_keys).any()
        again = split(space, 2000, 0.1, seed=0)
        np.testing.assert_array_equal(parts.train, again.train)
        assert digest(train_keys) == digest(train_keys[::-1])
    whole = distinct_rows(nap.space("nasbench201"), 20_000, np.random.default_rng(0))
    assert len(whole) == 15_625


def test_recipes_survive_json_and_presets_differ_as_documented() -> None:
    for name in ("nasbench201", "nasbench101", "darts-cell", "categorical"):
        for preset in ("default", "paper"):
            settings = recipe(name, preset)
            assert Recipe.from_json(json.loads(json.dumps(settings.to_json()))) == settings
    paper = recipe("darts-cell", "paper").vqvae
    assert (paper.hidden, paper.codes, paper.latent, paper.commitment) == (256, 512, 16, 0.25)
    options = (paper.directed, paper.positions, paper.bilinear, paper.data_init, paper.revive)
    assert not any(options)
    with pytest.raises(UnknownNameError, match="did you mean 'paper'"):
        recipe("nasbench201", "papers")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Schedule(0, 1, 1e-3), "`epochs` must be >= 1, got 0"),
        (lambda: Schedule(1, 1, 0.0), "`learning_rate` must be > 0, got 0.0"),
        (lambda: VQVAEConfig(decay=1.0), r"`decay` must lie in \(0, 1\), got 1.0"),
        (lambda: VQVAEConfig(codes=0), "`codes` must be >= 1, got 0"),
        (lambda: PriorConfig(width=30, heads=4), "`width` must be a multiple of `heads`, got 30"),
        (lambda: Recipe(held_out=0.0), r"`held_out` must lie in \(0, 1\), got 0.0"),
    ],
)
def test_settings_out_of_range_are_refused(make, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        make()


def test_the_paper_preset_cannot_tell_equal_nodes_apart_but_the_default_can() -> None:
    # Two vertices of the same colour: 0 -> 1 -> 3, 0 -> 2 -> 3, and 0 -> 1 -> 2 -> 3 would need
    # an edge 1 -> 2 that equal codes can only have or lack together with every such pair.
    adjacency = torch.zeros(1, 4, 4)
    adjacency[0, 0, 1] = adjacency[0, 0, 2] = adjacency[0, 1, 3] = adjacency[0, 2, 3] = 1
    operations = torch.tensor([[0, 1, 1, 2]])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        paper = VQVAE(4, 3, recipe("x", "paper").vqvae).eval()
        default = VQVAE(4, 3, VQVAEConfig()).eval()
    with torch.no_grad():
        z = paper.encode(adjacency, operations)[0]
        assert torch.equal(z[1], z[2])
        assert paper.edge_logits(z[1:2], z[2:3]).item() > 0
        z = default.encode(adjacency, operations)[0]
        assert not torch.allclose(z[1], z[2])


def test_the_undirected_layer_is_a_gin_layer() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = GraphLayer(5, 8, directed=False).eval()
        features = torch.randn(2, 4, 5)
    layer.eps.data.fill_(0.3)
    adjacency = torch.triu(torch.ones(2, 4, 4), 1)
    both = adjacency + adjacency.transpose(1, 2)
    with torch.no_grad():
        expected = layer.mlp(1.3 * features + both @ features).flatten(0, 1)
        expected = torch.relu(layer.norm(expected)).view(2, 4, 8)
        torch.testing.assert_close(layer(features, adjacency), expected)


def test_a_space_of_a_handful_can_be_trained() -> None:
    tiny = CategoricalSpace({"a": [1, 2], "b": ["x"]})
    model = train(tiny, settings=SMALL)
    assert len(model.sample(2)) == 2
