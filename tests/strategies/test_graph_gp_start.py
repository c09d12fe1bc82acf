"""What Graph-GP starts from: the top of a pool by proxies where it has them, else at random."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import nas_plugins as nap
from nas_plugins import _public
from nas_plugins.errors import DataError, UnknownNameError
from nas_plugins.history import History, Objective, Trial, TrialState
from nas_plugins.protocols import Metric
from nas_plugins.ranked_pool import NOTE
from nas_plugins.spaces.categorical import CategoricalSpace
from nas_plugins.strategies.graph_gp import start
from nas_plugins.strategies.graph_gp.strategy import GraphGP
from nas_plugins.testing.strategies import search

CELLS = nap.space("nasbench201")
PLAIN = CategoricalSpace({f"d{i}": [0, 1, 2, 3] for i in range(5)})
ONE = (Objective("f", "min"),)


class Proxies:
    """Both proxies, as sums of choices; counts what it is asked."""

    metrics = (Metric("synflow", "", "max"), Metric("zen", "", "max"))

    def __init__(self, *, sign: float = 1.0, gaps: bool = False) -> None:
        self.sign, self.gaps = sign, gaps
        self.asked: list[int] = []

    def evaluate(self, architectures: Sequence[nap.Architecture]) -> list[dict[str, float]]:
        self.asked.append(len(architectures))
        return [{} if self.gaps else self._one(a) for a in architectures]

    def _one(self, architecture: nap.Architecture) -> dict[str, float]:
        score = self.sign * float(sum(architecture.indices))
        return {"synflow": score, "zen": score**3}


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> Proxies:
    """Proxies in place of the live ones; the published table is not installed."""
    proxies = Proxies()
    monkeypatch.setattr(start, "_published", lambda space: None)
    monkeypatch.setattr(start, "_live", lambda: proxies)
    return proxies


def _first(strategy: GraphGP, n: int = 5, *, space: Any = CELLS, seed: int = 0) -> History:
    return search(strategy, History(space, ONE), n, seed=seed)


def _ranked(history: History) -> list[int]:
    return [trial.number for trial in history.trials if NOTE in trial.notes]


def test_three_of_five_come_from_the_ranking(live: Proxies) -> None:
    history = _first(GraphGP())
    assert _ranked(history) == [0, 1, 2]
    assert live.asked == [start.LIVE_POOL]
    sums = [sum(trial.architecture.indices) for trial in history.trials]
    assert sums[:3] == sorted(sums[:3], reverse=True)
    assert min(sums[:3]) > 12 + 3  # random cells have 12 in the mean


def test_who_asks_for_proxies_gets_the_whole_pool(live: Proxies) -> None:
    _first(GraphGP(start="proxies"))
    _first(GraphGP(start="proxies", pool=40))
    assert live.asked == [start.POOL, 40]


def test_the_start_is_the_same_in_a_batch_and_in_another_process(live: Proxies) -> None:
    one = _first(GraphGP(), seed=3)
    again = _first(GraphGP(), seed=3)
    assert one == again
    batch = GraphGP().propose(History(CELLS, ONE), 5, np.random.default_rng(3))
    assert [p.architecture for p in batch[:3]] == [t.architecture for t in one.trials[:3]]


def test_a_search_that_goes_on_ranks_the_same_pool(live: Proxies) -> None:
    history = _first(GraphGP(), 1)
    pool = history.trials[0].notes[NOTE].split()[-1]
    following = GraphGP().propose(history, 2, np.random.default_rng(99))
    assert [p.notes[NOTE] for p in following] == [
        f"rank {rank} of {start.LIVE_POOL} in pool {pool}" for rank in (2, 3)
    ]


def test_a_failed_trial_of_the_ranking_is_replaced(live: Proxies) -> None:
    rng = np.random.default_rng(0)
    (first,) = GraphGP().propose(History(CELLS, ONE), 1, rng)
    failed = Trial(0, first.architecture, TrialState.FAILED, notes=first.notes)
    following = GraphGP().propose(History(CELLS, ONE, (failed,)), 5, rng)
    assert sum(NOTE in p.notes for p in following) == 3


def test_after_other_trials_nothing_is_ranked(live: Proxies) -> None:
    history = _first(GraphGP(start="random"), 5)
    GraphGP().propose(history, 3, np.random.default_rng(0))
    assert live.asked == []


def test_fixed_choices_are_kept_to(live: Proxies) -> None:
    name = CELLS.decisions[0].name
    history = History(CELLS, ONE).fixing({name: "none"})
    for proposal in GraphGP().propose(history, 3, np.random.default_rng(0)):
        assert NOTE in proposal.notes
        assert proposal.architecture.choices[name] == "none"


@pytest.mark.parametrize(
    ("strategy", "space", "objectives"),
    [
        (GraphGP(start="random"), CELLS, ONE),
        (GraphGP(), PLAIN, ONE),
        (GraphGP(task={"benchmark": "nasbench201"}), CELLS, ONE),
        (GraphGP(), CELLS, (*ONE, Objective("g", "min"))),
    ],
    ids=["asked for", "no networks", "a table answers", "two objectives"],
)
def test_else_it_starts_at_random(
    live: Proxies, strategy: GraphGP, space: Any, objectives: tuple[Objective, ...]
) -> None:
    history = search(strategy, History(space, objectives), 5)
    assert (_ranked(history), live.asked) == ([], [])


def test_published_proxies_go_before_those_to_compute(
    live: Proxies, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Proxies()
    monkeypatch.setattr(start, "_published", lambda space: table)
    _first(GraphGP(task={"benchmark": "nasbench201"}))
    assert (table.asked, live.asked) == ([start.POOL], [])


def test_a_table_that_is_not_installed_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise DataError(f"no file for {name}")

    monkeypatch.setattr(_public, "benchmark", absent)
    assert start._published(CELLS) is None


def test_without_any_score_auto_is_random_and_proxies_say_why(live: Proxies) -> None:
    live.gaps = True
    assert _ranked(_first(GraphGP())) == []
    with pytest.raises(nap.errors.MetricUnavailableError, match="the start of graph-gp"):
        _first(GraphGP(start="proxies"))


def test_without_pytorch_one_line_says_what_is_missed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(start, "_published", lambda space: None)
    for name in [n for n in sys.modules if n.startswith("nas_plugins.evaluators.zero_cost.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "nas_plugins._torch", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    start._say_what_is_missing.cache_clear()
    for seed in range(2):
        assert _ranked(_first(GraphGP(), seed=seed)) == []
    assert [r.getMessage() for r in caplog.records if "PyTorch" in r.getMessage()] == [
        "graph-gp starts at random, as PyTorch is not installed; a start by zero-cost proxies "
        "has better architectures among its first ten trials: pip install 'nas-plugins[torch]'"
    ]


def test_proxies_need_networks() -> None:
    with pytest.raises(ValueError, match="has no networks"):
        _first(GraphGP(start="proxies"), space=PLAIN)


def test_wrong_options_are_told() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'proxies'"):
        GraphGP(start="proxy")
    with pytest.raises(ValueError, match="`pool` must be >= 3, got 2"):
        GraphGP(pool=2)
    with pytest.raises(TypeError, match="`pool` must be an integer"):
        GraphGP(pool=2.5)  # type: ignore[arg-type]
