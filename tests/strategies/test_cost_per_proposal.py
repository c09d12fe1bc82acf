"""What a proposal costs does not grow with the history: counted in instructions, not in time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from warm_start_helpers import Cheap

import nas_plugins as nap
from nas_plugins.history import History, Trial
from nas_plugins.optuna import StrategySampler, suggest
from nas_plugins.optuna._attributes import note_entries
from nas_plugins.protocols import Strategy
from nas_plugins.spaces.categorical import CategoricalSpace
from nas_plugins.strategies.warm_start import WarmStart
from nas_plugins.testing.strategies import measured, objectives, search, started, toy_values

SPACE = CategoricalSpace({f"d{i}": [0, 1, 2, 3] for i in range(8)})
FEW, MANY, BATCH = 200, 2000, 100
ASKED = 10

# Copies of what is known are one instruction each; loops over the trials are many.
ALLOWED = 2.5

STRATEGIES: dict[str, Callable[[], Strategy]] = {
    "random": lambda: nap.strategy("random"),
    "local-search": lambda: nap.strategy("local-search"),
    "regularized-evolution": lambda: nap.strategy("regularized-evolution"),
    "archive-evolution": lambda: nap.strategy("archive-evolution"),
    "warm-start": lambda: WarmStart("archive-evolution", Cheap(), pool=20),
    "co-evolution-off": lambda: nap.strategy("llm-coevolution", llm="off"),
    "co-evolution-null": lambda: nap.strategy("llm-coevolution", llm="null"),
}


@contextmanager
def counted(within: str = "") -> Iterator[list[int]]:
    """Counts the instructions of the interpreter, in files whose path has this part."""
    count, before = [0], sys.gettrace()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if within not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count[0] += event == "opcode"
        return trace

    sys.settrace(trace)
    try:
        yield count
    finally:
        sys.settrace(before)


@lru_cache(maxsize=1)
def searched(name: str) -> History:
    """A long search; at random where a strategy leaves no notes, so that much is left to find."""
    history = History(SPACE, objectives(1))
    noted = name == "local-search" or name.startswith("co-evolution")
    strategy = STRATEGIES[name if noted else "random"]()
    while len(history) < MANY:
        n = min(len(history) + BATCH, MANY)
        history = search(strategy, history, n, seed=len(history), batch=BATCH).derived()
    return history


def work_in_optuna(name: str, trials: tuple[Trial, ...]) -> float:
    """Instructions per trial of a study that holds trials already."""
    sampler = StrategySampler(STRATEGIES[name](), space=SPACE, seed=0)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    distributions = {d.name: CategoricalDistribution(d.choices) for d in SPACE.decisions}
    study.add_trials(
        optuna.create_trial(
            params=trial.architecture.choices,
            distributions=distributions,
            values=trial.values,
            system_attrs=dict(note_entries(trial.notes)),
        )
        for trial in trials
    )
    study.optimize(lambda trial: toy_values(suggest(trial, SPACE), 1)[0], n_trials=1)
    with counted() as count:
        study.optimize(lambda trial: toy_values(suggest(trial, SPACE), 1)[0], n_trials=ASKED)
    return count[0] / ASKED


def work_in_nni(name: str, trials: tuple[Trial, ...]) -> float:
    """Instructions per trial of an experiment that has seen trials already."""
    state = pytest.importorskip("nas_plugins.nni._state")
    log = state.ExperimentLog(STRATEGIES[name](), SPACE, objectives(1), entropy=0)

    def told(architecture: nap.Architecture, number: int) -> None:
        log.tell(number, {"f0": toy_values(architecture, 1)[0]})

    for trial in trials:
        told(trial.architecture, log.add(trial.architecture, notes=trial.notes).number)

    def run(n: int) -> None:
        for _ in range(n):
            trial = log.ask()
            told(trial.architecture, trial.number)

    run(1)
    with counted() as count:
        run(ASKED)
    return count[0] / ASKED


@pytest.mark.parametrize("work", [work_in_optuna, work_in_nni])
@pytest.mark.parametrize("name", STRATEGIES)
def test_the_work_of_a_proposal_does_not_grow_with_the_trials(
    name: str, work: Callable[[str, tuple[Trial, ...]], float]
) -> None:
    trials = searched(name).trials
    assert work(name, trials) < ALLOWED * work(name, trials[:FEW])


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_history_that_grew_and_one_made_at_once_have_the_same_proposals(name: str) -> None:
    """Some trials run on for a while, so that what was derived must be derived again."""
    strategy, rng = STRATEGIES[name](), np.random.default_rng(1)
    settled = History(SPACE, objectives(2))
    running: list[Trial] = []
    for step in range(30):
        history = settled.extend(running)
        seed = [step, len(history)]
        found = strategy.propose(history, 2, np.random.default_rng(seed))
        whole = History(SPACE, history.objectives, history.trials)
        assert found == STRATEGIES[name]().propose(whole, 2, np.random.default_rng(seed))
        running += started(history, found)
        running = [t if t.values or rng.random() < 0.4 else measured(t, 2) for t in running]
        done = next((i for i, t in enumerate(running) if not t.values), len(running))
        if done:
            settled, running = settled.extend(running[:done]).derived(), running[done:]


def cell_and_rate(trial: optuna.Trial) -> float:
    """An architecture may come again with another rate."""
    return toy_values(suggest(trial, SPACE), 1)[0] + trial.suggest_float("rate", 0, 1)


def layers(trial: optuna.Trial) -> float:
    """A trial records a part of the decisions."""
    n = trial.suggest_categorical("n", [4, 5, 6, 7, 8])
    return float(sum(trial.suggest_categorical(f"d{i}", [0, 1, 2, 3]) for i in range(n)))


@pytest.mark.parametrize("objective", [cell_and_rate, layers])
def test_what_a_study_has_tried_is_not_read_anew_for_every_trial(
    objective: Callable[[optuna.Trial], float],
) -> None:
    """What samples the rate is not counted: Optuna's TPE reads all trials itself."""
    source = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    source.optimize(objective, n_trials=800)
    work = []
    for n in (100, 800):
        sampler = StrategySampler(
            "random", seed=0, independent_sampler=optuna.samplers.RandomSampler(seed=0)
        )
        study = optuna.create_study(sampler=sampler)
        study.add_trials(source.get_trials(deepcopy=False)[:n])
        study.optimize(objective, n_trials=1)
        with counted() as count:
            study.optimize(objective, n_trials=ASKED)
        work.append(count[0] / ASKED)
    assert work[1] < 2 * work[0]


@pytest.mark.parametrize("n_given", [4, 8])
def test_an_enqueued_trial_costs_the_same_however_long_the_queue_is(n_given: int) -> None:
    """Ours alone is counted: Optuna looks for the next one among all trials."""
    queue = SPACE.architectures(SPACE.random(1500, np.random.default_rng(0)))
    work = []
    for n in (100, 1500):
        study = optuna.create_study(
            sampler=StrategySampler("archive-evolution", space=SPACE, seed=0)
        )
        for architecture in queue[:n]:
            study.enqueue_trial(dict(list(architecture.choices.items())[:n_given]))
        study.optimize(cell_and_rate, n_trials=2)
        with counted(str(Path(nap.__file__).parent)) as count:
            study.optimize(cell_and_rate, n_trials=3)
        work.append(count[0])
    assert work[1] < 1.2 * work[0]
