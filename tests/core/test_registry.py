"""Plug-ins are found by name; broken or doubled ones are reported by name."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from pathlib import Path

import numpy as np
import pytest

import nas_plugins as nap
from nas_plugins import registry
from nas_plugins.errors import PluginError, UnknownNameError


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    """Entry points of the group of spaces, replaced by a list that the test fills."""
    fake: list[EntryPoint] = []
    monkeypatch.setattr(
        registry, "entry_points", lambda group: EntryPoints(fake).select(group=group)
    )
    return fake


def _point(name: str, target: str) -> EntryPoint:
    return EntryPoint(name, target, "nas_plugins.spaces")


@pytest.mark.parametrize("kind", ["space", "strategy", "evaluator", "benchmark", "network"])
def test_everything_we_register_can_be_imported(kind: str) -> None:
    infos = registry.listing(kind)
    assert infos
    assert [info.name for info in infos if info.error] == []
    assert all(info.summary for info in infos)
    assert [info.name for info in infos] == registry.names(kind)


def test_installed_packages_are_looked_through_once_until_one_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def counted(group: str) -> EntryPoints:
        asked.append(group)
        return entry_points(group=group)

    monkeypatch.setattr(registry, "entry_points", counted)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = registry.names("space")
    assert registry.names("space") == before
    assert registry.load("space", "nasbench201")
    assert len(asked) == 1
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[nas_plugins.spaces]\ntheirs = json:loads\n")
    assert registry.names("space") == sorted([*before, "theirs"])


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown space 'nasbench20'; did you"):
        nap.space("nasbench20")
    with pytest.raises(UnknownNameError, match="did you mean 'archive-evolution'"):
        nap.strategy("archive-evolutoin")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: nap.benchmark("darts"), "benchmark 'darts', which is the name of a space; kno"),
        (lambda: nap.strategy("darts"), "strategy 'darts', which is the name of a space; known"),
        (lambda: nap.space("graph-gp"), "space 'graph-gp', which is the name of a strategy; kn"),
        (lambda: nap.space("zero-cost"), "'zero-cost', which is the name of an evaluator; known"),
        (lambda: nap.evaluator("nasbench301"), "which is the name of a benchmark; known: comple"),
        (lambda: nap.strategy("optuna:tpe"), "which is a sampler of Optuna's own, for nap.comp"),
    ],
)
def test_a_name_of_another_kind_is_told_to_be_one(
    build: Callable[[], object], message: str
) -> None:
    with pytest.raises(UnknownNameError) as caught:
        build()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: nap.strategy("regularized-evolution", populaton=3),
            "strategy 'regularized-evolution': unknown option `populaton`; "
            "did you mean 'population_size'?",
        ),
        (
            lambda: nap.space("nasbench201", trials=3),
            "space 'nasbench201': unknown option `trials`; there are none",
        ),
        (
            lambda: nap.evaluator("zero-cost", batchsize=8),
            "zero-cost: unknown option `batchsize`; did you mean 'batch_size' or 'size'?",
        ),
        (
            lambda: nap.evaluator("latency-table", devise="pixel3"),
            "evaluator 'latency-table': unknown option `devise`; did you mean 'device'?",
        ),
        (
            lambda: nap.benchmark("nasbench201/cifar10", sources="x"),
            "benchmark 'nasbench201': unknown option `sources`; did you mean 'source'?",
        ),
    ],
)
def test_an_unknown_option_suggests_the_nearest_of_its_plug_in(
    build: Callable[[], object], message: str
) -> None:
    with pytest.raises(UnknownNameError) as caught:
        build()
    assert str(caught.value) == message
    assert isinstance(caught.value, TypeError)  # as Python raises of a keyword that is unknown


@pytest.mark.parametrize(
    "name", ["arch-vq", "archive-evolution", "llm-coevolution", "regularized-evolution"]
)
def test_numbers_of_numpy_are_numbers_and_texts_are_none(name: str) -> None:
    options = {
        f.name: f.default
        for f in dataclasses.fields(nap.strategy(name))
        if isinstance(f.default, (int, float)) and not isinstance(f.default, bool)
    }
    built = nap.strategy(name, **{k: np.array(v)[()] for k, v in options.items()})
    assert built == nap.strategy(name, **options)
    assert json.dumps({k: getattr(built, k) for k in options})
    for option, default in options.items():
        kind = "an integer" if isinstance(default, int) else "a number"
        with pytest.raises(TypeError, match=f"^`{option}` must be {kind}, got 'many'$"):
            nap.strategy(name, **{option: "many"})


def test_unknown_kind_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown plug-in kind 'spaces'"):
        registry.names("spaces")


def test_a_broken_plugin_does_not_disturb_the_others(points: list[EntryPoint]) -> None:
    points += [
        _point("good", "nas_plugins.spaces.nasbench201:NASBench201"),
        _point("broken", "no_such_module_anywhere:Space"),
    ]
    infos = {info.name: info for info in registry.listing("space")}
    assert infos["good"].error is None
    assert "no_such_module_anywhere" in (infos["broken"].error or "")
    assert registry.load("space", "good").__name__ == "NASBench201"
    with pytest.raises(PluginError, match=r"'broken'.*cannot be imported: ModuleNotFoundError"):
        registry.load("space", "broken")


def test_a_name_registered_twice_is_refused(points: list[EntryPoint]) -> None:
    points += [
        _point("x", "nas_plugins.spaces.nasbench201:NASBench201"),
        _point("x", "nas_plugins.spaces.categorical:CategoricalSpace"),
    ]
    with pytest.raises(PluginError, match="registered more than once"):
        registry.load("space", "x")


def test_the_same_registration_seen_twice_is_one(points: list[EntryPoint]) -> None:
    points += [_point("x", "nas_plugins.spaces.nasbench201:NASBench201")] * 2
    assert registry.load("space", "x").__name__ == "NASBench201"


class _EndsItsTables:
    """Fails in the middle of its tables."""

    @classmethod
    def tables(cls) -> Iterator[str]:
        yield "one"
        raise GeneratorExit


def test_whatever_a_plugin_raises_of_its_tables_is_told(points: list[EntryPoint]) -> None:
    target = f"{__name__}:{_EndsItsTables.__qualname__}"
    points.append(EntryPoint("broken", target, "nas_plugins.benchmarks"))
    (info,) = registry.listing("benchmark")
    assert (info.error, info.tables) == ("tables() fails: GeneratorExit", ())
