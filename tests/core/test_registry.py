"""Plug-ins are found by name; broken or doubled ones are reported by name."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints

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


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown space 'nasbench20'; did you"):
        nap.space("nasbench20")
    with pytest.raises(UnknownNameError, match="did you mean 'archive-evolution'"):
        nap.strategy("archive-evolutoin")


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
