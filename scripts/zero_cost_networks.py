"""Compares zero-cost proxies with plain references on 30 public networks.

python scripts/zero_cost_networks.py [--only "timm*"] [--folder FOLDER] [--seed 0]

Needs `pip install torch torchvision timm "transformers>=5,<6"`; no weights are downloaded.
Networks, images and draws come from the seed. Everything is computed in float64 on one thread of
a CPU, so that what differs is no rounding; digits that rounding decides depend on the
instructions that the CPU has. What is done is kept in FOLDER, a file per network and seed; delete
a file to have its network compared again.
"""

from __future__ import annotations

import json
import math
import sys
import time
import warnings
from fnmatch import fnmatchcase
from importlib.metadata import version
from pathlib import Path
from string import ascii_lowercase
from typing import Annotated, Any

import torch
import typer
from _plain_proxies import reference
from _public_networks import CLASSES, PublicNetwork, built, networks

from nas_plugins.evaluators.zero_cost import score
from nas_plugins.evaluators.zero_cost.proxy import names
from nas_plugins.reproduction.documents import ResultTable

LIBRARIES = ("torch", "torchvision", "timm", "transformers")
IMAGES = 6
EQUAL, LIMIT = 1e-6, 1e-3
ROUNDING = 1e-12  # of numbers about 1 that cancel out


def compared(public: PublicNetwork, seed: int) -> dict[str, Any]:
    """Ours and the reference's value of every proxy, or why there is none."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn((IMAGES, 3, public.pixels, public.pixels), generator=generator)
    labels = torch.arange(IMAGES) % 3
    network = built(public, seed)
    found = score(network, "all", batch=(images, labels), classes=CLASSES, seed=seed)
    rows: dict[str, Any] = {}
    for name in names():
        begun = time.perf_counter()
        try:
            value, why = reference(name, network, (images.double(), labels), public, seed), ""
        except Exception as error:  # whatever a library raises is a finding
            value, why = math.nan, f"{type(error).__name__}: {error}"
        rows[name] = {"ours": found.values[name], "reason": found.reasons.get(name, ""),
                      "reference": value, "failed": why,
                      "seconds": round(time.perf_counter() - begun, 2)}  # fmt: skip
    return {"seconds": round(found.seconds, 2), "proxies": rows}


def kept(public: PublicNetwork, seed: int, folder: Path) -> dict[str, Any]:
    """As `compared`, from the folder where it is there."""
    words = "".join(c if c.isalnum() else "-" for c in public.name)
    path = folder / f"{words}-{seed}.json"
    if not path.exists():
        torch.set_num_threads(1)
        found = compared(public, seed)
        path.write_text(json.dumps(found, indent=1), encoding="utf-8")
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return read


def difference(row: dict[str, Any]) -> float:
    """Relative; NaN where either has no value."""
    ours, right = row["ours"], row["reference"]
    if abs(ours - right) < ROUNDING:
        return 0.0
    return abs(ours - right) / max(abs(right), 1e-9)


def table(results: dict[str, dict[str, Any]], seed: int) -> ResultTable:
    """A row per network: ``=``, the relative difference, or the letter of a reason."""
    letters: dict[str, str] = {}
    rows = []
    for network, result in results.items():
        cells = []
        for row in result["proxies"].values():
            reason, missing = row["reason"], math.isnan(row["reference"])
            if reason:
                letter = letters.setdefault(reason, ascii_lowercase[len(letters)])
                cells.append(letter if missing else f"{letter}!")
            elif missing:
                cells.append("?")
            else:
                cells.append(_shown(difference(row)))
        rows.append((network, *cells))
    used = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    notes = (
        f"{used}; seed {seed}; =: a relative difference below {EQUAL:g}; a letter: no value, and "
        "none of the reference; with !: one of the reference",
        *(f"{letter}: {reason}" for reason, letter in letters.items()),
    )
    heads = ("network", *next(iter(results.values()))["proxies"])
    return ResultTable("Relative difference from the references", heads, tuple(rows), notes,
                       numbers_from=1)  # fmt: skip


def _shown(value: float) -> str:
    if value > LIMIT:
        return f"**{value:.0e}**"
    return "=" if value < EQUAL else f"{value:.0e}"


def main(
    *,
    only: Annotated[str, typer.Option(help="Pattern of the networks' names.")] = "*",
    folder: Annotated[Path, typer.Option(help="Where results are kept.")] = Path("zero-cost"),
    seed: Annotated[int, typer.Option(min=0, help="Of weights, images and draws.")] = 0,
) -> None:
    """Prints the table, and what differs on the error output."""
    warnings.filterwarnings("ignore")
    folder.mkdir(parents=True, exist_ok=True)
    results = {}
    for public in networks():
        if fnmatchcase(public.name, only):
            results[public.name] = found = kept(public, seed, folder)
            for name, row in found["proxies"].items():
                far = difference(row) > LIMIT
                if far or bool(row["reason"]) != math.isnan(row["reference"]):
                    print(public.name, name, row, file=sys.stderr, flush=True)
    print(table(results, seed).markdown())


if __name__ == "__main__":
    typer.run(main)
