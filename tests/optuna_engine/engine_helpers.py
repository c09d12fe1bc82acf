"""Strategies, spaces and worker functions for the tests of the Optuna engine.

A module of its own, so that spawned processes can import it.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna
from optuna.samplers import BaseSampler

from nas_plugins import CategoricalSpace
from nas_plugins.history import History, Proposal
from nas_plugins.optuna import (
    ArchiveEvolutionSampler,
    ArchVQSampler,
    GraphGPSampler,
    LocalSearchSampler,
    RandomArchitectureSampler,
    RegularizedEvolutionSampler,
    StrategySampler,
    suggest,
)
from nas_plugins.sampling import unseen

SAMPLERS: list[type[StrategySampler]] = [
    RandomArchitectureSampler,
    LocalSearchSampler,
    RegularizedEvolutionSampler,
    ArchiveEvolutionSampler,
    ArchVQSampler,
    GraphGPSampler,
]
SPACE = CategoricalSpace({f"op{i}": ["conv", "pool", "skip", "none"] for i in range(4)})
TINY = CategoricalSpace({"a": [1, 2], "b": ["x", "y"]})


class DistinctPair(CategoricalSpace):
    """Nine combinations of which the three with equal choices are not architectures."""

    def __init__(self) -> None:
        super().__init__({"a": [0, 1, 2], "b": [0, 1, 2]})

    @property
    def size(self) -> int:
        return 6

    def valid(self, rows: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.bool_]:
        distinct: npt.NDArray[np.bool_] = rows[:, 0] != rows[:, 1]
        return distinct

    def _explain(self, indices: Sequence[int]) -> str | None:
        return None if indices[0] != indices[1] else "`a` and `b` must differ"


@dataclass(frozen=True)
class Recorder:
    """Proposes at random and remembers the histories it was given, for the tests to look at."""

    avoid_duplicates: bool = True
    histories: list[History] = field(default_factory=list)

    def propose(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        self.histories.append(history)
        return [Proposal(history.space.sample(rng)) for _ in range(n)]


@dataclass(frozen=True)
class Scripted:
    """Proposes whatever `answer` returns."""

    answer: Callable[[History], Any]

    def propose(self, history: History, n: int, rng: np.random.Generator) -> Any:
        return self.answer(history)


@dataclass(frozen=True)
class FirstUnseen:
    """Proposes the first unseen architecture: workers collide as often as they can.

    Its long note names the architecture.
    """

    def propose(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        for rows in history.space.enumerate():
            for architecture in history.space.architectures(rows):
                if architecture.key not in history.seen:
                    return [Proposal(architecture, {"why": long_note(str(architecture))})]
        return []


@dataclass(frozen=True)
class Noting:
    """Proposes at random, with a long note that names the architecture."""

    def propose(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        found = unseen(history.space, n, rng, taken=history.seen)
        return [Proposal(a, {"why": long_note(str(a))}) for a in found]


def long_note(text: str) -> str:
    return json.dumps([text] * 100) + 'é"\n'


def value_of(trial: optuna.Trial) -> float:
    """A deterministic objective on `SPACE`: convolutions are good, none is bad."""
    worth = {"conv": 3.0, "pool": 2.0, "skip": 1.0, "none": 0.0}
    choices = suggest(trial, SPACE).choices
    return sum(worth[str(c)] * (i + 1) for i, c in enumerate(choices.values()))


def with_numbers(trial: optuna.Trial) -> float:
    """As `value_of`, with parameters beside the space."""
    return value_of(trial) - trial.suggest_float("lr", 1e-5, 1, log=True) * trial.suggest_int(
        "epochs", 1, 1000
    )


def params_of(study: optuna.Study) -> list[dict[str, Any]]:
    return [trial.params for trial in study.trials]


def proposals_in_a_new_process(index: int) -> list[dict[str, Any]]:
    """What a sampler with seed 3 proposes; run in spawned processes."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler: BaseSampler = SAMPLERS[index](space=SPACE, seed=3)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(with_numbers, n_trials=12)
    return params_of(study)


def open_storage(url: str) -> optuna.storages.BaseStorage:
    """Opens ``sqlite:///...`` or ``grpc://host:port``."""
    if url.startswith("grpc://"):
        host, _, port = url.removeprefix("grpc://").partition(":")
        proxy = optuna.storages.GrpcStorageProxy(host=host, port=int(port))
        proxy.wait_server_ready(timeout=60)
        return proxy

    def connect() -> sqlite3.Connection:
        path = url.removeprefix("sqlite:///")
        connection = sqlite3.connect(path, timeout=120, check_same_thread=False)
        # No test here cuts the power; waiting for the disk would take most of the time.
        connection.execute("PRAGMA synchronous=OFF")
        return connection

    return optuna.storages.RDBStorage(url, engine_kwargs={"creator": connect})


def serve(url: str, port: int) -> None:
    """Serves a SQLite storage to `GrpcStorageProxy`; runs until it is terminated."""
    optuna.storages.run_grpc_proxy_server(open_storage(url), host="localhost", port=port)


def work(url: str, n_trials: int, start: float) -> None:
    """One worker: begins at the time `start`, so that all begin together."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = StrategySampler(FirstUnseen(), space=SPACE, seed=0)
    study = optuna.load_study(study_name="shared", storage=open_storage(url), sampler=sampler)
    time.sleep(max(start - time.time(), 0))
    study.optimize(value_of, n_trials=n_trials)
