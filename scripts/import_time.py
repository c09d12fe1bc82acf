"""Prints how long `import nas_plugins` and its neighbours take in a fresh process.

python scripts/import_time.py [--repeats 10]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

STATEMENTS = (
    "pass",
    "import numpy",
    "import nas_plugins",
    "import nas_plugins as nap; nap.space('nasbench201')",
    "import nas_plugins.cli",
    "import optuna",
    "import nas_plugins.optuna",
)


def seconds(statement: str) -> float:
    """Wall time of a fresh interpreter that runs `statement`."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def main() -> None:
    """Prints median and spread per statement, net of the interpreter's own start."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=10)
    repeats = parser.parse_args().repeats
    # Interleaved, so that a busy moment of the machine hits every statement alike.
    rounds = [[seconds(statement) for statement in STATEMENTS] for _ in range(repeats)]
    bare = statistics.median(row[0] for row in rounds)
    print(f"interpreter start {bare:.3f} s, subtracted below; {repeats} repeats")
    for i, statement in enumerate(STATEMENTS[1:], start=1):
        times = [row[i] - bare for row in rounds]
        print(f"{statistics.median(times):7.3f} s  (min {min(times):.3f})  {statement}")


if __name__ == "__main__":
    main()
