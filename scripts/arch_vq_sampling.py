"""Prints how fast the shipped Arch-VQ models draw distinct valid architectures.

python scripts/arch_vq_sampling.py [--n 10000] [--seeds 3] [NAME ...]

Every row runs in a fresh process, so that the seconds include the imports and the memory is
that of one method alone. `beams` is `ArchVQModel.sample_rows`; `reject` draws independently as
the paper does, drops what is invalid or known, and goes on until it has as many.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

METHODS = ("beams", "reject")
PATIENCE = 50


def run(name: str, method: str, n: int, seed: int) -> dict[str, float]:
    """Draws `n` distinct architectures and says what it cost."""
    start = time.perf_counter()
    import numpy as np

    from nas_plugins.strategies.arch_vq import ArchVQModel

    model = ArchVQModel.shipped(name)
    loaded = time.perf_counter()
    draws = 0
    if method == "beams":
        rows = model.sample_rows(n, seed=seed)
    else:
        rng = np.random.default_rng(seed)
        found = np.empty((0, len(model.space.decisions)), dtype=np.int16)
        while len(found) < n and draws < PATIENCE * n:
            valid, _ = model.strict_rows(model.draw(n, seed=rng))
            found = np.concatenate([found, valid])
            found = found[np.sort(np.unique(model.space.keys(found), return_index=True)[1])]
            draws += n
        rows = found[:n]
    return {
        "distinct": len(np.unique(model.space.keys(rows))),
        "draws": draws,
        "load": loaded - start,
        "total": time.perf_counter() - start,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Prints one row per model and method."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        method, seed = options.one
        print(json.dumps(run(options.names[0], method, options.n, int(seed))))
        return
    from nas_plugins.strategies.arch_vq.model import shipped_names

    print(f"{options.n:,} architectures, median and range of {options.seeds} seeds")
    print(
        f"{'model':12} {'method':7} {'distinct':>8} {'draws':>9} {'load s':>7} "
        f"{'total s':>8} {'range':>13} {'per s':>7} {'MB':>6}"
    )
    for name in options.names or shipped_names():
        for method in METHODS:
            found = [_child(name, method, options.n, seed) for seed in range(options.seeds)]
            mid = {key: statistics.median(f[key] for f in found) for key in found[0]}
            draws = f"{mid['draws']:,.0f}" if mid["draws"] else ""
            times = sorted(f["total"] for f in found)
            print(
                f"{name:12} {method:7} {mid['distinct']:8,.0f} {draws:>9} "
                f"{mid['load']:7.2f} {mid['total']:8.2f} {times[0]:6.2f}-{times[-1]:6.2f} "
                f"{mid['distinct'] / mid['total']:7,.0f} {mid['megabytes']:6,.0f}",
                flush=True,
            )


def _child(name: str, method: str, n: int, seed: int) -> dict[str, float]:
    command = [sys.executable, __file__, name, "--n", str(n), "--one", method, str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


if __name__ == "__main__":
    main()
