"""What ``nas-plugins search`` is asked, and what it answers, whatever the engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from nas_plugins.errors import EngineError
from nas_plugins.results import SearchResult
from nas_plugins.runner.language_model import lasting_options, shown
from nas_plugins.runner.problem import Plan, Problem
from nas_plugins.runner.storage import StorageURL


class Status(str, Enum):
    """How a search ended."""

    FINISHED = "finished"
    TIMEOUT = "timeout"
    INTERRUPTED = "interrupted"
    TERMINATED = "terminated"
    BROKEN = "broken"


@dataclass(frozen=True)
class Request:
    """What ``nas-plugins search`` was asked to do.

    Attributes:
        plan: What is searched for.
        trials: Trials in all, those of earlier runs included.
        engine: What runs the trials.
        seed: Of the strategy; ``None`` keeps a resumed study's, or draws one.
        url: The storage; ``None`` for memory.
        study: Name; given exactly if `url` is.
        resume: Whether to go on with an existing study.
        take_over: Whether to fail running trials of processes that nothing is known about.
        workers: Processes.
        timeout: Seconds after which no trial begins, or ``None``.
        pruner: Name of the pruner.
        out: Folder of the results, or ``None``.
        quiet: Whether nothing but errors is shown.
    """

    plan: Plan
    trials: int
    engine: str = "optuna"
    seed: int | None = None
    url: StorageURL | None = None
    study: str | None = None
    resume: bool = False
    take_over: bool = False
    workers: int = 1
    timeout: float | None = None
    pruner: str = "none"
    out: Path | None = None
    quiet: bool = False

    def lasting(self, problem: Problem) -> dict[str, Any]:
        """The settings that every run of a study must share."""
        plan = self.plan
        return {
            "space": problem.space.name,
            "objectives": [str(objective) for objective in problem.objectives],
            "benchmark": plan.benchmark,
            "evaluators": list(plan.evaluators),
            "strategy": plan.strategy,
            "constraints": [str(constraint) for constraint in problem.constraints],
            "benchmark_options": dict(plan.benchmark_options),
            "evaluator_options": dict(plan.evaluator_options),
            "strategy_options": lasting_options(plan.strategy, plan.strategy_options),
            "pruner": self.pruner,
            "warm_start": None if plan.warm_start is None else plan.warm_start.to_json(),
        }

    def check_resumed(self, problem: Problem, recorded: Mapping[str, Any]) -> None:
        """Refuses to mix trials of different searches in one study.

        Args:
            problem: What is searched now.
            recorded: ``settings`` and ``seed`` of the study, as far as it tells them.

        Raises:
            EngineError: Something differs; names it.
        """
        before = {**(recorded.get("settings") or {}), "seed": recorded.get("seed")}
        now = {**self.lasting(problem), "seed": self.seed}
        if self.seed is None:
            del now["seed"]
        for key, value in now.items():
            if key in before and before[key] != value:
                raise EngineError(
                    f"study {self.study!r} was begun with {key} {before[key]!r}, not {value!r}; "
                    "resume it with the same or choose another --study"
                )

    def exists_already(self) -> EngineError:
        """The error where a new study would have the name of an old one."""
        return EngineError(
            f"study {self.study!r} exists already in {self.url}; pass --resume (with "
            "--storage and --study) to go on with it, or choose another --study"
        )

    def settings(self, problem: Problem, *, seed: int | None, status: Status) -> dict[str, Any]:
        """What the result says was asked for.

        Args:
            problem: What was searched.
            seed: That was given or drawn.
            status: How the search ended.
        """
        return {
            **self.lasting(problem),
            "strategy_options": shown(self.plan.strategy_options),
            "engine": self.engine,
            "space_options": dict(self.plan.space_options),
            "trials": self.trials,
            "seed": seed,
            "workers": self.workers,
            "timeout": self.timeout,
            "storage": None if self.url is None else str(self.url),
            "study": self.study,
            "resumed": self.resume,
            "status": status.value,
        }


@dataclass(frozen=True)
class Outcome:
    """What came of a search.

    Attributes:
        result: Everything that was found.
        status: How it ended.
        url: Where the trials are kept; ``None`` when they are gone with the process.
        study: Name of the study there.
        error: What ended it, where something broke.
    """

    result: SearchResult
    status: Status
    url: StorageURL | None
    study: str | None
    error: EngineError | None = None


__all__ = ["Outcome", "Request", "Status"]
