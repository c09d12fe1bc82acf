"""Optuna: every strategy as a sampler, and helpers around an architecture's objective.

>>> import nas_plugins as nap
>>> import optuna
>>> from nas_plugins.optuna import ArchiveEvolutionSampler, suggest
>>> space = nap.space("nasbench201")
>>> study = optuna.create_study(sampler=ArchiveEvolutionSampler(space=space, seed=0))
>>> study.optimize(lambda trial: space.complexity(suggest(trial, space)).params, n_trials=20)
"""

from __future__ import annotations

from nas_plugins.constraints import Constraint
from nas_plugins.optuna._named import (
    ArchiveEvolutionSampler,
    ArchVQSampler,
    LLMCoEvolutionSampler,
    LocalSearchSampler,
    NamedSampler,
    RandomArchitectureSampler,
    RegularizedEvolutionSampler,
    samples,
)
from nas_plugins.optuna._objective import objective, suggest
from nas_plugins.optuna._sampler import StrategySampler
from nas_plugins.optuna._study import create_study, history, study_settings

__all__ = [
    "ArchVQSampler",
    "ArchiveEvolutionSampler",
    "Constraint",
    "LLMCoEvolutionSampler",
    "LocalSearchSampler",
    "NamedSampler",
    "RandomArchitectureSampler",
    "RegularizedEvolutionSampler",
    "StrategySampler",
    "create_study",
    "history",
    "objective",
    "samples",
    "study_settings",
    "suggest",
]
