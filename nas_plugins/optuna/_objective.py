"""From a trial to an architecture, and from an evaluator to an objective function."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import optuna

from nas_plugins._plugin_code import writable
from nas_plugins._secrets import without_passwords
from nas_plugins.constraints import Constraint, constraints_of
from nas_plugins.errors import InvalidArchitectureError, MetricUnavailableError, NasPluginsError
from nas_plugins.history import Objective, objectives_of
from nas_plugins.optuna import compat, dimensions
from nas_plugins.optuna.trial_log import REASON
from nas_plugins.protocols import Evaluator, as_evaluator, measured, measured_reporting
from nas_plugins.spaces.base import Architecture, Choice, SearchSpace

_METRIC = "metric:"


def suggest(
    trial: optuna.Trial, space: SearchSpace | str | Mapping[str, Sequence[Choice]]
) -> Architecture:
    """Asks a trial for an architecture, one parameter per decision.

    Parameters are categorical, or an integer range where a decision is one. Choices that no
    storage keeps, such as classes, are recorded by their labels.

    Works with any sampler. One that samples each parameter on its own, such as Optuna's
    default, may combine choices that are not an architecture together.

    Args:
        trial: The running trial.
        space: The space, its name or a dictionary of choices; parameters are named as its
            decisions.

    Raises:
        InvalidArchitectureError: The sampler's combination is not an architecture.
        ValueError: Optuna cannot tell two choices of a decision apart, such as 1 and True.
        TypeError: ``trial`` is no trial, or ``space`` none of these.
    """
    compat.as_trial(trial)
    space = dimensions.check(dimensions.as_space(space))
    return space.architecture({d.name: dimensions.suggest(trial, d) for d in space.decisions})


def objective(
    evaluator: Evaluator,
    space: SearchSpace,
    objectives: Sequence[Objective | str],
    *,
    constraints: Sequence[Constraint | str] = (),
) -> Callable[[optuna.Trial], float | tuple[float, ...]]:
    """Makes an objective function for ``Study.optimize``.

    Metrics that are no objective are kept as user attributes ``metric:<name>``. When the
    sampler's combination is not an architecture, the trial is pruned. When a value is missing
    or NaN, `MetricUnavailableError` is raised: pass ``catch=NasPluginsError`` to ``optimize``
    so that the study goes on. Either way the user attribute ``nas_plugins:reason`` of the
    trial tells why.

    With one objective, what an evaluator reports of it goes to ``Trial.report``, and
    the study's pruner may end the trial. Optuna prunes no study of several objectives.

    Args:
        evaluator: What measures the architectures. The function pickles if it does.
        space: The space to search.
        objectives: Metrics as `Objective` or text such as ``"val_accuracy:max"``; in the order
            of the study's directions.
        constraints: Limits on metrics as `Constraint` or text such as ``"latency_ms<=5"``.

    Raises:
        ValueError: An objective or constraint is malformed or comes twice.
    """
    return _ObjectiveFunction(
        as_evaluator(evaluator), space, objectives_of(objectives), constraints_of(constraints)
    )


@dataclass(frozen=True)
class _ObjectiveFunction:
    """What `objective` returns: a class, so that it pickles."""

    evaluator: Evaluator
    space: SearchSpace
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]

    def __call__(self, trial: optuna.Trial) -> float | tuple[float, ...]:
        try:
            return self._evaluate(trial, suggest(trial, self.space))
        except InvalidArchitectureError as error:
            trial.set_user_attr(REASON, writable(without_passwords(str(error))))
            raise optuna.TrialPruned(str(error)) from error
        except NasPluginsError as error:
            trial.set_user_attr(REASON, writable(without_passwords(str(error))))
            raise

    def _evaluate(
        self, trial: optuna.Trial, architecture: Architecture
    ) -> float | tuple[float, ...]:
        metrics = self._metrics(trial, architecture)
        names = [objective.name for objective in self.objectives]
        values = [_value(metrics, name) for name in names]
        excess = {
            str(constraint): constraint.excess(_value(metrics, constraint.name))
            for constraint in self.constraints
        }
        compat.set_constraints(trial, excess)
        for name, value in metrics.items():
            if name not in names and math.isfinite(value):
                trial.set_user_attr(_METRIC + name, float(value))
        return values[0] if len(values) == 1 else tuple(values)

    def _metrics(self, trial: optuna.Trial, architecture: Architecture) -> dict[str, float]:
        if len(self.objectives) > 1:
            return measured(self.evaluator, [architecture])[0]
        name = self.objectives[0].name

        def report(step: int, metrics: Mapping[str, float]) -> None:
            value = float(metrics.get(name, math.nan))
            if math.isnan(value):
                return
            trial.report(value, step)
            if trial.should_prune():
                reason = f"pruned at step {step} by {type(trial.study.pruner).__name__}"
                trial.set_user_attr(REASON, reason)
                raise optuna.TrialPruned(reason)

        return measured_reporting(self.evaluator, architecture, report)


def _value(metrics: Mapping[str, float], name: str) -> float:
    try:
        value = float(metrics[name])
    except KeyError:
        raise MetricUnavailableError(
            f"the evaluator returned no metric {name!r}; it returned {sorted(metrics)}"
        ) from None
    if math.isnan(value):
        raise MetricUnavailableError(f"metric {name!r} is not a number")
    return value
