"""From a study to a `SearchResult`, each failed trial with its reason."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import optuna
from optuna.trial import TrialState

from nas_plugins._frozen import FrozenDict
from nas_plugins.history import REASON_NOTE, Trial
from nas_plugins.optuna import history
from nas_plugins.pareto import Floats
from nas_plugins.results import SearchResult
from nas_plugins.runner.problem import Problem
from nas_plugins.runner.session import reason_of

_MEASURED_NOTE = "measured"


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

    Where the search went by predictions, that is also what the benchmark has measured of the
    front, which becomes a note of each trial too, for the report.

    Args:
        result: Of the trials alone.
        problem: What was searched.
        true_front: ``problem.true_front()``.
    """
    rows = () if true_front is None else true_front.tolist()
    front = result.history.front
    measured = _measured(front, problem)
    trials = tuple(_with_measured(t, measured) for t in result.history.trials)
    return replace(
        result,
        history=replace(result.history, trials=trials) if measured else result.history,
        metrics=problem.metrics,
        source=problem.source,
        true_front=tuple(tuple(map(float, row)) for row in rows),
        measured=FrozenDict(measured),
    )


def _measured(front: Sequence[Trial], problem: Problem) -> dict[str, FrozenDict[float]]:
    """What the benchmark says of the front, but for metrics of which it says the same."""
    found = problem.measured([trial.architecture for trial in front])
    names = [objective.name for objective in problem.objectives]
    news = {
        metric
        for name, metric in problem.predicted.items()
        for trial, row in zip(front, found, strict=True)
        if metric in row
        and not math.isclose(row[metric], trial.values[names.index(name)], rel_tol=1e-6)
    }
    rows = [{name: value for name, value in row.items() if name in news} for row in found]
    return {str(t.number): FrozenDict(row) for t, row in zip(front, rows, strict=True) if row}


def _with_measured(trial: Trial, measured: Mapping[str, Mapping[str, float]]) -> Trial:
    values = measured.get(str(trial.number))
    if not values:
        return trial
    text = ", ".join(f"{name} {value:.6g}" for name, value in values.items())
    return replace(trial, notes=FrozenDict({**trial.notes, _MEASURED_NOTE: text}))


def _with_reason(trial: Trial, reasons: Mapping[int, str]) -> Trial:
    if trial.number not in reasons:
        return trial
    notes = {**trial.notes, REASON_NOTE: reasons[trial.number]}
    return replace(trial, notes=FrozenDict(notes))
