"""Proxies by name: registration, the decorator, pickling, and the aggregate of AZ-NAS."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nas_plugins.errors import PluginError, UnknownNameError  # noqa: E402
from nas_plugins.evaluators.zero_cost import proxy as module  # noqa: E402
from nas_plugins.evaluators.zero_cost.proxy import (  # noqa: E402
    Need,
    Proxy,
    names,
    proxy,
    resolve,
)
from nas_plugins.evaluators.zero_cost.ranking import AZ_NAS, rank_sum  # noqa: E402

SUITE = {"epe_nas", "fisher", "flops", "grad_norm", "grasp", "jacov", "l2_norm", "nwot",
         "params", "plain", "snip", "synflow", "zen"}  # fmt: skip
NEWER = {"az_expressivity", "az_progressivity", "az_trainability", "meco", "n_layers", "swap",
         "zico"}  # fmt: skip


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_DECLARED", dict(module._DECLARED))


def test_all_are_found_by_name() -> None:
    assert set(names()) >= SUITE | NEWER
    assert {p.name for p in resolve("all")} >= SUITE | NEWER
    assert {p.name for p in resolve("default")} >= (SUITE | NEWER) - {"grasp"}
    assert "grasp" not in {p.name for p in resolve("default")}
    for one in resolve(sorted(SUITE | NEWER)):
        assert one.description
        assert one.source
        assert one.direction == "max"
        assert one.reference == f"nas_plugins.evaluators.zero_cost.{_file(one)}:{one.name}"


def test_words_are_names_lists_or_proxies() -> None:
    (nwot,) = resolve("nwot")
    assert resolve("swap, nwot") == resolve(["nwot", "swap"]) == resolve([nwot, "swap", "nwot"])
    with pytest.raises(UnknownNameError, match="did you mean 'jacov'"):
        resolve("jacob")
    with pytest.raises(ValueError, match="at least one proxy"):
        resolve(" ,")


def test_the_decorator_registers_here() -> None:
    @proxy("of-a-script", needs=[Need.MACS], direction="min", source="a paper", version=3)
    def of_a_script(recording: object) -> float:
        """A formula.

        More about it.
        """
        return 1.0

    assert resolve("of-a-script") == (of_a_script,)
    assert "of-a-script" in names()
    assert of_a_script.description == "A formula."
    assert (of_a_script.direction, of_a_script.version) == ("min", 3)
    assert of_a_script(None) == 1.0  # type: ignore[arg-type]


def test_a_name_belongs_to_one_function() -> None:
    def one(recording: object) -> float:
        return 1.0

    def two(recording: object) -> float:
        return 2.0

    proxy("taken")(one)
    proxy("taken")(one)  # a notebook's cell that is run again
    with pytest.raises(PluginError, match="rename one"):
        proxy("taken")(two)
    resolve("nwot")
    module._DECLARED.pop("nwot", None)  # what its import declared
    proxy("nwot")(two)
    with pytest.raises(PluginError, match="as an entry point"):
        resolve("nwot")
    with pytest.warns(RuntimeWarning, match="nwot"):
        assert "swap" in {p.name for p in resolve("all")}
    with pytest.raises(ValueError, match="two proxies of the name"):
        resolve([Proxy("mine", one), Proxy("mine", two)])


@pytest.mark.parametrize("name", ["", "all", "Default", "a b", "default"])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="`name`"):
        Proxy(name, lambda recording: 0.0)


def test_bad_fields_are_refused() -> None:
    with pytest.raises(ValueError, match="`direction`"):
        Proxy("a", lambda recording: 0.0, direction="up")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="`needs`"):
        Proxy("a", lambda recording: 0.0, frozenset({"macs"}))  # type: ignore[arg-type]


def test_proxies_survive_pickling_by_reference() -> None:
    for one in resolve(sorted(SUITE | NEWER)):
        assert pickle.loads(pickle.dumps(one)) is one
    local = Proxy("local", lambda recording: 0.0)
    with pytest.raises(pickle.PicklingError, match="top level of a module"):
        pickle.dumps(local)


def test_another_process_finds_one_of_a_module(tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text(
        "from nas_plugins.evaluators.zero_cost.proxy import proxy\n"
        "@proxy('theirs')\n"
        "def theirs(recording):\n"
        "    return 5\n"
    )
    send = "import pickle, sys, theirs; sys.stdout.buffer.write(pickle.dumps(theirs.theirs))"
    take = "import pickle, sys; print(pickle.load(sys.stdin.buffer)(None))"
    data = subprocess.run([sys.executable, "-c", send], cwd=tmp_path, stdout=-1, check=True).stdout
    done = subprocess.run(
        [sys.executable, "-c", take], cwd=tmp_path, input=data, stdout=-1, check=True
    )
    assert done.stdout.strip() == b"5"


def test_rank_sum_by_hand() -> None:
    scores = {"a": [1.0, 2.0, 3.0, math.nan], "b": [5.0, 5.0, 1.0, 9.0]}
    # Ranks: a 2 3 4 1; b 2.5 2.5 1 4.
    expected = np.log([2 * 2.5 / 16, 3 * 2.5 / 16, 4 * 1 / 16, 1 * 4 / 16])
    np.testing.assert_allclose(rank_sum(scores, ["a", "b"]), expected)
    turned = rank_sum({"a": [3.0, 2.0, 1.0]}, ["a"], smaller_is_better=["a"])
    np.testing.assert_allclose(turned, np.log([1 / 3, 2 / 3, 1.0]))
    assert len(AZ_NAS) == 4


def test_rank_sum_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="`names`"):
        rank_sum({}, [])
    with pytest.raises(KeyError):
        rank_sum({"a": [1.0]}, ["b"])
    with pytest.raises(ValueError, match="`scores`"):
        rank_sum({"a": [1.0], "b": [1.0, 2.0]}, ["a", "b"])


def _file(one: Proxy) -> str:
    return one.compute.__module__.rpartition(".")[2]
