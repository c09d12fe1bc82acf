"""Table 5: what each part of the co-evolution contributes, and searching on predictions."""

from __future__ import annotations

from dataclasses import replace

from nas_plugins.reproduction.documents import Cell, Reproduction, ResultTable, Spread
from nas_plugins.reproduction.llm_nas import paper
from nas_plugins.reproduction.llm_nas.arms import ABLATIONS, ARCHIVE, FULL, ON_SURROGATE, chosen
from nas_plugins.reproduction.llm_nas.cases import LABELS, TEST, VALIDATION
from nas_plugins.reproduction.llm_nas.request import DATASETS, LLMNASRequest
from nas_plugins.reproduction.llm_nas.runs import Results, results
from nas_plugins.reproduction.llm_nas.scores import (
    ACCURACY,
    HV,
    HV_SPACE,
    IGD,
    IGD_PLUS,
    PREDICTED,
)
from nas_plugins.reproduction.llm_nas.summaries import (
    NOTES,
    RunScores,
    Score,
    added,
    by_case,
    control,
    paired_comparisons,
    source,
)

_COLUMNS: tuple[Score, ...] = (
    (HV_SPACE, VALIDATION),
    (HV_SPACE, TEST),
    (HV, VALIDATION),
    (HV, TEST),
    (IGD, VALIDATION),
    (IGD_PLUS, VALIDATION),
)


def table5(request: LLMNASRequest) -> Reproduction:
    """The ablations, mean over the devices on CIFAR-10, and the surrogate."""
    request = replace(request, datasets=DATASETS[:1])
    true = results(request, chosen(ABLATIONS, request.llm))
    scored = RunScores.of(true)
    guessed = results(request, chosen(ON_SURROGATE, request.llm))
    full = FULL.with_llm(request.llm)
    return Reproduction(
        "llm-nas-table5",
        "LLM-NAS, Table 5: ablations",
        (
            _ablations(scored, request),
            by_case(scored, (HV, VALIDATION), "Hypervolume ratio (FN 1.1), axes of the search"),
            paired_comparisons(scored, [full, ARCHIVE]),
            _surrogate(guessed),
        ),
        remarks=(
            f"Every search has {request.evaluations} evaluations.",
            added(scored, full, control(scored, full)),
        ),
        settings=request.settings(),
    )


def _ablations(scored: RunScores, request: LLMNASRequest) -> ResultTable:
    rows: list[tuple[Cell, ...]] = [
        (f"{name} ({paper.SOURCE})", None, hypervolume, *[None] * (len(_COLUMNS) - 1))
        for name, hypervolume in paper.ABLATIONS
    ]
    rows += [
        (arm.name, scored.seeds(arm), *(scored.over_cases(arm, column) for column in _COLUMNS))
        for arm in scored.values
    ]
    notes = (
        f"Mean over the devices ({', '.join(request.devices)}) on CIFAR-10; the deviation is that "
        "of this mean over the seeds. On the true validation accuracy, so without a surrogate.",
        "The paper's scale, reference point, axis and what its deviation is over are not known; "
        "its figures stand under SN 1.0, which is a guess, and were found with a surrogate.",
        *NOTES,
        source(request),
    )
    heads = ("arm", "seeds", *(f"{score} {axis}" for score, axis in _COLUMNS))
    return ResultTable("Ablations, CIFAR-10", heads, tuple(rows), notes, digits=3)


def _surrogate(guessed: Results) -> ResultTable:
    scored = RunScores.of(guessed)
    axes = (PREDICTED, VALIDATION, TEST)
    rows: list[tuple[Cell, ...]] = []
    for arm in scored.values:
        own = [run for (other, _), runs in guessed.items() if other == arm for run in runs]
        rank = Spread.of(run.spearman for run in own)
        cells = [
            scored.over_cases(arm, (score, axis)) for score in (ACCURACY, HV, IGD) for axis in axes
        ]
        rows.append((arm.name, rank, *cells))
    names = ("mean accuracy", HV, IGD)
    heads = ("arm, on predicted accuracy", "Spearman", *(f"{n}: {a}" for n in names for a in axes))
    notes = (
        f"The search sees accuracies that XGBoost predicts from the 13 zero-cost proxies of "
        f"NAS-Bench-Suite-Zero, trained on the true validation accuracy of {LABELS} cells drawn "
        f"at random, which cost {LABELS} evaluations more; labelled cells keep the measured "
        "value. Another training set and surrogate for every seed.",
        "*Predicted*, *val* and *test* are of the same front, the one that the predictions chose: "
        "the mean accuracy of its cells, and its scores. *Predicted* is scored against the true "
        "front on validation accuracy and is what such a search believes.",
        "*Spearman*: of predicted and true validation accuracy over all cells without a label.",
    )
    return ResultTable(
        "Searching on predicted accuracy, CIFAR-10", heads, tuple(rows), notes, digits=3
    )
