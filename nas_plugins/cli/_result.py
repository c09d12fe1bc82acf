"""From a study to a `SearchResult`, each failed trial with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import optuna
from optuna.trial import TrialState

from nas_plugins._frozen import FrozenDict
from nas_plugins.cli._plan import Problem
from nas_plugins.cli._run import reason_of
from nas_plugins.history import Trial
from nas_plugins.optuna import history
from nas_plugins.pareto import Floats
from nas_plugins.results import SearchResult

_REASON_NOTE = "reason"


def assemble(study: optuna.Study) -> SearchResult:
    """The trials of any study as a result.

    Raises:
        EngineError: The study has no categorical parameters and does not say what it searches.
    """
    ended = study.get_trials(deepcopy=False, states=(TrialState.FAIL, TrialState.PRUNED))
    reasons = {trial.number: reason_of(trial) for trial in ended}
    found = history(study)
    known = {trial.number for trial in found.trials}
    return SearchResult(
        history=replace(found, trials=tuple(_with_reason(t, reasons) for t in found.trials)),
        lost=tuple(reason for number, reason in reasons.items() if number not in known),
    )


def with_problem(
    result: SearchResult, problem: Problem, true_front: Floats | None
) -> SearchResult:
    """Adds what only the benchmark knows.

    Args:
        result: Of the trials alone.
        problem: What was searched.
        true_front: ``problem.true_front()``.
    """
    rows = () if true_front is None else true_front.tolist()
    return replace(
        result,
        metrics=problem.metrics,
        source=problem.source,
        true_front=tuple(tuple(map(float, row)) for row in rows),
    )


def _with_reason(trial: Trial, reasons: Mapping[int, str]) -> Trial:
    if trial.number not in reasons:
        return trial
    notes = {**trial.notes, _REASON_NOTE: reasons[trial.number]}
    return replace(trial, notes=FrozenDict(notes))


__all__ = ["assemble", "with_problem"]
