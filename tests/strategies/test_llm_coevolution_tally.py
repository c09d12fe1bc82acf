"""What co-evolution keeps beside a history is what follows from all trials at once."""

from __future__ import annotations

import numpy as np
import pytest
from llm_coevolution_helpers import ScriptedChat, empty, quick, run, uniform

import nas_plugins as nap
from nas_plugins.history import History, Trial
from nas_plugins.strategies.llm_coevolution.breeding import _Known, features
from nas_plugins.strategies.llm_coevolution.knowledge import Edit, fold
from nas_plugins.strategies.llm_coevolution.log import (
    BatchRecord,
    Note,
    proposal_notes,
)
from nas_plugins.strategies.llm_coevolution.niches import partition
from nas_plugins.strategies.llm_coevolution.schedule import NicheSchedule
from nas_plugins.strategies.llm_coevolution.strategy import LLMCoEvolution
from nas_plugins.testing.strategies import objectives


@pytest.mark.parametrize("name", ["nasbench201", "nasbench101", "vit"])
def test_the_sums_of_a_regression_are_those_of_its_features(name: str) -> None:
    """In spaces with and without decisions that have no effect, and added piece by piece."""
    space, rng = nap.space(name), np.random.default_rng(0)
    trials = [
        Trial(i, a, values=(1.0,))
        for i, a in enumerate(space.architectures(space.random(30, rng)))
    ]
    known = _Known.empty(space)
    for start in range(0, 30, 7):
        known = known.grown(trials[start : start + 7])
    columns = features(space, space.rows([trial.architecture for trial in trials]))
    values = rng.normal(size=(30, 2))
    assert np.array_equal(known.gram, columns.T @ columns)
    np.testing.assert_allclose(known.moments(values), columns.T @ values, atol=1e-12)


def test_evidence_that_comes_later_counts_once_it_is_there() -> None:
    """An edit may cite a trial of another worker that this history does not hold yet."""
    strategy = quick("off")
    parts = partition(empty().space, axis=strategy.axis, n_niches=strategy.n_niches)
    label = parts.niches[0].label
    rng = np.random.default_rng(0)

    def trial(number: int, *edits: Edit) -> Trial:
        batch = BatchRecord(edits=edits) if edits else None
        note = Note(0, label, 1, "llm", batch=batch)
        architecture = empty().space.sample(rng)
        return Trial(number, architecture, values=(1.0, 2.0), notes=proposal_notes(note))

    def add(text: str, *evidence: int) -> Edit:
        return Edit("add", "", "+", label, text, evidence)

    edits = {0: (), 1: (add("a", 0, 5),), 2: (add("b", 4),), 3: (add("a", 2),), 5: ()}
    history = empty()
    for number, own in edits.items():
        history = history.extend([trial(number, *own)])
        known = [t.number for t in history.trials]
        entries = [(n, 1, edits[n]) for n in known]
        expected = fold(entries, max_rules=strategy.max_rules, known=known)
        assert NicheSchedule(history, parts, strategy).tally.rules.rules == expected.rules


def test_a_tally_that_grew_is_that_of_all_trials() -> None:
    history = run(quick(ScriptedChat(uniform)), 40)
    strategy = quick("off")
    parts = partition(history.space, axis=strategy.axis, n_niches=strategy.n_niches)
    grown = empty()
    for trial in history.trials:
        grown = grown.extend([trial])
        NicheSchedule(grown, parts, strategy).tally  # noqa: B018
    one = NicheSchedule(grown, parts, strategy)
    other = NicheSchedule(
        History(history.space, history.objectives, history.trials), parts, strategy
    )
    assert one.served == other.served
    assert one.left() == other.left()
    assert one.calls == other.calls
    assert one.batches == other.batches
    assert one.tally.rules.rules == other.tally.rules.rules
    assert [one.archive(k) for k in range(3)] == [other.archive(k) for k in range(3)]
    assert np.array_equal(one.niches, other.niches)


def test_niches_at_random_begin_in_a_space_too_large_to_list() -> None:
    history = History(nap.space("fbnet"), objectives(1))
    strategy = LLMCoEvolution(llm="off", partition="random")
    assert len(strategy.propose(history, 3, np.random.default_rng(0))) == 3
