"""Times the 13 proxies of NAS-Bench-Suite-Zero: fused, one at a time, and the plain way.

python scripts/zero_cost.py [--cells 16] [--repeats 3] [--device cuda]

"plain" is `_naslib_style`: a copy of the network and passes of its own for every proxy, the way
NASLib computes them. "alone" asks our engine for one proxy at a time, "fused" for all at once.
All three run in turns in one process on the same networks and batch, with one thread; a speed-up
is the median over the repeats of the ratio within a repeat. Full size is C = 16, N = 5, 64 images
of 32 x 32 pixels, cheap C = 16, N = 5, 16 images of 16 x 16. Agreement is Spearman's rank
correlation over random cells between the values of the two ways that are compared.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import torch
import typer
from _naslib_style import MEASURES
from torch import nn

import nas_plugins as nap
from nas_plugins.evaluators.zero_cost.batch import Batch
from nas_plugins.evaluators.zero_cost.engine import score_network
from nas_plugins.numerics import ranks
from nas_plugins.reproduction.documents import ResultTable
from nas_plugins.spaces.base import Architecture

SPACE = nap.space("nasbench201")
NETWORKS = {"light": (4, 0, 3, 1, 4, 3), "mid": (0, 2, 3, 1, 2, 3), "heavy": (3, 3, 3, 3, 3, 3)}
ALL = tuple(MEASURES)
WITHOUT = tuple(name for name in ALL if name != "grasp")
SETS = {"13": ALL, "12, no grasp": WITHOUT}
FULL, CHEAP = (64, 32), (16, 16)


@dataclass(frozen=True)
class Run:
    """Values of the proxies, and the seconds of each or of all (under ``""``)."""

    values: dict[str, float]
    seconds: dict[str, float]

    def total(self, names: Sequence[str] | None = None) -> float:
        """Seconds of all proxies or of some."""
        return sum(self.seconds.values() if names is None else (self.seconds[n] for n in names))


def batch_of(images: int, pixels: int, seed: int, device: str) -> Batch:
    """Noise with balanced labels."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn((images, 3, pixels, pixels), generator=generator)
    return Batch(inputs, torch.arange(images) % min(10, images // 2)).to(device)


def network_of(architecture: Architecture, seed: int, device: str) -> nn.Module:
    """The full-size network of a cell."""
    torch.manual_seed(seed)
    return SPACE.network(architecture, channels=16, cells=5).to(device)


def plain(network: nn.Module, batch: Batch) -> Run:
    """All 13, every proxy by itself on a copy."""
    images = (batch.inputs, batch.labels)
    return _each(lambda name: MEASURES[name](network, images))


def alone(network: nn.Module, batch: Batch, device: str) -> Run:
    """All 13, one proxy at a time through the engine."""
    return _each(lambda name: score_network(network, batch, name, device=device).values[name])


def fused(network: nn.Module, batch: Batch, names: Sequence[str] | str, device: str) -> Run:
    """All proxies at once."""
    start = time.perf_counter()
    scores = score_network(network, batch, names, device=device)
    return Run(dict(scores.values), {"": time.perf_counter() - start})


def speed_table(names: Sequence[str], repeats: int, seed: int, device: str) -> ResultTable:
    """Full-size networks, with and without grasp."""
    batch = batch_of(*FULL, seed, device)
    rows = []
    for label in names:
        network = network_of(SPACE.architectures([NETWORKS[label]])[0], seed, device)
        fused(network, batch, ALL, device)
        turns = [
            (
                plain(network, batch),
                alone(network, batch, device),
                {title: fused(network, batch, some, device) for title, some in SETS.items()},
            )
            for _ in range(repeats)
        ]
        for title, proxies in SETS.items():
            times = [
                (one.total(proxies), two.total(proxies), three[title].total())
                for one, two, three in turns
            ]
            ratios = [median(t[i] / t[2] for t in times) for i in (0, 1)]
            rows.append(
                (
                    label,
                    title,
                    *(f"{median(column):.2f}" for column in zip(*times, strict=True)),
                    *(f"{ratio:.2f}" for ratio in ratios),
                )
            )
    heads = ("network", "proxies", "plain s", "alone s", "fused s", "plain / fused",
             "alone / fused")  # fmt: skip
    title = f"Full size on {device}, {repeats} repeats, one thread"
    return ResultTable(title, heads, tuple(rows), numbers_from=1)


def agreement_tables(cells: int, seed: int, device: str) -> list[ResultTable]:
    """Random cells: full size the plain way against fused, and against the cheap setting."""
    rng = np.random.default_rng(seed)
    chosen = [SPACE.sample(rng) for _ in range(cells)]
    full, cheap = batch_of(*FULL, seed, device), batch_of(*CHEAP, seed, device)
    truth: list[Run] = []
    runs: dict[str, list[Run]] = {}
    for i, architecture in enumerate(chosen):
        network = network_of(architecture, seed + i, device)
        truth.append(plain(network, full))
        for label, (batch, names) in {
            "full size, 13": (full, ALL),
            "full size, 12": (full, WITHOUT),
            "cheap, 12": (cheap, WITHOUT),
            "cheap, default set": (cheap, "default"),
        }.items():
            runs.setdefault(label, []).append(fused(network, batch, names, device))
    return [_totals(truth, runs, device), _agreements(truth, runs)]


def _totals(truth: Sequence[Run], runs: dict[str, list[Run]], device: str) -> ResultTable:
    plain_times = {title: [run.total(names) for run in truth] for title, names in SETS.items()}
    rows = [
        (f"plain, full size, {title}", f"{median(times):.2f}", "-", "-", "-")
        for title, times in plain_times.items()
    ]
    for label, found in runs.items():
        times = [run.total() for run in found]
        ratios = [
            f"{median(a / b for a, b in zip(slow, times, strict=True)):.1f}"
            for slow in plain_times.values()
        ]
        alike = [spearman(truth, found, name) for name in WITHOUT]
        agreement = f"{np.nanmedian(alike):.2f} ({np.nanmin(alike):.2f})"
        rows.append((f"fused, {label}", f"{median(times):.2f}", *ratios, agreement))
    heads = ("way", "s per network", *(f"x of plain {title}" for title in SETS),
             "agreement: median (least)")  # fmt: skip
    title = f"{len(truth)} random cells on {device}, medians"
    return ResultTable(title, heads, tuple(rows), numbers_from=1)


def _agreements(truth: Sequence[Run], runs: dict[str, list[Run]]) -> ResultTable:
    rows = []
    for name in ALL:
        cheap = spearman(truth, runs["cheap, 12"], name) if name in WITHOUT else float("nan")
        full = spearman(truth, runs["full size, 13"], name)
        rows.append((name, f"{full:.3f}", "-" if np.isnan(cheap) else f"{cheap:.3f}"))
    heads = ("proxy", "fused, full size", "fused, cheap")
    title = "Spearman with the plain way at full size"
    return ResultTable(title, heads, tuple(rows), numbers_from=1)


def spearman(first: Sequence[Run], second: Sequence[Run], name: str) -> float:
    """Rank correlation of a proxy's values over the networks where both have one."""
    pairs = np.array(
        [(a.values[name], b.values[name]) for a, b in zip(first, second, strict=True)]
    )
    pairs = pairs[np.isfinite(pairs).all(axis=1)]
    if len(pairs) < 3:
        return float("nan")
    return ranks.spearman(*pairs.T)


def _each(measure: Callable[[str], float]) -> Run:
    run = Run({}, {})
    for name in ALL:
        start = time.perf_counter()
        try:
            run.values[name] = measure(name)
        except (ValueError, np.linalg.LinAlgError):
            run.values[name] = float("nan")  # a dead cell, which the plain way does not know
        run.seconds[name] = time.perf_counter() - start
    return run


def main(
    *,
    networks: Annotated[str, typer.Option(help="Of light, mid, heavy.")] = "light,mid,heavy",
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    cells: Annotated[int, typer.Option(min=0, help="For the agreement; 0 leaves it out.")] = 16,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda; empty: both where there is one.")] = "",
    out: Annotated[Path | None, typer.Option(help="File for the tables in Markdown.")] = None,
) -> None:
    """Prints the tables."""
    torch.set_num_threads(1)
    devices = [device] if device else ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    tables = []
    for one in devices:
        found = [speed_table(networks.split(","), repeats, seed, one)] if networks else []
        for table in (*found, *(agreement_tables(cells, seed, one) if cells else [])):
            print(table.text())
            tables.append(table)
    if out is not None:
        out.write_text("\n".join(table.markdown() for table in tables), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
