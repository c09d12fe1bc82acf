"""What a model learns from a search: scores, which trials, and the best of them."""

from __future__ import annotations

import numpy as np
import pytest

from nas_plugins.history import History, Objective, Trial, TrialState
from nas_plugins.spaces.categorical import CategoricalSpace
from nas_plugins.training_set import (
    complete_rows,
    elite,
    informative,
    objective_scores,
    running_rows,
    settled_size,
)

SPACE = CategoricalSpace({"a": range(64)})


def _history(*columns: list[float], excess: dict[int, float] | None = None) -> History:
    """Complete trials of these losses in order; those in `excess` violate a constraint."""
    trials = [
        Trial(
            i,
            SPACE.architecture({"a": i}),
            TrialState.COMPLETE,
            values=tuple(values),
            constraints={"c": (excess or {}).get(i, -1.0)},
        )
        for i, values in enumerate(zip(*columns, strict=True))
    ]
    objectives = tuple(Objective(f"f{j}", "min") for j in range(len(columns)))
    return History(SPACE, objectives, trials)


def test_the_elite_is_the_best_or_spread_over_the_front() -> None:
    values = [float(i) for i in range(30)]
    assert elite(_history(values[::-1])).tolist() == [29, 28, 27, 26, 25]
    front = _history(values, [-v for v in values])
    spread = elite(front).tolist()
    assert len(spread) == 12
    assert {0, 29} <= set(spread)
    assert len(elite(_history(values[:2]))) == 2


def test_the_elite_is_feasible_first() -> None:
    history = _history([0.0, 1.0, 2.0], excess={0: 5.0, 1: 1.0})
    assert elite(history).tolist() == [2, 1, 0]
    assert np.argsort(objective_scores(history)[:, 0]).tolist() == [2, 1, 0]


def test_rows_by_state() -> None:
    history = _history([1.0, 2.0])
    running = Trial(2, SPACE.architecture({"a": 9}), TrialState.RUNNING)
    history = history.extend([running])
    assert complete_rows(history)[:, 0].tolist() == [0, 1]
    assert running_rows(history)[:, 0].tolist() == [9]


@pytest.mark.parametrize(("n", "settled"), [(0, 0), (7, 7), (8, 8), (9, 9), (19, 18), (20, 20)])
def test_what_is_fitted_settles(n: int, settled: int) -> None:
    assert settled_size(n, 8, 1.1) == settled


def test_informative_trials_are_the_best_and_others_evenly() -> None:
    scores = np.random.default_rng(0).permutation(np.arange(100.0))[:, None]
    found = informative(scores, 20)
    assert len(set(found.tolist())) == 20
    assert set(np.argsort(scores[:, 0])[:10].tolist()) <= set(found.tolist())
    others = np.setdiff1d(found, np.argsort(scores[:, 0])[:10])
    assert others.min() < 10
    assert others.max() > 89
    assert informative(scores[:5], 20).tolist() == [0, 1, 2, 3, 4]
