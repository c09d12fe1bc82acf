"""What a proposal costs: milliseconds of one processor, and seconds of the first in a process.

``python -m _win.costs STRATEGY OPTIONS TRIALS ASKS SEED`` prints both as JSON; OPTIONS are JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import nas_plugins as nap
from nas_plugins.benchmarks.nasbench201 import NASBench201Table
from nas_plugins.history import History, Objective, Trial
from nas_plugins.reproduction.documents import Cell, ResultTable, Spread

from .base import Case, Outcome, Settings
from .scores import Sample

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_STRATEGIES: Mapping[str, tuple[str, dict[str, Any]]] = {
    "graph-gp": ("graph-gp", {"start": "random"}),
    "Arch-VQ, no model": ("arch-vq", {"model": "none"}),
    "local search": ("local-search", {}),
}
_ASKS = 20


@dataclass(frozen=True)
class CostCase(Case):
    """Proposals in a process of its own, on the random cells of a long history.

    Attributes:
        sizes: Trials of the histories.
    """

    sizes: tuple[int, ...] = (1000, 10000)

    def run(self, settings: Settings) -> Outcome:
        """Measures; nothing is kept, as it takes seconds."""
        sizes = (60,) if settings.quick else self.sizes
        scored: dict[str, dict[str, Sample]] = {}
        for name, (strategy, options) in _STRATEGIES.items():
            scored[name] = {}
            for size in sizes:
                seeds = settings.seeds_of(self, 3)
                found = [_in_process(strategy, options, size, seed) for seed in seeds]
                for score in ("ms", "first"):
                    values = tuple(one[score] for one in found)
                    scored[name][f"{score}@{size}"] = Sample(values, more_is_better=False)
        heads = [f"{score}@{size}" for size in sizes for score in ("ms", "first")]
        rows: tuple[tuple[Cell, ...], ...] = tuple(
            (name, *(Spread.of(by_score[head].values) for head in heads))
            for name, by_score in scored.items()
        )
        title = (
            f"{self.name}: processor time on one thread; ms a proposal at so many trials, "
            "and seconds of the first proposal in a process"
        )
        table = ResultTable(title, ("strategy", *heads), rows, numbers_from=1)
        return Outcome(self.name, scored, "graph-gp", (), (table,), self.seeds, not settings.quick)


def _in_process(strategy: str, options: Mapping[str, Any], size: int, seed: int) -> dict[str, Any]:
    words = [strategy, json.dumps(options), str(size), str(_ASKS), str(seed)]
    done = subprocess.run(
        [sys.executable, "-m", "_win.costs", *words],
        cwd=Path(__file__).parents[1],
        env={**os.environ, **dict.fromkeys(_THREADS, "1")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"measuring {strategy} failed: {done.stderr[-500:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measured(
    strategy: str, options: Mapping[str, Any], size: int, asks: int, seed: int
) -> dict[str, float]:
    """Processor time of proposals.

    Args:
        strategy: Registered name.
        options: Its options.
        size: Random trials that the history has.
        asks: Proposals after the first, each followed by its trial.
        seed: Of the trials and the proposals.

    Returns:
        ``first`` in seconds, and ``ms``, the mean of the others.
    """
    rng, table = np.random.default_rng(seed), NASBench201Table("cifar10")
    space = table.space
    built = nap.strategy(strategy, **options)
    cells = space.architectures(table.rows[rng.permutation(len(table))[:size]])
    values = [row["val_accuracy"] for row in table.evaluate(cells)]
    trials = [
        Trial(i, cell, values=(value,))
        for i, (cell, value) in enumerate(zip(cells, values, strict=True))
    ]
    history = History(space, (Objective("val_accuracy"),), tuple(trials))
    times = []
    for _ in range(asks + 1):
        start = time.process_time()
        cell = built.propose(history, 1, rng)[0].architecture
        times.append(time.process_time() - start)
        value = table.query(cell, "val_accuracy")
        history = history.extend([Trial(len(history), cell, values=(value,))])
    return {"first": times[0], "ms": 1e3 * float(np.mean(times[1:]))}


if __name__ == "__main__":
    name, options, size, asks, seed = sys.argv[1:]
    print(json.dumps(measured(name, json.loads(options), int(size), int(asks), int(seed))))
