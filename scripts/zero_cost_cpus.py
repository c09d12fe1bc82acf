"""Prints how far zero-cost scores differ between the instruction sets of one CPU.

python scripts/zero_cost_cpus.py [--cells 20] [--capabilities default,avx2]

The same random cells of NAS-Bench-201 are scored in two processes of one thread each, for which
`ATEN_CPU_CAPABILITY` holds PyTorch to an instruction set. "difference" is the largest over the
cells, relative to the value under the first of the two.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Annotated

import numpy as np
import typer

import nas_plugins as nap
from nas_plugins.reproduction.documents import ResultTable

_CHILD = "--child"


def scores(cells: int, seed: int) -> dict[str, list[float]]:
    """Values per proxy, in this process."""
    found = nap.score("nasbench201", n=cells, seed=seed, workers=1, cache=False)
    rows = [row.values for row in found.rows]
    return {name: [row[name] for row in rows] for name in rows[0]}


def scored(capability: str, cells: int, seed: int) -> dict[str, list[float]]:
    """Values per proxy, in a process of one thread that is held to an instruction set."""
    settings = {"ATEN_CPU_CAPABILITY": capability, "OMP_NUM_THREADS": "1"}
    words = [sys.executable, __file__, _CHILD, str(cells), str(seed)]
    done = subprocess.run(words, env=os.environ | settings, stdout=subprocess.PIPE, check=True)
    values: dict[str, list[float]] = json.loads(done.stdout)
    return values


def difference(first: list[float], second: list[float]) -> float:
    """The largest difference relative to the first."""
    one, other = np.array(first), np.array(second)
    apart = np.abs(one - other)
    relative = np.divide(apart, np.abs(one), out=np.zeros_like(apart), where=apart > 0)
    return float(relative.max())


def main(
    *,
    cells: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw, images and weights.")] = 0,
    capabilities: Annotated[str, typer.Option(help="Two, with a comma.")] = "default,avx2",
    markdown: Annotated[bool, typer.Option(help="Print Markdown.")] = False,
) -> None:
    """Prints a row per proxy, the largest difference on top."""
    first, second = (scored(name, cells, seed) for name in capabilities.split(","))
    found = {name: difference(first[name], second[name]) for name in first}
    rows = sorted(found.items(), key=lambda item: -item[1])
    title = f"{capabilities} on {cells} cells, seed {seed}"
    shown = tuple((name, f"{value:.1e}") for name, value in rows)
    table = ResultTable(title, ("proxy", "difference"), shown, numbers_from=1)
    print(table.markdown() if markdown else table.text())


if __name__ == "__main__":
    if _CHILD in sys.argv:
        print(json.dumps(scores(*map(int, sys.argv[2:]))))
    else:
        typer.run(main)
