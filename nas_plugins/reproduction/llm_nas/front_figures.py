"""The found fronts in the plane of accuracy and latency, as figures: the paper's Figure 1."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nas_plugins.reproduction.charts import scatter_panels
from nas_plugins.reproduction.llm_nas.arms import Arm
from nas_plugins.reproduction.llm_nas.cases import VALIDATION, Case, case_table
from nas_plugins.reproduction.llm_nas.runs import Results
from nas_plugins.reproduction.llm_nas.scores import found_front

_LOWEST = 0.02
"""Share of the front's range below its second-least accuracy that is shown: the least is often
that of a disconnected cell, at chance level, and would flatten all else."""


def front_figures(results: Results) -> Mapping[str, str]:
    """A figure per case, by name: a panel per arm with the found fronts of all its seeds."""
    by_case: dict[Case, list[Arm]] = {}
    for arm, case in results:
        by_case.setdefault(case, []).append(arm)
    return {
        f"llm-nas-coverage-{case.dataset}-{case.device}": _figure(case, arms, results)
        for case, arms in by_case.items()
    }


def _figure(case: Case, arms: list[Arm], results: Results) -> str:
    known = case_table(case)
    panels = []
    for arm in arms:
        cells = np.concatenate([found_front(run)[0] for run in results[arm, case]])
        latency, accuracy = known.latency[cells], known.accuracy[VALIDATION][cells]
        panels.append((f"{arm.name} ({len(results[arm, case])})", latency, accuracy))
    front = known.fronts[VALIDATION] * (-1.0, 1.0)
    front = front[np.argsort(front[:, 1])]
    low = float(np.sort(front[:, 0])[min(1, len(front) - 1)])
    high = float(front[:, 0].max())
    margin = max(_LOWEST * (high - low), 0.1)
    return scatter_panels(
        panels,
        title=f"{case}: fronts of all runs (their number), and the true front",
        x_label="latency, ms",
        y_label="validation accuracy, %",
        x_range=(0.0, float(front[:, 1].max()) * 1.05),
        y_range=(low - margin, high + margin),
        line=(front[:, 1].tolist(), front[:, 0].tolist()),
    )
