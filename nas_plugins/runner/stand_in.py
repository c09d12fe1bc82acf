"""What serves where the files of a benchmark are absent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nas_plugins as nap
from nas_plugins import registry
from nas_plugins.composition import SEPARATOR
from nas_plugins.errors import NasPluginsError
from nas_plugins.protocols import Metric
from nas_plugins.runner.problem import Plan


def with_stand_in(plan: Plan) -> tuple[Plan, str]:
    """Takes the benchmark that stands in for an absent one, where it measures all that is asked.

    A benchmark names its stand-in by a static method ``stand_in(*table)``, which returns ``None``
    while its own files are there. Whoever names the source of a metric, or gives options of the
    benchmark, means that benchmark and no other.

    Returns:
        The plan, and a remark for the user; the plan as it is, and no remark, where the
        benchmark is there or nothing can take its place.
    """
    if plan.benchmark is None or plan.benchmark_options:
        return plan, ""
    family, *table = plan.benchmark.split("/")
    if family not in registry.names("benchmark"):
        return plan, ""
    named = getattr(registry.load("benchmark", family), "stand_in", None)
    other = named(*table) if callable(named) else None
    if other is None:
        return plan, ""
    try:
        metrics = {metric.name: metric for metric in nap.benchmark(other).metrics}
    except NasPluginsError:
        return plan, ""  # not there either: the user is told of the benchmark that was asked for
    wanted = [*_names(plan)]
    if any(SEPARATOR in name or name not in metrics for name in wanted):
        return plan, ""
    return replace(plan, benchmark=other), _remark(plan.benchmark, other, wanted, metrics)


def _names(plan: Plan) -> list[str]:
    """Metrics of objectives and constraints, as they are written."""
    objectives = [word.rpartition(":")[0] or word for word in plan.objectives]
    constraints = [word.replace(">=", "<=").partition("<=")[0] for word in plan.constraints]
    return [name.strip() for name in (*objectives, *constraints)]


def _remark(asked: str, other: str, wanted: list[str], metrics: dict[str, Metric]) -> str:
    told = [
        f"{name} is {metrics[name].description}"
        for name in dict.fromkeys(wanted)
        if metrics[name].description
    ]
    return (
        f"note: the files of {asked} are absent (nas-plugins data list); {other} stands in for "
        f"it: {'; '.join(told)}"
    )


def stood_in(settings: dict[str, Any], asked: str | None) -> dict[str, Any]:
    """The settings of a result, with the benchmark that was asked for where another served."""
    if asked is None or settings.get("benchmark") == asked:
        return settings
    return {**settings, "stands_in_for": asked}


__all__ = ["stood_in", "with_stand_in"]
