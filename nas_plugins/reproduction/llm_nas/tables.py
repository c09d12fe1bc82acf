"""Tables 2 to 4: latency at accuracy, quality of the fronts, cost."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from nas_plugins.reproduction.documents import Cell, Reproduction, ResultTable, Spread
from nas_plugins.reproduction.llm_nas import paper
from nas_plugins.reproduction.llm_nas.arms import (
    ARCHIVE,
    BASELINES,
    FULL,
    OURS,
    RANDOM,
    Arm,
    chosen,
)
from nas_plugins.reproduction.llm_nas.cases import TEST, VALIDATION, Case, case_table
from nas_plugins.reproduction.llm_nas.front_figures import front_figures
from nas_plugins.reproduction.llm_nas.request import LLMNASRequest
from nas_plugins.reproduction.llm_nas.runs import Results, SearchRun, results
from nas_plugins.reproduction.llm_nas.scores import HV, IGD, LEVELS, least_latency, lowest_latency
from nas_plugins.reproduction.llm_nas.summaries import (
    NOTES,
    RunScores,
    added,
    by_case,
    control,
    paired_comparisons,
    source,
    summary,
)
from nas_plugins.strategies.llm_coevolution.log import COUNTS

_QUOTED = re.compile(r'"[^"]*"')
"""What a reason quotes of a reply; left out, reasons of a kind are counted together."""


def table2(request: LLMNASRequest) -> Reproduction:
    """The lowest latency at an accuracy."""
    found = _results(request)
    arms = list(dict.fromkeys(arm for arm, _ in found))
    rows: list[tuple[Cell, ...]] = []
    for case in request.cases:
        for level in LEVELS[case.dataset]:
            best = least_latency(case_table(case), level)
            cells = [_latency(found[arm, case], case, level) for arm in arms]
            rows.append((case.dataset, case.device, f"{level:g}", best, *cells))
    heads = ("data set", "device", "test accuracy", "possible", *(arm.name for arm in arms))
    notes = (
        "Lowest latency in ms of the cells on the found front that have at least this true test "
        "accuracy, mean ± sd over the seeds; the front is chosen on validation accuracy. Where "
        "some fronts have no such cell, the number of those that have one is in brackets; a dash "
        "where none has.",
        "*Possible*: the lowest latency of all cells of the space with this test accuracy.",
        source(request),
    )
    return Reproduction(
        "llm-nas-table2",
        "LLM-NAS, Table 2: lowest latency at an accuracy",
        (ResultTable("Latency in ms", heads, tuple(rows), notes), _reported(request)),
        remarks=(_said(request, found),),
        settings=request.settings(),
    )


def table3(request: LLMNASRequest) -> Reproduction:
    """Hypervolume and IGD of every arm in every case, and the fronts as figures."""
    found = _results(request)
    scored = RunScores.of(found)
    full = FULL.with_llm(request.llm)
    null = control(scored, full)
    told = (*NOTES, "The paper's cells of this table are not known.", source(request))
    tables = (
        by_case(scored, (HV, VALIDATION), "Hypervolume ratio (FN 1.1), axes of the search", told),
        by_case(scored, (IGD, VALIDATION), "IGD (FN), axes of the search"),
        by_case(scored, (HV, TEST), "Hypervolume ratio (FN 1.1), test accuracy"),
        by_case(scored, (IGD, TEST), "IGD (FN), test accuracy"),
        summary(scored, "All scores"),
        paired_comparisons(scored, [ARCHIVE, RANDOM, null]),
    )
    return Reproduction(
        "llm-nas-table3",
        "LLM-NAS, Table 3: hypervolume and IGD",
        tables,
        front_figures(found),
        (_said(request, found), added(scored, full, null)),
        request.settings(),
    )


def table4(request: LLMNASRequest) -> Reproduction:
    """What the searches cost, and what became of the model's replies."""
    found = _results(request)
    runs: dict[Arm, list[SearchRun]] = {}
    for (arm, _), some in found.items():
        runs.setdefault(arm, []).extend(some)
    reported = (f"LLM-NAS ({paper.MODEL}; {paper.SOURCE})", None, None, paper.CALLS)
    rows: list[tuple[Cell, ...]] = [(*reported, None, None, None, paper.MINUTES)]
    rows += [(arm.name, *_cost(some)) for arm, some in runs.items()]
    heads = ("arm", "runs", "evaluations", "calls", "tokens in", "tokens out", "model min", "min")
    notes = (
        "Per search, mean ± sd over cases and seeds. *Model min*: minutes within calls of the "
        "model, and *min*: all minutes outside the evaluations, which are look-ups here, those "
        "of the calls included. Replies that were kept from a run that broke off count as calls "
        "and tokens, not as minutes.",
        "The paper's 120 calls are 10 generations x 6 niches x 2; with the defaults here that "
        "takes 330 evaluations. Its 3 minutes leave out the training of the predictor.",
    )
    shares = ("malformed", "illegal", "duplicate", "off-niche")
    share_heads = ("arm", *(f"{name} %" for name in shares), "repair %", "fallback %", "failed")
    share_notes = (
        "*Malformed* to *off-niche*: of the children that the model wrote. *Repair* and "
        "*fallback*: of the trials that were to be the model's, those that it made when asked "
        "again, and those that the classical operator in the niche made in its place. *Failed*: "
        "questions without a reply, all runs together.",
    )
    talking = {arm: some for arm, some in runs.items() if any(run.calls for run in some)}
    replies = tuple((arm.name, *_replies(some, shares)) for arm, some in talking.items())
    reasons = _reasons(talking)
    tables = [
        ResultTable("Cost of a search", heads, tuple(rows), notes),
        ResultTable("What became of the replies", share_heads, replies, share_notes),
        *([reasons] if reasons.rows else []),
    ]
    return Reproduction(
        "llm-nas-table4",
        "LLM-NAS, Table 4: cost",
        tuple(tables),
        remarks=(_said(request, found),),
        settings=request.settings(),
    )


def _results(request: LLMNASRequest) -> Results:
    return results(request, chosen((*BASELINES, *OURS), request.llm))


def _said(request: LLMNASRequest, found: Results) -> str:
    runs = [run for some in found.values() for run in some]
    return (
        "All arms search on the same evaluator, true validation accuracy and latency from the "
        f"table, with {request.evaluations} evaluations each, failed ones and repetitions "
        f"included. {len(runs)} searches, {sum(run.seconds for run in runs) / 60:.1f} minutes in "
        "all; those found in the folder were not run again."
    )


def _latency(runs: Sequence[SearchRun], case: Case, level: float) -> Cell:
    spread = Spread.of(lowest_latency(run, case_table(case), level) for run in runs)
    if 0 < spread.n < len(runs):
        return f"{spread.text(2)} ({spread.n} of {len(runs)})"
    return spread


def _reported(request: LLMNASRequest) -> ResultTable:
    """The paper's latencies, and the cells of the table that have them."""
    rows: list[tuple[Cell, ...]] = []
    for device, latency in paper.LOWEST_LATENCY_MS.items():
        for case in request.cases:
            if case.device != device:
                continue
            known = case_table(case)
            cells = (abs(known.latency - latency) < 0.005) & known.measured
            fronts = {axis: {tuple(p) for p in known.fronts[axis]} for axis in known.fronts}
            shown: list[Cell] = [device, latency, case.dataset, int(cells.sum())]
            for axis in (VALIDATION, TEST):
                best = float(known.accuracy[axis][cells].max()) if cells.any() else None
                on_front = any(tuple(p) in fronts[axis] for p in known.losses[axis][cells])
                shown += [best, "yes" if on_front else "no"]
            rows.append(tuple(shown))
    heads = ("device", "paper's ms", "data set", "cells", "best val", "on front", "best test",
             "on front")  # fmt: skip
    notes = (
        f"The two cells of the paper's table that are known here ({paper.SOURCE}); of which data "
        "set, and at which accuracy, is not. *Cells*: how many of the space have this latency to "
        "two decimals, with the best accuracy of one, and whether one is on the true front.",
    )
    return ResultTable("What the paper reports", heads, tuple(rows), notes)


def _cost(runs: Sequence[SearchRun]) -> list[Cell]:
    asks = any(run.calls for run in runs)
    minutes = Spread.of(run.seconds / 60 for run in runs)
    counts: list[Cell] = [None] * 4
    if asks:
        counts = [
            Spread.of(run.calls for run in runs),
            Spread.of(run.tokens[0] for run in runs),
            Spread.of(run.tokens[1] for run in runs),
            Spread.of(run.call_seconds / 60 for run in runs),
        ]
    return [len(runs), Spread.of(len(run.cells) for run in runs), *counts, minutes]


def _replies(runs: Sequence[SearchRun], shares: Sequence[str]) -> list[Cell]:
    counts = {name: sum(run.counts.get(name, 0) for run in runs) for name in COUNTS}
    written = counts["legal"] + sum(counts[name] for name in shares)
    cells: list[Cell] = [_percent(counts[name], written) for name in shares]
    origins = {
        name: sum(run.origins.get(name, 0) for run in runs)
        for name in ("llm", "repair", "classical")
    }
    meant = sum(origins.values())
    cells += [_percent(origins[name], meant) for name in ("repair", "classical")]
    return [*cells, counts["failed"]]


def _percent(part: int, whole: int) -> float | None:
    return 100.0 * part / whole if whole else None


def _reasons(runs: Mapping[Arm, Sequence[SearchRun]]) -> ResultTable:
    rows: list[tuple[Cell, ...]] = []
    for arm, some in runs.items():
        reasons: dict[str, int] = {}
        for run in some:
            for reason, n in run.fallbacks.items():
                kind = _QUOTED.sub('"..."', reason)
                reasons[kind] = reasons.get(kind, 0) + n
        most = sorted(reasons.items(), key=lambda item: -item[1])[:5]
        rows += [(arm.name, n, reason) for reason, n in most]
    return ResultTable(
        "Why the classical operator stepped in", ("arm", "trials", "why"), tuple(rows)
    )
