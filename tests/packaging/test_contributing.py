"""The examples of CONTRIBUTING.md do what they say."""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nas_plugins as nap
from nas_plugins.history import History, Objective, Trial

TEXT = (Path(__file__).resolve().parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")


@pytest.fixture
def example() -> Iterator[Any]:
    """Runs the example that begins with a given file name, as a module."""
    module = types.ModuleType("contributing_example")
    sys.modules[module.__name__] = module  # dataclasses look their module up

    def run(name: str) -> types.ModuleType:
        blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
        (block,) = [b for b in blocks if b.startswith(f"# my_package/{name}")]
        exec(compile(block, name, "exec"), vars(module))
        return module

    yield run
    del sys.modules[module.__name__]


def test_the_space_is_a_space(example: Any) -> None:
    space = example("my_space.py").Widths()
    assert space.size == 8**5
    architecture = space.sample(np.random.default_rng(0))
    assert space.parse(str(architecture)) == architecture
    assert space.to_json() == {"name": "widths"}


def test_the_strategy_climbs(example: Any) -> None:
    strategy = example("my_strategy.py").Greedy()
    space = nap.space("nasbench201")
    history = History(space, (Objective("params", "min"),))
    for number in range(60):
        rng = np.random.default_rng(number)
        (proposal,) = strategy.propose(history, 1, rng)
        value = float(space.complexity(proposal.architecture).params)
        history = history.extend([Trial(number, proposal.architecture, values=(value,))])
    assert len(history.seen) == 60
    assert history.best is not None
    assert history.best.values[0] < np.median(history.losses[:10])
