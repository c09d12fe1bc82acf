"""The tables of LLM-NAS: arms, runs that are kept, scores, duels, documents."""

from __future__ import annotations

import json
import math
import os
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nas_plugins as nap
from nas_plugins import pareto
from nas_plugins.benchmarks.base import Table, TabularBenchmark
from nas_plugins.errors import UnknownNameError
from nas_plugins.llm import ChatSetupError
from nas_plugins.protocols import Metric
from nas_plugins.reproduction.charts import scatter_panels
from nas_plugins.reproduction.harness import alone
from nas_plugins.reproduction.llm_nas import ablations, cases, runs, tables
from nas_plugins.reproduction.llm_nas.arms import (
    ABLATIONS,
    ARCHIVE,
    ASKED,
    BASELINES,
    FULL,
    ON_SURROGATE,
    OURS,
    RANDOM,
    Arm,
    chosen,
)
from nas_plugins.reproduction.llm_nas.cases import (
    AXES,
    OBJECTIVES,
    TEST,
    VALIDATION,
    Case,
    CaseTable,
)
from nas_plugins.reproduction.llm_nas.request import LLMNASRequest
from nas_plugins.reproduction.llm_nas.runs import SearchJob, SearchRun, do, results
from nas_plugins.reproduction.llm_nas.scores import (
    ACCURACY,
    HIT,
    HV,
    HV_SPACE,
    IGD,
    IGD_PLUS,
    LEVELS,
    PREDICTED,
    PairedComparison,
    found_front,
    least_latency,
    lowest_latency,
    scores,
    sign_test,
)
from nas_plugins.reproduction.llm_nas.summaries import RunScores, added, paired_comparisons
from nas_plugins.reproduction.stock import in_study, stock_sampler

CASE = Case("cifar10", "fpga")
EDGE = Case("cifar10", "edgetpu")
NB201 = nap.space("nasbench201")

_METRICS = (
    Metric("latency_ms", "ms", "min"),
    Metric("val_accuracy", "%", "max"),
    Metric("test_accuracy", "%", "max"),
)


def toy(dataset: str, device: str) -> TabularBenchmark:
    """All cells, with a latency that costs accuracy; a third has none on the Edge TPU."""
    rows = NB201.rows(NB201.architectures(np.array(np.meshgrid(*[range(5)] * 6)).reshape(6, -1).T))
    noise = np.random.default_rng(len(device)).normal(size=(2, len(rows)))
    size = (rows * np.arange(1, 7)).sum(axis=1)
    latency = 1.0 + 0.1 * size + 0.2 * np.abs(noise[0])
    if device == "edgetpu":
        latency[::3] = np.nan
    accuracy = 90.0 - 40.0 / (1.0 + size) + noise[1]
    columns = {"latency_ms": latency, "val_accuracy": accuracy, "test_accuracy": accuracy + 2}
    return TabularBenchmark(
        f"toy/{dataset}/{device}", NB201, Table(rows, columns, _METRICS, "made for tests")
    )


@pytest.fixture
def world(monkeypatch):
    """Cases are toys; the surrogate's predictions are the truth with noise."""
    known: dict[Case, CaseTable] = {}

    def found(case: Case) -> CaseTable:
        if case not in known:
            known[case] = CaseTable(case, toy(case.dataset, case.device))
        return known[case]

    def guess(case: Case, seed: int, folder: Path) -> tuple[cases.Floats, float]:
        truth = found(case).accuracy[VALIDATION]
        noise = np.random.default_rng(seed).normal(size=len(truth))
        return truth + noise, 0.9

    from nas_plugins.reproduction.llm_nas import front_figures, summaries

    for module in (runs, tables, front_figures, summaries):
        monkeypatch.setattr(module, "case_table", found)
    monkeypatch.setattr(runs, "predicted", guess)
    return found


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder whose runs the tests share, as tables do."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def request_(kept):
    """Two cases, two seeds, a few evaluations more than the first ones drawn."""
    return LLMNASRequest(
        kept,
        budget="quick",
        evaluations=36,
        devices=("fpga", "edgetpu"),
    )


def run_of(cells: list[int], known: CaseTable) -> SearchRun:
    """A search that evaluated these cells."""
    both = np.stack([known.accuracy[VALIDATION], known.latency], axis=1)[cells]
    failed = ~np.isfinite(both).all(axis=1)
    both[failed] = np.nan
    return SearchRun(tuple(cells), tuple(map(tuple, both.tolist())), seconds=1.0)


def cells_of(points: np.ndarray, known: CaseTable, axis: str) -> list[int]:
    """A cell for each point."""
    losses = known.losses[axis]
    return [int(np.flatnonzero((losses == point).all(axis=1))[0]) for point in points]


# -- arms and requests ---------------------------------------------------------------------


def test_arms_are_built_with_the_model_that_is_asked_for():
    arms = chosen((*BASELINES, *OURS), "null")
    assert [arm.name for arm in arms if arm.llm == "null" and not arm.options] == [
        "co-evolution, null LLM"
    ]
    named = chosen((*BASELINES, *OURS), "openai:m")
    assert sum(arm.asks for arm in named) == sum(arm.llm == ASKED for arm in OURS)
    assert {arm for arm in arms if not arm.llm} < set(named)
    assert named[len(BASELINES)].name == "co-evolution, openai:m"
    assert named[len(BASELINES)].asks
    assert not any(arm.asks for arm in arms)


@pytest.mark.parametrize("arm", chosen((*BASELINES, *OURS, *ABLATIONS, *ON_SURROGATE), "null"))
def test_every_arm_can_be_built(arm):
    if arm.stock:
        assert stock_sampler(arm.strategy, seed=0, **arm.options) is not None
    else:
        assert nap.strategy(arm.strategy, **runs._options(arm)) is not None


def test_names_of_arms_differ_within_a_table():
    for table in ((*BASELINES, *OURS), ABLATIONS, ON_SURROGATE):
        for llm in ("null", "local", "off"):
            names = [arm.name for arm in chosen(table, llm)]
            assert len(set(names)) == len(names)


def test_a_request_fills_in_its_budget(tmp_path):
    full = LLMNASRequest(tmp_path)
    assert len(full.cases) == 18
    assert (full.seeds, full.evaluations) == (10, 120)
    asking = FULL.with_llm("local")
    assert (full.seeds_of(RANDOM), full.seeds_of(asking)) == (range(10), range(3))
    assert replace(full, seeds=2).seeds_of(asking) == range(2)
    assert LLMNASRequest(tmp_path, budget="quick", evaluations=7).evaluations == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": "smal"}, "did you mean 'small'"),
        ({"devices": ("fpag",)}, "did you mean 'fpga'"),
        ({"datasets": ("cifar",)}, "unknown data set"),
        ({"workers": 3}, "`workers` must be 1 or 2, got 3"),
        ({"seeds": -1}, "`seeds` must be >= 0"),
    ],
)
def test_a_request_refuses_nonsense(tmp_path, options, message):
    with pytest.raises((ValueError, UnknownNameError), match=message):
        LLMNASRequest(tmp_path, **options)


# -- runs ----------------------------------------------------------------------------------


def test_all_arms_have_equal_evaluations_and_failed_ones_count(world, request_):
    arms = chosen((*BASELINES, *OURS), "null")
    found = results(request_, arms)
    assert len(found) == 2 * len(arms)
    for (_, case), some in found.items():
        assert len(some) == 2
        for run in some:
            assert len(run.cells) == len(run.searched) == 36
            latency = world(case).latency[list(run.cells)]
            failed = [math.isnan(row[0]) for row in run.searched]
            assert failed == np.isnan(latency).tolist()
    assert any(math.isnan(row[0]) for row in found[RANDOM, EDGE][0].searched)


def test_finished_runs_are_read_and_not_run_again(world, request_, monkeypatch):
    arms = chosen((RANDOM, FULL), "null")
    first = results(request_, arms)
    lines: list[str] = []
    monkeypatch.setattr(runs, "do", lambda *_: pytest.fail("a run was repeated"))
    again = results(replace(request_, note=lines.append), arms)
    assert lines == []
    assert json.dumps(again[arms[1], CASE][0].searched) == json.dumps(
        first[arms[1], CASE][0].searched
    )
    assert again[arms[1], CASE][0].counts == first[arms[1], CASE][0].counts
    assert again[arms[1], CASE][0].calls > 0


def test_an_interrupted_run_goes_on_with_what_is_missing(world, request_, tmp_path):
    request_ = replace(request_, out=tmp_path)
    arms = chosen((RANDOM, ARCHIVE), "null")
    results(request_, arms)
    files = sorted(request_.out.rglob("runs/**/*.json"))
    assert len(files) == 8
    files[0].unlink()
    files[1].write_text('{"cells": [1, 2', encoding="utf-8")  # torn
    lines: list[str] = []
    results(replace(request_, note=lines.append), arms)
    assert len(lines) == 2
    assert sorted(request_.out.rglob("runs/**/*.json")) == files


def test_the_key_tells_options_seeds_and_code_apart_but_no_names(monkeypatch):
    job = SearchJob(RANDOM, CASE, 0, 30)
    keys = {
        job.key,
        replace(job, seed=1).key,
        replace(job, case=EDGE).key,
        replace(job, evaluations=31).key,
        replace(job, arm=replace(RANDOM, options={"avoid_duplicates": False})).key,
        replace(job, arm=replace(RANDOM, evaluator="surrogate")).key,
        replace(job, arm=ARCHIVE).key,
    }
    assert len(keys) == 7
    assert replace(job, arm=replace(RANDOM, name="chance")).key == job.key
    monkeypatch.setattr(runs, "_code", lambda *_, **__: "other code")
    assert job.key not in keys


def test_runs_depend_on_the_seed_alone(world, request_, tmp_path):
    arm = chosen(OURS, "null")[0]
    job = SearchJob(arm, CASE, 3, 24)
    one, two = (do(job, tmp_path / name) for name in "ab")
    assert one.cells == two.cells
    assert do(replace(job, seed=4), tmp_path).cells != one.cells


def test_an_arm_is_the_strategy_alone_on_its_history(world, tmp_path):
    known = world(CASE)
    run = do(SearchJob(ARCHIVE, CASE, 5, 20), tmp_path)

    def measure(architecture):
        values = known.benchmark.evaluate([architecture])[0]
        return values["val_accuracy"], values["latency_ms"]

    strategy = nap.strategy("archive-evolution")
    steps = list(alone(strategy, NB201, OBJECTIVES, n_trials=20, measure=measure, seed=5))
    assert [step.values for step in steps] == list(run.searched)


def test_a_model_that_cannot_be_used_is_told_before_anything_is_run(world, request_, tmp_path):
    request_ = replace(request_, out=tmp_path)
    arms = chosen((RANDOM, FULL), "null:argument")
    with pytest.raises(ChatSetupError, match="must have no argument"):
        results(request_, arms)
    assert not list(request_.out.rglob("*.json"))


def test_replies_of_a_model_are_kept_for_a_run_that_breaks_off(world, tmp_path, monkeypatch):
    from llm_coevolution_helpers import ScriptedChat, uniform

    model = ScriptedChat(uniform)
    monkeypatch.setattr(runs, "_model", lambda name: model)
    arm = FULL.with_llm("local")
    job = SearchJob(arm, CASE, 0, 60)
    first = do(job, tmp_path)
    asked = len(model.requests)
    assert asked == first.calls > 0
    assert first.tokens == (100 * asked, 10 * asked)
    job.file(tmp_path).unlink()
    again = do(job, tmp_path)
    assert len(model.requests) == asked
    assert (again.cells, again.tokens) == (first.cells, first.tokens)
    assert "CIFAR-10" in model.requests[0].messages[-1].content


def test_two_processes_find_the_same(tmp_path):
    if not os.environ.get("NAS_PLUGINS_DATA"):
        pytest.skip("NAS_PLUGINS_DATA is not set")
    request = LLMNASRequest(
        tmp_path / "a", budget="quick", seeds=2, evaluations=10, devices=("fpga",), workers=2
    )
    both = results(request, (RANDOM, ARCHIVE))
    alone_ = results(replace(request, out=tmp_path / "b", workers=1), (RANDOM, ARCHIVE))
    assert {key: [run.cells for run in some] for key, some in both.items()} == {
        key: [run.cells for run in some] for key, some in alone_.items()
    }


def test_samplers_of_optuna_are_built_by_name():
    assert stock_sampler("nsga2", seed=0)._population_size == 20  # the default here
    assert stock_sampler("nsga2", seed=0, population_size=8)._population_size == 8
    with pytest.raises(UnknownNameError, match="did you mean 'nsga2'"):
        stock_sampler("nsga", seed=0)


def test_choices_that_are_no_architecture_are_failed_evaluations():
    asked = []

    def measure(architecture):
        asked.append(architecture)
        return None if architecture is None else (1.0, 2.0)

    sampler = stock_sampler("random", seed=0)
    found = [None, NB201.sample(np.random.default_rng(0))]
    steps = list(
        in_study(
            sampler, lambda trial: found[trial.number], OBJECTIVES, n_trials=2, measure=measure
        )
    )
    assert asked == [step.architecture for step in steps] == found
    assert [step.state.value for step in steps] == ["failed", "complete"]


# -- scores --------------------------------------------------------------------------------


def test_the_true_front_scores_best(world):
    known = world(CASE)
    cells = cells_of(known.fronts[VALIDATION], known, VALIDATION)
    found = scores(run_of(cells, known), known)
    assert found[HV, VALIDATION] == pytest.approx(1)
    assert found[HV_SPACE, VALIDATION] == pytest.approx(1)
    assert found[IGD, VALIDATION] == found[IGD_PLUS, VALIDATION] == 0
    assert found[HIT, VALIDATION] == 1
    # In the toy test accuracy is validation accuracy and 2: another front of the same shape.
    assert found[HV, TEST] == pytest.approx(1)
    assert found[ACCURACY, TEST] == pytest.approx(found[ACCURACY, VALIDATION] + 2)


def test_scores_are_those_of_the_package(world):
    known = world(CASE)
    cells = [7, 70, 700, 7000, 7]
    found = scores(run_of(cells, known), known)
    losses = known.losses[VALIDATION][cells]
    losses = losses[pareto.front_mask(losses)]
    front = known.fronts[VALIDATION]
    assert found[HV, VALIDATION] == pytest.approx(pareto.hv_ratio(losses, front))
    assert found[IGD_PLUS, VALIDATION] == pytest.approx(pareto.igd_plus(losses, front))
    assert len(found_front(run_of(cells, known))[0]) == len(np.unique(losses, axis=0))


def test_a_search_that_found_nothing_scores_nothing(world):
    known = world(EDGE)
    unmeasured = np.flatnonzero(np.isnan(known.latency))[:3].tolist()
    found = scores(run_of(unmeasured, known), known)
    assert found[HV, VALIDATION] == found[HIT, TEST] == 0
    assert math.isnan(found[IGD, VALIDATION])
    assert math.isnan(lowest_latency(run_of(unmeasured, known), known, 1.0))


def test_predictions_choose_the_front_and_are_scored_beside_the_truth(world, tmp_path):
    arm = replace(RANDOM, evaluator="surrogate")
    run = do(SearchJob(arm, CASE, 0, 30), tmp_path)
    known = world(CASE)
    seen = np.array(run.searched)[:, 0]
    assert not np.allclose(seen, known.accuracy[VALIDATION][list(run.cells)])
    found = scores(run, known)
    cells, accuracy = found_front(run)
    assert found[ACCURACY, PREDICTED] == pytest.approx(accuracy.mean())
    assert found[ACCURACY, VALIDATION] == pytest.approx(known.accuracy[VALIDATION][cells].mean())
    assert {axis for _, axis in found} == {*AXES, PREDICTED}
    assert run.spearman == 0.9
    assert SearchRun.read(SearchJob(arm, CASE, 0, 30).file(tmp_path)) == run


def test_the_lowest_latency_is_of_cells_that_are_accurate_enough(world):
    known = world(CASE)
    cells = cells_of(known.fronts[VALIDATION], known, VALIDATION)
    run = run_of(cells, known)
    level = float(np.median(known.accuracy[TEST][cells]))
    assert lowest_latency(run, known, level) == pytest.approx(least_latency(known, level))
    assert math.isnan(lowest_latency(run, known, 1000.0))
    assert math.isnan(least_latency(known, 1000.0))


@given(st.integers(0, 40), st.integers(0, 40))
def test_the_sign_test_is_a_probability_and_fair(won, lost):
    p = sign_test(won, lost)
    assert 0 < p <= 1
    assert p == sign_test(lost, won)
    if won == lost:
        assert p == 1


def test_the_sign_test_agrees_with_scipy():
    stats = pytest.importorskip("scipy.stats")
    for won, lost in ((0, 5), (3, 7), (14, 4), (100, 80)):
        expected = stats.binomtest(won, won + lost).pvalue
        assert sign_test(won, lost) == pytest.approx(expected)


def test_duels_count_cases_and_pairs_of_common_seeds():
    pair = PairedComparison.between([[3.0, 1.0, 9.0], [2.0]], [[2.0, 1.0], [5.0, 0.0]])
    assert (pair.cases, pair.of, pair.won, pair.lost) == (1, 2, 1, 1)


def test_less_distance_wins():
    ours, theirs = ({(IGD, VALIDATION): value} for value in (0.1, 0.2))
    scored = RunScores({RANDOM: {CASE: [ours]}, ARCHIVE: {CASE: [theirs]}})
    assert scored.compared(RANDOM, ARCHIVE, (IGD, VALIDATION)).cases == 1
    assert scored.over_cases(RANDOM, (IGD, VALIDATION)).mean == 0.1


def test_what_the_model_adds_is_told_over_common_seeds():
    full, null = FULL.with_llm("local"), FULL.with_llm("null")
    hv = [[{(HV, VALIDATION): v} for v in values] for values in ([0.9, 0.8], [0.7, 0.9, 0.0])]
    scored = RunScores({full: {CASE: hv[0]}, null: {CASE: hv[1]}})
    text = added(scored, full, null)
    assert "0.850 against 0.800" in text
    assert "1 of 1 cases and 1 : 1 pairs" in text
    assert "No language model was asked" in added(scored, null, null)


# -- documents -----------------------------------------------------------------------------


def cell(table, row: int, column: str):
    return table.rows[row][table.columns.index(column)]


def test_table2_has_a_row_per_level_and_what_is_possible(world, request_):
    document = tables.table2(request_)
    table = document.tables[0]
    assert len(table.rows) == 2 * len(LEVELS["cifar10"])
    assert table.columns[4:8] == ("random", "archive evolution", "NSGA-II", "TPE")
    assert document.tables[1].rows[0][:3] == ("fpga", 1.65, "cifar10")
    assert "llm-nas-table2" in document.markdown()


def test_table3_has_all_cases_and_arms_summaries_and_figures(world, request_, tmp_path):
    document = tables.table3(request_)
    by_case = document.tables[0]
    assert [row[0] for row in by_case.rows] == [
        "cifar10/fpga",
        "cifar10/edgetpu",
        "mean over the cases",
        "cases better than archive evolution",
        "cases better than random",
        "seeds",
    ]
    assert cell(by_case, 3, "archive evolution") is None
    assert cell(by_case, 4, "archive evolution").endswith(" of 2")
    spread = cell(by_case, 0, "random")
    assert spread.n == 2
    assert 0 < spread.mean <= 1
    assert set(document.figures) == {
        "llm-nas-coverage-cifar10-fpga",
        "llm-nas-coverage-cifar10-edgetpu",
    }
    for figure in document.figures.values():
        ET.fromstring(figure)
    document.write(tmp_path / "there")
    json.dumps(document.to_json(), allow_nan=False)


def test_table4_sets_the_cost_beside_the_papers(world, request_):
    document = tables.table4(request_)
    cost, replies = document.tables[:2]
    assert cell(cost, 0, "calls") == 120
    assert cell(cost, 0, "min") == 3.0
    assert cell(cost, 1, "calls") is None  # random
    ours = [row[0] for row in cost.rows].index("co-evolution, null LLM")
    assert cell(cost, ours, "calls").mean > 0
    assert cell(cost, ours, "evaluations").mean == 36
    assert cell(replies, 0, "illegal %") == 0


def test_reasons_of_a_kind_are_counted_together():
    some = [
        SearchRun((), (), 0.0, fallbacks={'duplicate: "2 1" comes twice': 2, "used up": 1}),
        SearchRun((), (), 0.0, fallbacks={'duplicate: "0 4" comes twice': 3}),
    ]
    assert tables._reasons({FULL: some}).rows == (
        (FULL.name, 5, 'duplicate: "..." comes twice'),
        (FULL.name, 1, "used up"),
    )


def test_table5_has_the_papers_rows_the_ablations_and_the_surrogate(world, request_):
    document = ablations.table5(replace(request_, datasets=("cifar100",), seeds=1))
    table, *_, predicted = document.tables
    assert table.rows[0][0].startswith("full (arXiv")
    assert cell(table, 0, "hv SN 1.0 val").mean == 0.978
    assert cell(table, 3, "hv SN 1.0 val") is None
    names = [row[0] for row in table.rows]
    assert {"no partition", "random partition", "no knowledge base", "random"} <= set(names)
    assert [row[0] for row in predicted.rows][-1] == "random"
    assert cell(predicted, 0, "hv FN 1.1: predicted").n == 1
    assert "cifar10" in document.markdown()
    assert "cifar100/" not in document.markdown()


def test_duels_leave_out_an_arm_against_itself(world, request_):
    scored = RunScores.of(results(request_, (RANDOM, ARCHIVE)))
    table = paired_comparisons(scored, [ARCHIVE])
    assert [row[:2] for row in table.rows] == [("random", "archive evolution")]


def test_panels_share_their_axes_and_refuse_nonsense():
    figure = scatter_panels(
        [("a < b", [1, 99], [2, -5]), ("c", [], [])],
        title="t",
        x_label="x",
        y_label="y",
        x_range=(0, 10),
        y_range=(0, 10),
        line=([0, 10], [0, 10]),
    )
    root = ET.fromstring(figure)
    circles = [e for e in root.iter() if e.tag.endswith("circle")]
    assert [(c.get("cx"), c.get("cy")) for c in circles] == [("25.0", "144.0"), ("250.0", "180.0")]
    with pytest.raises(ValueError, match="at least one panel"):
        scatter_panels([], title="", x_label="", y_label="", x_range=(0, 1), y_range=(0, 1))
    with pytest.raises(ValueError, match="`y_range` must end above"):
        scatter_panels(
            [("", [], [])], title="", x_label="", y_label="", x_range=(0, 1), y_range=(1, 1)
        )


# -- the real tables -----------------------------------------------------------------------


@pytest.fixture
def real():
    """Skips without the tables."""
    if not os.environ.get("NAS_PLUGINS_DATA"):
        pytest.skip("NAS_PLUGINS_DATA is not set")
    return cases.case_table


def test_the_papers_fpga_latency_is_on_the_true_front(real):
    known = real(CASE)
    front = known.fronts[TEST] * (-1, 1)
    assert [89.88, 1.65] in np.round(front, 2).tolist()
    assert least_latency(known, LEVELS["cifar10"][0]) == pytest.approx(1.65, abs=0.005)


def test_unmeasured_cells_of_the_edge_tpu_are_no_part_of_anything(real):
    known = real(EDGE)
    assert (~known.measured).sum() == 4699
    assert all(np.isfinite(front).all() for front in known.fronts.values())


@pytest.mark.slow
def test_the_surrogate_predicts_from_published_proxies(real, tmp_path):
    pytest.importorskip("xgboost")
    values, spearman = cases.predicted(CASE, 0, tmp_path)
    assert spearman > 0.92
    assert len(values) == 15625
    again, _ = cases.predicted(CASE, 0, tmp_path)
    assert np.array_equal(values, again)


def test_an_arm_of_the_leads_is_one_line():
    mine = Arm("mine", "archive-evolution", {"n_initial": 5})
    assert runs._options(mine) == {"n_initial": 5}
