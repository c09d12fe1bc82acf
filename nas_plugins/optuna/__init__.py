"""Optuna: every strategy as a sampler, and helpers around an architecture's objective.

>>> import nas_plugins as nap
>>> import optuna
>>> from nas_plugins.optuna import ArchiveEvolutionSampler, suggest
>>> space = nap.space("nasbench201")
>>> study = optuna.create_study(sampler=ArchiveEvolutionSampler(space=space, seed=0))
>>> study.optimize(lambda trial: space.complexity(suggest(trial, space)).params, n_trials=20)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas_plugins._lazy import lazy
from nas_plugins.constraints import Constraint

if TYPE_CHECKING:
    from nas_plugins.optuna._continue import continue_study
    from nas_plugins.optuna._named import (
        ArchiveEvolutionSampler,
        ArchVQSampler,
        GraphGPSampler,
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
    from nas_plugins.optuna.compat import set_constraints

# Loaded on first use: a study of one strategy needs none of the others.
__getattr__, __dir__ = lazy(
    __name__,
    {
        "ArchVQSampler": "_named",
        "ArchiveEvolutionSampler": "_named",
        "GraphGPSampler": "_named",
        "LLMCoEvolutionSampler": "_named",
        "LocalSearchSampler": "_named",
        "NamedSampler": "_named",
        "RandomArchitectureSampler": "_named",
        "RegularizedEvolutionSampler": "_named",
        "StrategySampler": "_sampler",
        "continue_study": "_continue",
        "create_study": "_study",
        "history": "_study",
        "objective": "_objective",
        "samples": "_named",
        "set_constraints": "compat",
        "study_settings": "_study",
        "suggest": "_objective",
    },
)

__all__ = [
    "ArchVQSampler",
    "ArchiveEvolutionSampler",
    "Constraint",
    "GraphGPSampler",
    "LLMCoEvolutionSampler",
    "LocalSearchSampler",
    "NamedSampler",
    "RandomArchitectureSampler",
    "RegularizedEvolutionSampler",
    "StrategySampler",
    "continue_study",
    "create_study",
    "history",
    "objective",
    "samples",
    "set_constraints",
    "study_settings",
    "suggest",
]
