"""The latent page shows what was measured on a model, and the measurements are right."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from report_helpers import HOSTILE, Page, made_up, page_of

from nas_plugins._doing import Activity
from nas_plugins._frozen import FrozenDict
from nas_plugins.cli import main
from nas_plugins.errors import DataError
from nas_plugins.report import Latent, measure, render_latent_report, write_latent_report
from nas_plugins.results import SearchResult
from nas_plugins.spaces.categorical import CategoricalSpace
from nas_plugins.strategies.arch_vq.config import PriorConfig, Recipe, Schedule, VQVAEConfig
from nas_plugins.strategies.arch_vq.data import split
from nas_plugins.strategies.arch_vq.model import ArchVQModel
from nas_plugins.strategies.arch_vq.shipped import shipped_names
from nas_plugins.strategies.arch_vq.train import train

RECIPE = Recipe(
    VQVAEConfig(
        hidden=24, layers=2, latent=8, codes=24, schedule=Schedule(1, 36, 5e-3, min_steps=300)
    ),
    PriorConfig(width=16, layers=1, heads=2, schedule=Schedule(1, 36, 3e-3, min_steps=80)),
)
HOT = 50.0


@pytest.fixture(scope="module")
def model() -> ArchVQModel:
    """A model of a small space whose choices are hostile."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    space = CategoricalSpace({f"layer {i}": [HOSTILE, "b", 3] for i in range(3)})
    built = train(space, settings=RECIPE, seed=1)
    torch.set_num_threads(before)
    return built


@pytest.fixture(scope="module")
def latent(model: ArchVQModel) -> Latent:
    return measure(model, name="mine", draws=400, temperatures=(0.5, 1.0, HOT), cells=3, seed=2)


@pytest.fixture(scope="module")
def page(latent: Latent) -> Page:
    return Page(render_latent_report(latent))


def train_rows(model: ArchVQModel) -> np.ndarray:
    return split(model.space, RECIPE.architectures, RECIPE.held_out, 1).train


def test_the_command_says_what_it_does(
    model: ArchVQModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    monkeypatch.setattr(Activity, "tell", lambda _, key, deed: heard.append(deed and deed.text))
    model.save(tmp_path / "model")
    code = main(["report", "--latent", str(tmp_path / "model"), "--draws", "20",
                 "--out", str(tmp_path / "page.html")])  # fmt: skip
    assert code == 0
    assert heard[:4:2] == ["drawing the training set again", "encoding 24 of 24 architectures"]
    assert "drawing 20 at temperature 1 and counting them" in heard


# -- measurements --------------------------------------------------------------------------


def test_codes_are_counted_position_by_position(model: ArchVQModel, latent: Latent) -> None:
    codes = model.encode(train_rows(model))
    assert latent.n_train == latent.encoded == len(codes)
    for node, column in enumerate(codes.T):
        counts = Counter(column.tolist())
        assert dict(enumerate(latent.train[node].tolist())) == {k: counts[k] for k in range(24)}
        shares = np.array(list(counts.values())) / len(codes)
        assert latent.codes_in_use[node] == len(counts)
        assert latent.perplexity[node] == pytest.approx(math.prod(shares**-shares))


def test_the_distance_is_the_share_that_would_have_to_change(latent: Latent) -> None:
    train, generated = latent.train / latent.encoded, latent.generated / latent.draws
    assert generated.sum(axis=1) == pytest.approx(1)
    common = np.minimum(train, generated).sum(axis=1)
    assert latent.distance == pytest.approx(1 - common)
    assert (latent.floor >= 0).all()
    # A position with one code leaves nothing to chance.
    alone = latent.codes_in_use == 1
    assert (latent.floor[alone] == 0).all()


def test_a_perfect_prior_is_at_the_expected_distance(model: ArchVQModel, latent: Latent) -> None:
    rng = np.random.default_rng(0)
    shares = latent.train / latent.encoded
    found = [
        np.abs(shares - rng.multinomial(latent.draws, shares) / latent.draws).sum(axis=1) / 2
        for _ in range(50)
    ]
    assert latent.floor == pytest.approx(np.mean(found, axis=0), abs=0.01)


def test_the_sweep_counts_independent_draws(model: ArchVQModel, latent: Latent) -> None:
    keys = set(model.space.keys(train_rows(model)).tolist())
    for sweep in latent.sweep:
        assert sweep.lenient is None
        drawn = model.draw(400, temperature=sweep.temperature, seed=2)
        rows, valid = model.strict_rows(drawn)
        found = model.space.keys(rows).tolist()
        assert sweep.strict.validity == pytest.approx(100 * valid.mean())
        if found:
            new = sum(key not in keys for key in found)
            assert sweep.strict.uniqueness == pytest.approx(100 * len(set(found)) / len(found))
            assert sweep.strict.novelty == pytest.approx(100 * new / len(found))


def test_the_ceiling_is_told_for_small_spaces_only(latent: Latent) -> None:
    size = latent.model.space.size
    expected = 100 * size * (1 - (1 - 1 / size) ** 400) / 400
    assert latent.ceiling == pytest.approx(expected)


def test_the_cells_are_distinct_and_say_whether_they_are_new(latent: Latent) -> None:
    keys = set(latent.model.space.keys(train_rows(latent.model)).tolist())
    assert len({cell.architecture.key for cell in latent.cells}) == 3
    for cell in latent.cells:
        assert cell.novel == (cell.architecture.key not in keys)
        assert cell.nats > 0


def test_another_seed_draws_otherwise(model: ArchVQModel, latent: Latent) -> None:
    options = {"name": "mine", "draws": 400, "temperatures": (0.5, 1.0, HOT), "cells": 3}
    same = measure(model, **options, seed=2)
    assert render_latent_report(same) == render_latent_report(latent)
    assert (measure(model, **options, seed=3).generated != latent.generated).any()


def test_without_temperature_one_the_codes_are_drawn_all_the_same(model: ArchVQModel) -> None:
    found = measure(model, draws=50, temperatures=(2.0,), cells=1)
    assert (found.generated.sum(axis=1) == 50).all()
    assert "Strictly valid" not in Page(render_latent_report(found)).text


def test_a_training_set_that_cannot_be_drawn_again_is_told(model: ArchVQModel) -> None:
    other = replace(model, card=replace(model.card, seed=model.card.seed + 1))
    with pytest.raises(DataError, match="cannot be drawn again"):
        measure(other, draws=10)
    with pytest.raises(ValueError, match="`draws` must be >= 1, got 0"):
        measure(model, draws=0)


# -- the page ------------------------------------------------------------------------------


def test_the_page_shows_codes_distributions_temperatures_and_cells(
    latent: Latent, page: Page
) -> None:
    for words in ("Latent space: mine", "Codebook use", "Generated and training codes"):
        assert words in page.text
    free = [f"position-{i}" for i in range(5) if latent.codes_in_use[i] > 1]
    assert {"codes", "usage", "temperature-strict", *free} <= set(page.figures)
    assert "temperature-lenient" not in page.figures
    assert f"{latent.distance[1]:.4f}" in page.text
    assert f"{latent.floor[1]:.4f}" in page.text
    drawings = [a for a in page.named("svg") if "nap-drawing" in (a["class"] or "")]
    assert len(drawings) == len(latent.cells)
    assert "nas-plugins report --latent mine --draws 400 --seed 2" in page.text


def test_the_bars_are_the_measurements(latent: Latent, page: Page) -> None:
    stacks = [t for t in page.figures["codes"]["data"] if t["type"] == "bar"]
    assert np.sum([t["y"] for t in stacks], axis=0).tolist() == latent.codes_in_use.tolist()
    for name, figure in page.figures.items():
        if name.startswith("position-"):
            for trace in figure["data"]:
                assert sum(trace["y"]) == pytest.approx(100, abs=0.01)
    used = np.flatnonzero(latent.train.any(axis=0))
    (heat,) = page.figures["usage"]["data"]
    assert np.shape(heat["z"]) == (5, len(used))
    seen = sum(z is not None for row in heat["z"] for z in row)
    assert seen == int((latent.train > 0).sum())


def test_the_curves_and_the_table_agree(latent: Latent, page: Page) -> None:
    traces = {t["name"]: t for t in page.figures["temperature-strict"]["data"]}
    assert traces["validity"]["x"] == [0.5, 1.0, HOT]
    for sweep, value in zip(latent.sweep, traces["validity"]["y"], strict=True):
        assert value == pytest.approx(sweep.strict.validity, abs=1e-3)
        assert f"{sweep.strict.validity:.2f}" in page.text
    assert traces["ceiling"]["y"][0] == pytest.approx(latent.ceiling, abs=1e-3)


def test_where_nothing_is_valid_there_is_a_dash_and_no_point(latent: Latent, page: Page) -> None:
    assert latent.sweep[-1].strict.valid == 0
    traces = {t["name"]: t for t in page.figures["temperature-strict"]["data"]}
    assert traces["uniqueness"]["y"][-1] is None
    assert "\N{EN DASH}" in page.text


def test_every_plot_is_described_and_every_table_has_heads(page: Page) -> None:
    plots = [a for a in page.named("div") if (a.get("id") or "").startswith("plot-")]
    assert len(plots) == len(page.figures)
    assert all(a["role"] == "img" and a["aria-label"] for a in plots)
    assert {a["scope"] for a in page.named("th")} == {"col", "row"}


def test_names_of_choices_cannot_become_markup(page: Page) -> None:
    assert not page.named("img")
    assert len(page.scripts) == 3
    assert "<img" not in page.scripts[0]


def test_the_file_is_written_as_a_whole(latent: Latent, tmp_path: Path) -> None:
    path = tmp_path / "new" / "latent.html"
    assert write_latent_report(latent, path, title="A & B") == path
    assert "<h1>A &amp; B</h1>" in path.read_text(encoding="utf-8")
    assert write_latent_report(latent, tmp_path / "folder") == tmp_path / "folder" / "latent.html"
    alone = write_latent_report(latent, tmp_path / "alone" / "a.html", single_file=True)
    assert [list(p.parent.glob("plotly-*.js")) != [] for p in (path, alone)] == [True, False]


def test_a_search_in_a_latent_space_says_how_to_look_into_it() -> None:
    def command(**settings: object) -> str:
        result = made_up()
        asked = FrozenDict({**result.settings, **settings})
        return page_of(SearchResult(result.history, settings=asked)).text

    assert "report --latent nasbench201 --out" in command(strategy="arch-vq")
    own = FrozenDict({"model": "my model"})
    assert "--latent 'my model'" in command(strategy="arch-vq", strategy_options=own)
    none = FrozenDict({"model": "none"})
    assert "--latent" not in command(strategy="arch-vq", strategy_options=none)
    assert "--latent" not in command()


@pytest.mark.slow
def test_of_a_published_space_both_ways_of_counting_are_shown() -> None:
    if "nasbench201" not in shipped_names():
        pytest.skip("no checkpoint of nasbench201 is in this tree")
    model = ArchVQModel.shipped("nasbench201")
    found = measure(model, draws=300, temperatures=(1.0, 2.4), cells=2)
    for sweep in found.sweep:
        assert sweep.lenient is not None
        assert sweep.lenient.valid >= sweep.strict.valid
    page = Page(render_latent_report(found))
    assert {"temperature-strict", "temperature-lenient"} <= set(page.figures)
    assert "validity, as published, %" in page.text
