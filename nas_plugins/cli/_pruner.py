"""Optuna's pruners by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner

from nas_plugins.cli._errors import UsageError
from nas_plugins.cli._plan import Problem
from nas_plugins.errors import unknown_name
from nas_plugins.protocols import as_evaluator

NONE = "none"
_PRUNERS: Mapping[str, Callable[[], BasePruner]] = {
    NONE: NopPruner,
    "median": MedianPruner,
    "hyperband": HyperbandPruner,
}


def make_pruner(name: str) -> BasePruner:
    """The pruner with Optuna's defaults.

    Raises:
        UnknownNameError: There is none of this name; suggests the nearest.
    """
    if name not in _PRUNERS:
        raise unknown_name("pruner", name, _PRUNERS)
    return _PRUNERS[name]()


def check_pruner(name: str, problem: Problem) -> list[str]:
    """Refuses what Optuna does not prune.

    Returns:
        What a user may not have meant.

    Raises:
        UnknownNameError: There is no pruner of this name.
        UsageError: The search has several objectives.
    """
    make_pruner(name)
    if name == NONE:
        return []
    if len(problem.objectives) > 1:
        raise UsageError(f"--pruner {name} goes with one objective: Optuna prunes no others")
    if not as_evaluator(problem.evaluator).reports:
        return [
            f"note: the evaluator reports nothing on the way, so --pruner {name} ends no trial"
        ]
    return []


__all__ = ["NONE", "check_pruner", "make_pruner"]
