"""Prints how fast every space draws, keys and encodes architectures in batches.

python scripts/spaces.py [--n 10000] [--repeats 5]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

import nas_plugins as nap
from nas_plugins import registry
from nas_plugins.spaces import wl_keys
from nas_plugins.testing.spaces import EXAMPLE_OPTIONS


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median wall time of `work`, after one warm-up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Prints one row per space."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    n = options.n
    print(f"seconds for {n:,} architectures, median of {options.repeats}")
    print(f"{'space':12} {'nodes':>5} {'random':>8} {'keys':>8} {'graphs':>8} {'wl_keys':>8}")
    for name in [name for name in registry.names("space") if name not in EXAMPLE_OPTIONS]:
        space = nap.space(name)
        rows = space.random(n, np.random.default_rng(0))
        adjacency, operations = space.graphs(rows)
        times = [
            seconds(work, options.repeats)
            for work in (
                lambda s=space: s.random(n, np.random.default_rng(0)),
                lambda s=space, r=rows: s.keys(r),
                lambda s=space, r=rows: s.graphs(r),
                lambda a=adjacency, o=operations: wl_keys(a, o),
            )
        ]
        columns = " ".join(f"{t:8.3f}" for t in times)
        print(f"{name:12} {adjacency.shape[1]:5} {columns}")
    space = nap.space("nasbench101")
    start = time.perf_counter()
    cells = sum(len(rows) for rows in space.enumerate())
    print(f"nasbench101 enumerates {cells:,} cells in {time.perf_counter() - start:.2f} s")


if __name__ == "__main__":
    main()
