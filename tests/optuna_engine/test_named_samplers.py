"""Named samplers show the strategy's options and their own, and pickle by reference."""

from __future__ import annotations

import dataclasses
import inspect
import pickle
from dataclasses import dataclass, field

import pytest
from engine_helpers import SAMPLERS, SPACE

import nas_plugins as nap
from nas_plugins.optuna import ArchiveEvolutionSampler, NamedSampler, StrategySampler, samples


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_signatures_and_docstrings_name_every_option(sampler: type[NamedSampler]) -> None:
    parameters = inspect.signature(sampler).parameters
    fields = dataclasses.fields(sampler.strategy_class)
    own = [n for n in inspect.signature(StrategySampler).parameters if n != "strategy"]
    assert list(parameters) == [f.name for f in fields] + own
    assert {f.name: f.default for f in fields}.items() <= {
        n: p.default for n, p in parameters.items()
    }.items()
    documented = inspect.getdoc(sampler) or ""
    assert all(f"    {name}:" in documented for name in parameters)
    assert documented.count("Args:") == 1
    assert pickle.loads(pickle.dumps(sampler)) is sampler


def test_options_reach_the_strategy_and_the_sampler() -> None:
    sampler = ArchiveEvolutionSampler(n_initial=3, avoid_duplicates=False, space=SPACE, seed=2)
    assert sampler.strategy == sampler.strategy_class(n_initial=3, avoid_duplicates=False)
    assert sampler.space == SPACE


def test_a_strategy_of_others_gets_its_sampler_in_two_lines() -> None:
    @dataclass(frozen=True)
    class Mine(nap.Strategy):
        """Mine.

        Attributes:
            names: Some names.
        """

        names: list[str] = field(default_factory=lambda: ["a"])

        def propose(self, history: object, n: int, rng: object) -> list[object]:
            return []

    @samples(Mine)
    class MineSampler(NamedSampler):
        """My sampler."""

    assert MineSampler(names=["b"]).strategy == Mine(["b"])
    assert inspect.signature(MineSampler).parameters["names"].default == ["a"]
    assert "names: Some names." in (MineSampler.__doc__ or "")


def test_options_of_the_same_name_are_refused() -> None:
    @dataclass(frozen=True)
    class Seeded:
        seed: int = 0

    with pytest.raises(ValueError, match=r"options of Seeded must not be named \['seed'\]"):
        samples(Seeded)
