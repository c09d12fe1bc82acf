"""Search with Arch-VQ: the conformance kit, with and without a model, and what it promises."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import nas_plugins as nap
from nas_plugins.errors import UnknownNameError
from nas_plugins.history import History, Trial, TrialState
from nas_plugins.spaces.base import SearchSpace
from nas_plugins.strategies.arch_vq.model import ArchVQModel, shipped_names
from nas_plugins.strategies.arch_vq.strategy import ArchVQ
from nas_plugins.testing.strategies import (
    StrategyTestCase,
    measured,
    objectives,
    search,
    toy_values,
)

NB201 = nap.space("nasbench201")


class TestArchVQWithoutModel(StrategyTestCase):
    @pytest.fixture
    def strategy(self) -> nap.Strategy:
        return nap.strategy("arch-vq", model="none", n_candidates=64)


class TestArchVQWithModel(StrategyTestCase):
    """On the shipped model; spaces of a few architectures do without one."""

    n_trials = 22

    @pytest.fixture
    def strategy(self) -> nap.Strategy:
        return nap.strategy("arch-vq", n_candidates=32)

    @pytest.fixture
    def space(self) -> SearchSpace:
        return NB201

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["nasbench201", "nasbench101", "darts-cell", "darts"])
    def test_works_on_every_registered_space(self, strategy: nap.Strategy, name: str) -> None:
        """Those whose model is shipped."""
        if name.removesuffix("-cell") not in shipped_names():
            pytest.skip(f"no model of {name!r} is shipped")
        super().test_works_on_every_registered_space(strategy, name)


def best(history: History) -> float:
    return float(history.losses[:, 0].min())


@pytest.mark.parametrize("predictor", ["gp", "ridge"])
@pytest.mark.parametrize("acquisition", ["ei", "ucb", "thompson"])
def test_it_learns_from_the_history(predictor: str, acquisition: str) -> None:
    space = nap.CategoricalSpace.macro(8, ["a", "b", "c", "d"])
    empty = History(space, (nap.Objective("f", "min"),))
    options = {"predictor": predictor, "acquisition": acquisition, "model": "none"}
    ours = [search(ArchVQ(**options), empty, 50, seed=s) for s in range(3)]
    random = [search(nap.strategy("random"), empty, 50, seed=s) for s in range(3)]
    assert np.mean([best(h) for h in ours]) < 0.5 * np.mean([best(h) for h in random])


@pytest.mark.slow
def test_the_lstm_learns_too() -> None:
    empty = History(NB201, (nap.Objective("f", "min"),))
    start = search(ArchVQ(n_initial=40), empty, 30)
    proposals = ArchVQ(predictor="lstm").propose(start, 5, np.random.default_rng(0))
    later = [toy_values(p.architecture, 1)[0] for p in proposals]
    assert np.mean(later) < np.mean([t.values[0] for t in start.trials])


def test_it_begins_with_distinct_samples_of_the_prior() -> None:
    history = History(NB201, objectives(1))
    strategy = ArchVQ(n_initial=6)
    proposals = strategy.propose(history, 6, np.random.default_rng(3))
    expected = ArchVQModel.shipped("nasbench201").sample(6, seed=np.random.default_rng(3))
    assert [p.architecture for p in proposals] == expected


def test_two_objectives_extend_both_ends_of_the_front() -> None:
    space = nap.CategoricalSpace.macro(6, ["a", "b", "c", "d"])
    empty = History(space, objectives(2))
    ours = search(ArchVQ(model="none"), empty, 60)
    random = search(nap.strategy("random"), empty, 60)
    corner = np.array([1.0, 7.0])
    areas = [nap.pareto.hypervolume(h.losses, corner) for h in (ours, random)]
    assert areas[0] > 1.1 * areas[1]


def test_infeasible_regions_are_left() -> None:
    """Feasible where the first choice is the last of four: a quarter of the space."""
    space = nap.CategoricalSpace.macro(6, ["a", "b", "c", "d"])

    def measure(trial: Trial) -> Trial:
        return measured(trial, 1, constraints={"c": 2.5 - trial.architecture.indices[0]})

    history = search(ArchVQ(model="none"), History(space, objectives(1)), 50, measure=measure)
    assert np.mean(history.violations[25:] <= 0) > 0.6


def test_running_trials_count_as_evaluated() -> None:
    """A batch is spread, and a running trial keeps others away from what is like it."""
    space = nap.CategoricalSpace.macro(6, ["a", "b", "c"])
    strategy = ArchVQ(model="none")
    history = search(strategy, History(space, objectives(1)), 20)
    alone = strategy.propose(history, 1, np.random.default_rng(0))[0].architecture
    running = history.extend([Trial(len(history), alone, TrialState.RUNNING)])
    batch = strategy.propose(history, 3, np.random.default_rng(0))
    assert batch[0].architecture == alone
    second = strategy.propose(running, 1, np.random.default_rng(0))[0].architecture
    assert second != alone


def test_fixed_choices_are_met() -> None:
    decision = NB201.decisions[2]
    for n_trials in (3, 15):
        history = search(ArchVQ(n_candidates=64), History(NB201, objectives(1)), n_trials)
        history = history.fixing({decision.name: "skip_connect", "lr": 0.1})
        for proposal in ArchVQ(n_candidates=64).propose(history, 3, np.random.default_rng(0)):
            assert proposal.architecture.choices[decision.name] == "skip_connect"


def test_bad_options_are_refused() -> None:
    for options, message in (
        ({"n_initial": 0}, "`n_initial` must be >= 1, got 0"),
        ({"n_candidates": 4}, "`n_candidates` must be >= 8, got 4"),
        ({"temperature": 0.0}, "`temperature` must be > 0, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            ArchVQ(**options)
    with pytest.raises(UnknownNameError, match="unknown predictor 'gb'; did you mean 'gp'"):
        ArchVQ(predictor="gb")
    with pytest.raises(UnknownNameError, match="unknown acquisition 'thomson'"):
        ArchVQ(acquisition="thomson")
    history = search(ArchVQ(model="none"), History(NB201, objectives(1)), 12)
    with pytest.raises(ValueError, match="'lstm' reads code vectors, so it needs a model"):
        ArchVQ(model="none", predictor="lstm").propose(history, 1, np.random.default_rng(0))


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
import numpy as np
import nas_plugins as nap
from nas_plugins.errors import MissingDependencyError
space = nap.space("nasbench201")
history = nap.History(space, (nap.Objective("f", "max"),))
print(len(nap.strategy("arch-vq", model="none").propose(history, 3, np.random.default_rng(0))))
try:
    nap.strategy("arch-vq", space=space)
except MissingDependencyError as error:
    print(error)
"""


def test_without_torch_it_says_what_to_install() -> None:
    command = [sys.executable, "-c", WITHOUT_TORCH]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    proposals, message = done.stdout.splitlines()
    assert proposals == "3"
    assert "pip install 'nas-plugins[torch]'" in message


def test_a_toy_search_is_the_same_function_of_a_longer_history() -> None:
    """Proposals follow from the trials alone, also where trials finish out of order."""
    space = nap.CategoricalSpace.macro(5, ["a", "b", "c"])
    rows = space.random(30, np.random.default_rng(0))
    trials = [
        Trial(i, a, values=toy_values(a, 1)) for i, a in enumerate(space.architectures(rows))
    ]
    strategy = ArchVQ(model="none", n_candidates=64)
    at_once = History(space, objectives(1), tuple(trials))
    in_steps = History(space, objectives(1), tuple(trials[:7]))
    for trial in trials[7:]:
        strategy.propose(in_steps, 1, np.random.default_rng(1))
        in_steps = in_steps.extend([trial])
    first, second = (strategy.propose(h, 3, np.random.default_rng(2)) for h in (at_once, in_steps))
    assert first == second
