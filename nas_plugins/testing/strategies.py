"""What every search strategy must do, as tests to inherit.

Subclass `StrategyTestCase` and give it a ``strategy`` fixture::

    class TestMyStrategy(StrategyTestCase):
        @pytest.fixture
        def strategy(self):
            return MyStrategy()

A strategy for certain spaces only overrides the fixture ``space`` as well.
"""

from __future__ import annotations

import json
import math
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from nas_plugins import registry
from nas_plugins._frozen import FrozenDict
from nas_plugins.history import History, Objective, Proposal, Trial, TrialState
from nas_plugins.protocols import Strategy
from nas_plugins.spaces.base import Architecture, SearchSpace
from nas_plugins.spaces.categorical import CategoricalSpace
from nas_plugins.testing.spaces import registered_space

Measure = Callable[[Trial], Trial]

_SPAWNED = """
import pickle, sys
strategy, history, n, rng = pickle.load(sys.stdin.buffer)
pickle.dump(strategy.propose(history, n, rng), sys.stdout.buffer)
"""


def objectives(m: int) -> tuple[Objective, ...]:
    """Returns `m` objectives of mixed directions."""
    return tuple(Objective(f"f{i}", ("max", "min")[i % 2]) for i in range(m))


def toy_values(architecture: Architecture, m: int) -> tuple[float, ...]:
    """A smooth, deterministic value per objective with a different optimum for each."""
    scale = np.maximum(architecture.space.cardinalities - 1, 1)
    x = architecture.row / scale
    return tuple(float(np.abs(x - i / max(m - 1, 1)).sum()) for i in range(m))


def measured(trial: Trial, m: int, **changes: object) -> Trial:
    """Completes a running trial with its `toy_values`."""
    fields = {**vars(trial), "state": TrialState.COMPLETE, **changes}
    fields.setdefault("values", ())
    if not fields["values"]:
        fields["values"] = toy_values(trial.architecture, m)
    names = ("number", "architecture", "state", "values", "constraints", "notes")
    return Trial(**{name: fields[name] for name in names})


def search(
    strategy: Strategy,
    history: History,
    n_trials: int,
    *,
    seed: int = 0,
    batch: int = 1,
    measure: Measure | None = None,
) -> History:
    """Runs a strategy until the history has `n_trials` or the strategy proposes nothing.

    Args:
        strategy: The strategy.
        history: What is there at the start.
        n_trials: Trials in the end.
        seed: Seed of the one generator that is used throughout.
        batch: Proposals per call.
        measure: Turns a running trial into a finished one; default `measured`.
    """
    rng = np.random.default_rng(seed)
    m = len(history.objectives)
    finish = measure or (lambda trial: measured(trial, m))
    while len(history) < n_trials:
        proposals = strategy.propose(history, min(batch, n_trials - len(history)), rng)
        if not proposals:
            break
        history = history.extend(finish(t) for t in started(history, proposals))
    return history


def started(history: History, proposals: Sequence[Proposal]) -> list[Trial]:
    """The running trials that proposals become at the end of `history`."""
    return [
        Trial(len(history) + i, p.architecture, TrialState.RUNNING, notes=p.notes)
        for i, p in enumerate(proposals)
    ]


class StrategyTestCase:
    """Inherit this and define a ``strategy`` fixture.

    Attributes:
        n_trials: Length of the searches that the tests run.
    """

    n_trials = 40

    @pytest.fixture
    def strategy(self) -> Strategy:
        """The strategy under test, with duplicates avoided; override this."""
        raise NotImplementedError("define a `strategy` fixture")

    @pytest.fixture
    def space(self) -> SearchSpace:
        """A small space on which the strategy works."""
        return CategoricalSpace.macro(5, ("a", "b", "c"))

    @pytest.fixture
    def tiny_space(self) -> SearchSpace:
        """A space of very few architectures on which the strategy works."""
        return CategoricalSpace({"x": [0, 1], "y": ["a", "b", "c"], "z": ["only"]})

    @pytest.fixture
    def mixed(self, strategy: Strategy, space: SearchSpace) -> History:
        """A two-objective history in every state, with constraints and gaps in the numbers."""
        history = search(strategy, History(space, objectives(2)), self.n_trials // 2)
        trials = [
            measured(t, 2, number=2 * t.number, constraints={"size": t.number % 3 - 1.0})
            for t in history.trials
        ]
        for i, state in enumerate((TrialState.FAILED, TrialState.PRUNED, TrialState.RUNNING)):
            for trial in trials[i::6]:
                trials[trials.index(trial)] = Trial(
                    trial.number, trial.architecture, state, notes=trial.notes
                )
        return History(space, history.objectives, tuple(trials))

    # -- a pure function -------------------------------------------------------------------

    def test_is_a_strategy(self, strategy: Strategy) -> None:
        assert isinstance(strategy, Strategy)

    @pytest.mark.parametrize("n", [1, 5])
    def test_same_history_and_rng_same_proposals(
        self, strategy: Strategy, mixed: History, n: int
    ) -> None:
        first = strategy.propose(mixed, n, np.random.default_rng(1))
        # A call about another search in between must leave no trace.
        strategy.propose(History(mixed.space, objectives(1)), 3, np.random.default_rng(2))
        assert strategy.propose(mixed, n, np.random.default_rng(1)) == first

    def test_only_the_value_of_the_history_counts(
        self, strategy: Strategy, mixed: History
    ) -> None:
        copy = History.from_json(json.loads(json.dumps(mixed.to_json())))
        expected = strategy.propose(mixed, 4, np.random.default_rng(1))
        assert strategy.propose(copy, 4, np.random.default_rng(1)) == expected

    def test_pickles(self, strategy: Strategy, mixed: History) -> None:
        copy = pickle.loads(pickle.dumps(strategy))
        expected = strategy.propose(mixed, 4, np.random.default_rng(1))
        assert copy.propose(mixed, 4, np.random.default_rng(1)) == expected

    def test_another_process_proposes_the_same(self, strategy: Strategy, mixed: History) -> None:
        rng = np.random.default_rng(1)
        expected = strategy.propose(mixed, 4, np.random.default_rng(1))
        done = subprocess.run(
            [sys.executable, "-c", _SPAWNED],
            input=pickle.dumps((strategy, mixed, 4, rng)),
            # Another hash seed changes the order in which sets of strings are walked.
            env={**os.environ, "PYTHONHASHSEED": "12345"},
            stdout=subprocess.PIPE,
            check=True,
        )
        assert pickle.loads(done.stdout) == expected

    def test_history_and_global_generators_are_left_alone(
        self, strategy: Strategy, mixed: History
    ) -> None:
        before = json.dumps(mixed.to_json())
        numpy_state, python_state = str(np.random.get_state()), random.getstate()
        strategy.propose(mixed, 4, np.random.default_rng(1))
        assert json.dumps(mixed.to_json()) == before
        assert str(np.random.get_state()) == numpy_state
        assert random.getstate() == python_state

    def test_the_generator_decides(self, strategy: Strategy, space: SearchSpace) -> None:
        history = History(space, objectives(1))
        drawn = {
            strategy.propose(history, 1, np.random.default_rng(seed))[0].architecture
            for seed in range(20)
        }
        assert len(drawn) > 1

    # -- what is proposed ------------------------------------------------------------------

    @pytest.mark.parametrize("n", [0, 1, 2, 7])
    def test_batches_are_distinct_and_unseen(
        self, strategy: Strategy, mixed: History, n: int
    ) -> None:
        proposals = strategy.propose(mixed, n, np.random.default_rng(3))
        assert len(proposals) == n
        keys = {proposal.architecture.key for proposal in proposals}
        assert len(keys) == n
        assert not keys & mixed.seen
        for proposal in proposals:
            assert proposal.architecture.space == mixed.space
            assert all(isinstance(text, str) for text in proposal.notes.values())

    @pytest.mark.parametrize("batch", [1, 4])
    def test_no_duplicates_in_a_search(
        self, strategy: Strategy, space: SearchSpace, batch: int
    ) -> None:
        history = search(strategy, History(space, objectives(1)), self.n_trials, batch=batch)
        assert len(history) == len(history.seen) == self.n_trials

    def test_running_trials_are_avoided(self, strategy: Strategy, space: SearchSpace) -> None:
        history = History(space, objectives(1))
        rng = np.random.default_rng(4)
        for _ in range(self.n_trials):
            history = history.extend(started(history, strategy.propose(history, 1, rng)))
        assert len(history) == len(history.seen) == self.n_trials

    @pytest.mark.parametrize("batch", [1, 4, 100])
    @pytest.mark.parametrize("m", [1, 2])
    def test_exhaustion_ends_the_search(
        self, strategy: Strategy, tiny_space: SearchSpace, batch: int, m: int
    ) -> None:
        history = search(strategy, History(tiny_space, objectives(m)), 100, batch=batch)
        assert len(history) == len(history.seen) == tiny_space.size
        assert strategy.propose(history, 3, np.random.default_rng(0)) == []

    def test_choices_fixed_by_the_engine_do_not_disturb(
        self, strategy: Strategy, mixed: History
    ) -> None:
        decision = mixed.space.decisions[0]
        fixed = FrozenDict({decision.name: decision.choices[0], "learning_rate": 0.1})
        history = History(mixed.space, mixed.objectives, mixed.trials, fixed)
        assert len(strategy.propose(history, 2, np.random.default_rng(0))) == 2

    # -- where it works --------------------------------------------------------------------

    @pytest.mark.parametrize("name", registry.names("space"))
    def test_works_on_every_registered_space(self, strategy: Strategy, name: str) -> None:
        space = registered_space(name)
        history = search(strategy, History(space, objectives(2)), 24, batch=2)
        assert len(history.seen) == 24

    @pytest.mark.parametrize("m", [1, 2, 3])
    def test_works_with_any_number_of_objectives(
        self, strategy: Strategy, space: SearchSpace, m: int
    ) -> None:
        history = search(strategy, History(space, objectives(m)), self.n_trials)
        assert len(history) == self.n_trials

    @pytest.mark.parametrize("m", [1, 2])
    @pytest.mark.parametrize("least", [-1.0, 1.0])
    def test_works_with_constraints(
        self, strategy: Strategy, space: SearchSpace, m: int, least: float
    ) -> None:
        """With `least` > 0 nothing is feasible."""

        def measure(trial: Trial) -> Trial:
            return measured(trial, m, constraints={"size": least + trial.architecture.indices[0]})

        empty = History(space, objectives(m))
        history = search(strategy, empty, self.n_trials, measure=measure)
        assert len(history) == self.n_trials

    @pytest.mark.parametrize("m", [1, 2])
    @pytest.mark.parametrize("period", [1, 2, 3])
    def test_works_with_infinite_values(
        self, strategy: Strategy, space: SearchSpace, m: int, period: int
    ) -> None:
        """Every `period`-th trial is infinite, in turn to either side."""

        def measure(trial: Trial) -> Trial:
            if trial.number % period:
                return measured(trial, m)
            sign = (-1.0) ** (trial.number // period)
            return measured(trial, m, values=(sign * math.inf,) * m)

        empty = History(space, objectives(m))
        history = search(strategy, empty, self.n_trials, measure=measure)
        assert len(history) == self.n_trials

    @pytest.mark.parametrize("state", [TrialState.FAILED, TrialState.PRUNED])
    @pytest.mark.parametrize("period", [1, 2])
    def test_works_when_trials_fail(
        self, strategy: Strategy, space: SearchSpace, state: TrialState, period: int
    ) -> None:
        """Every `period`-th trial fails; failed trials have no values but were seen."""

        def measure(trial: Trial) -> Trial:
            if trial.number % period:
                return measured(trial, 1)
            return Trial(trial.number, trial.architecture, state, notes=trial.notes)

        empty = History(space, objectives(1))
        history = search(strategy, empty, self.n_trials, measure=measure)
        assert len(history) == len(history.seen) == self.n_trials

    def test_works_on_trials_of_others(self, strategy: Strategy, space: SearchSpace) -> None:
        """Enqueued trials carry no notes, and may repeat an architecture."""
        rows = space.random(10, np.random.default_rng(5))
        architectures = [a for a in space.architectures(rows) for _ in range(2)]
        trials = [
            measured(Trial(i, a, TrialState.RUNNING), 1) for i, a in enumerate(architectures)
        ]
        history = History(space, objectives(1), tuple(trials))
        longer = search(strategy, history, self.n_trials)
        new = [trial.architecture.key for trial in longer.trials[len(history) :]]
        assert len(set(new)) == len(new) == self.n_trials - len(history)
        assert not set(new) & history.seen
