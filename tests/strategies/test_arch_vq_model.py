"""The shipped models: reconstruction, sampling, filling, and what is refused."""

from __future__ import annotations

from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from arch_vq_helpers import SPACE, small_model

from nas_plugins.errors import SpaceExhaustedError, UnknownNameError
from nas_plugins.strategies.arch_vq import checkpoint
from nas_plugins.strategies.arch_vq.data import split
from nas_plugins.strategies.arch_vq.model import ArchVQModel, shipped_names

NAMES = ("darts", "nasbench101", "nasbench201")
shipped = cache(ArchVQModel.shipped)


def test_three_models_are_shipped_and_small() -> None:
    assert shipped_names() == NAMES
    folder = Path(checkpoint.__file__).parent / "checkpoints"
    for name in NAMES:
        assert (folder / name / checkpoint.WEIGHTS).stat().st_size < 3e6
        card = shipped(name).card
        assert card.command.startswith("nas-plugins train arch-vq --space ")
        assert f"--seed {card.seed}" in card.command
    with pytest.raises(UnknownNameError, match="did you mean 'nasbench201'"):
        ArchVQModel.shipped("nasbench202")


@pytest.mark.parametrize(
    ("name", "goal"), [("nasbench201", 1.0), ("nasbench101", 0.999), ("darts", 0.999)]
)
def test_held_out_architectures_come_back_exactly(name: str, goal: float) -> None:
    model = shipped(name)
    recipe = model.card.recipe
    if name == "darts":  # random cells of 3e9: hardly one of them was trained on
        rows = model.space.random(3000, np.random.default_rng(123))
    else:
        parts = split(model.space, recipe.architectures, recipe.held_out, model.card.seed)
        rows = parts.held_out[:3000]
    decoded = model.decode(model.encode(rows))
    back, valid = model.strict_rows(decoded)
    same = np.zeros(len(rows), dtype=bool)
    same[valid] = model.space.keys(back) == model.space.keys(rows[valid])
    assert same.mean() >= goal
    assert model.card.metrics["held_out_exact"] >= goal


@pytest.mark.parametrize("name", NAMES)
def test_samples_are_valid_distinct_and_reproducible(name: str) -> None:
    model = shipped(name)
    rows = model.sample_rows(1000, seed=1)
    architectures = model.space.architectures(rows)  # raises on an invalid one
    assert len({a.key for a in architectures}) == 1000
    np.testing.assert_array_equal(rows, model.sample_rows(1000, seed=1))
    assert (rows != model.sample_rows(1000, seed=2)).any()
    assert [model.space.parse(str(a)).key for a in architectures[:20]] == [
        a.key for a in architectures[:20]
    ]


def test_what_is_excluded_is_not_drawn_and_exhaustion_is_told() -> None:
    model = shipped("nasbench201")
    train = model.train_keys()
    assert len(train) == 14_063
    rows = model.sample_rows(1562, exclude=train)
    keys = model.space.keys(rows)
    assert len(np.unique(keys)) == 1562
    assert not np.isin(keys, train).any()
    with pytest.raises(SpaceExhaustedError, match=r"`n` must be at most 1562: .* got 1563"):
        model.sample_rows(1563, exclude=set(train.tolist()))


@pytest.mark.parametrize("name", ["darts", "nasbench101"])
def test_novel_samples_of_large_spaces(name: str) -> None:
    model = shipped(name)
    train = model.train_keys()
    keys = model.space.keys(model.sample_rows(200, exclude=train, seed=4))
    assert len(np.unique(keys)) == 200
    assert not np.isin(keys, train).any()


def test_all_of_a_space_can_be_drawn_even_from_a_poor_model() -> None:
    model = small_model()
    assert len(np.unique(SPACE.keys(model.sample_rows(81)))) == 81
    with pytest.raises(SpaceExhaustedError, match="at most 81"):
        model.sample_rows(82)


def test_the_stream_gives_every_architecture_once() -> None:
    model = small_model()
    keys = [a.key for a in model.stream(seed=0, batch=8)]
    assert len(keys) == len(set(keys)) == 81
    first = [a.key for a in islice(model.stream(seed=0, batch=8), 5)]
    assert first == keys[:5]
    rest = {a.key for a in model.stream(seed=0, exclude=set(first))}
    assert rest == set(keys) - set(first)


def test_independent_draws_repeat_and_respect_exclude() -> None:
    model = small_model()
    rows = model.sample_rows(300, unique=False)
    assert len(rows) == 300
    banned = set(SPACE.keys(rows[:20]).tolist())
    again = model.sample_rows(300, unique=False, exclude=banned)
    assert len(again) == 300
    assert not banned & set(SPACE.keys(again).tolist())
    everything = set(SPACE.keys(np.concatenate(list(SPACE.enumerate()))).tolist())
    with pytest.raises(SpaceExhaustedError, match="outside `exclude`"):
        model.sample_rows(1, unique=False, exclude=everything)


def test_paper_decoding_takes_what_comes() -> None:
    model = shipped("nasbench201")
    drawn = model.draw(2000, temperature=2.4, seed=0)
    rows, valid = model.strict_rows(drawn)
    assert 0 < valid.mean() < 0.9
    assert len(model.sample_rows(2000, temperature=2.4, decoding="paper")) == valid.sum()
    calm = model.strict_rows(model.draw(2000, temperature=0.7, seed=0))[1]
    assert calm.mean() > valid.mean()
    np.testing.assert_array_equal(model.decode(drawn.codes).columns, drawn.columns)
    assert len(rows) == valid.sum()


def test_filling_keeps_what_is_fixed() -> None:
    model = shipped("nasbench201")
    rows = model.sample_rows(200, seed=3)
    fixed = np.ones(8, dtype=bool)
    fixed[[2, 5]] = False
    filled, alive = model.fill(rows, fixed, seed=1)
    assert alive.all()
    kept = [0, 2, 3, 5]  # the decisions of nodes 1, 3, 4 and 6
    np.testing.assert_array_equal(filled[:, kept], rows[:, kept])
    assert (filled[:, [1, 4]] != rows[:, [1, 4]]).mean() > 0.5


def test_filling_a_cell_of_nasbench101_gives_cells() -> None:
    model = shipped("nasbench101")
    rows = model.sample_rows(200, seed=3)
    rng = np.random.default_rng(0)
    fixed = rng.random((200, 7)) < 0.6
    filled, alive = model.fill(rows, fixed, seed=1)
    assert alive.mean() > 0.75
    assert model.space.valid(filled).all()
    assert (model.space.keys(filled) != model.space.keys(rows[alive])).mean() > 0.3


def test_the_prior_prefers_what_it_has_learned() -> None:
    model = shipped("nasbench101")
    cells = model.space.random_cells(500, np.random.default_rng(0))
    likely = model.log_probability(model.encode(cells))
    rng = np.random.default_rng(1)
    noise = model.log_probability(rng.integers(512, size=(500, 7)))
    assert np.median(likely) > np.median(noise) + 10
    assert model.vectors(model.encode(cells[:4])).shape == (4, 7, 16)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": -1}, "`n` must be >= 0, got -1"),
        ({"n": 1, "temperature": 0.0}, "`temperature` must be > 0, got 0.0"),
        ({"n": 1, "decoding": "loose"}, "`decoding` must be one of .* got 'loose'"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small_model().sample(**options)  # type: ignore[arg-type]


def test_nothing_can_be_drawn_too() -> None:
    assert small_model().sample(0) == []
    assert len(small_model().draw(0)) == 0
