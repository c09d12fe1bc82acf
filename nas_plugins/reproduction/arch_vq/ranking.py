"""Figure 3 and Table 5: ranking architectures in the latent space, and keeping the best."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nas_plugins.benchmarks.base import TabularBenchmark
from nas_plugins.benchmarks.nasbench201 import NASBench201Table
from nas_plugins.reproduction.arch_vq.arch2vec import arch2vec
from nas_plugins.reproduction.arch_vq.budget import ArchVQRequest
from nas_plugins.reproduction.arch_vq.models import arch_vq
from nas_plugins.reproduction.arch_vq.sampling import PAPER, UNIQUE, TrainedVQ
from nas_plugins.reproduction.arch_vq.tables import settings
from nas_plugins.reproduction.charts import Line, line_chart
from nas_plugins.reproduction.documents import Cell, Reproduction, ResultTable, Spread
from nas_plugins.spaces.base import Rows
from nas_plugins.strategies.arch_vq.lstm import Predictor, PredictorConfig, kendall_tau
from nas_plugins.strategies.arch_vq.metrics import Graphs, strict_rows
from nas_plugins.strategies.arch_vq.model import ArchVQModel

FRACTIONS = (0.1, 0.5, 1.0, 5.0, 10.0, 20.0)
"""Labelled share of the space in percent; the paper has six that are not known here."""

DATASETS = ("cifar10", "cifar100")
_LABELLED = 1.0
_KEPT = 0.1
_SPACE = "nasbench201"

Floats = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.floating]


def figure3(request: ArchVQRequest) -> Reproduction:
    """Kendall's tau of the latent predictor over shares of labelled architectures."""
    benchmark = _benchmark("cifar10")
    accuracy = benchmark.column("val_accuracy")
    inputs = _inputs(request, benchmark.rows)
    fractions = FRACTIONS[1::2] if request.budget == "quick" else FRACTIONS
    curves: dict[str, list[Spread]] = {}
    for name, vectors in inputs.items():
        curves[name] = []
        for fraction in fractions:
            request.note(f"predictor on {name}, {fraction:g} % labelled")
            curves[name].append(_taus(request, vectors, accuracy, fraction))
    columns = ("input of the predictor", *(f"{fraction:g} %" for fraction in fractions))
    rows: list[tuple[Cell, ...]] = [("Arch-VQ (paper)", *[None] * len(fractions))]
    rows += [(name, *spreads) for name, spreads in curves.items()]
    notes = (
        "Kendall's tau-b on all 15,625 cells, mean ± sd over the seeds of labelled set and "
        "predictor; CIFAR-10 validation accuracy after 200 epochs.",
        "*mean* is one vector, the mean over the nodes; *concat* is all node vectors one after "
        "the other. All inputs go through the same predictor.",
        f"Accuracies: {benchmark.source}.",
    )
    lines = [
        Line(name, fractions, [s.mean for s in spreads], [s.sd for s in spreads], colour=i)
        for i, (name, spreads) in enumerate(curves.items())
    ]
    chart = line_chart(
        lines,
        title="Latent predictor on NAS-Bench-201, CIFAR-10",
        x_label="labelled architectures, percent",
        y_label="Kendall's tau",
        y_range=(0, 1),
        log_x=True,
    )
    return Reproduction(
        "arch-vq-figure3",
        "Figure 3: the latent predictor",
        (ResultTable("Kendall's tau", columns, tuple(rows), notes, digits=3),),
        {"arch-vq-figure3": chart},
        settings={**settings(request, _SPACE), "models": 1},
    )


def table5(request: ArchVQRequest) -> Reproduction:
    """Generates, sorts by the predictor and keeps the best tenth, on two data sets."""
    sources = _sources(request)
    tables = []
    for dataset in DATASETS:
        benchmark = _benchmark(dataset)
        rows: list[tuple[Cell, ...]] = [("Arch-VQ (paper)", *[None] * 7)]
        for name, source in sources.items():
            found = []
            for seed in range(request.seeds):
                request.note(f"{dataset}: {name}, seed {seed}")
                found.append(_sorted(request, benchmark, source, seed))
            rows.append((name, *(Spread.of(column) for column in zip(*found, strict=True))))
        columns = (
            "generator",
            "different valid",
            "tau",
            "mean of all",
            "mean kept",
            "best kept",
            "mean if sorted by truth",
            "best generated",
        )
        metric = _shown_metric(benchmark)
        best = float(np.nanmax(benchmark.column(metric)))
        notes = (
            f"{metric} in percent, mean ± sd over seeds; the space's best has {best:.2f}.",
            f"The predictor has seen val_accuracy of {_LABELLED:g} % of the space, drawn at "
            "random. Repetitions and graphs that are no cell are dropped before sorting, as they "
            "cannot be looked up.",
            f"Accuracies: {benchmark.source}.",
        )
        tables.append(ResultTable(f"Generate and sort, {dataset}", columns, tuple(rows), notes))
    kept = round(request.samples * _KEPT)
    return Reproduction(
        "arch-vq-table5",
        f"Table 5: generate {request.samples:,}, sort by the predictor, keep {kept:,}",
        tuple(tables),
        settings={**settings(request, _SPACE), "models": 1},
    )


@dataclass(frozen=True, eq=False)
class _Generator:
    """Where architectures come from, and the vectors that the predictor sees.

    Attributes:
        rows: `(number, seed)` to different architectures `(m, 6)`.
        vectors: Architectures to node vectors `(m, N, D)`.
    """

    rows: Callable[[int, int], Rows]
    vectors: Callable[[Rows], Vectors]


def _sources(request: ArchVQRequest) -> dict[str, _Generator]:
    paper, default = (
        TrainedVQ.of(arch_vq(request, _SPACE, preset, 0), f"{_SPACE} {preset} 0")
        for preset in ("paper", "default")
    )
    baseline = arch2vec(request, _SPACE, 0)

    def vq(known: TrainedVQ, decoding: str, temperature: float = 1.0) -> _Generator:
        draw = known.draw(decoding, temperature)
        return _Generator(
            lambda n, seed: _distinct(known, draw(n, seed)),
            lambda rows: known.model.vectors(known.model.encode(rows)),
        )

    uniform = _Generator(
        lambda n, seed: default.space.random(n, np.random.default_rng(seed)),
        vq(default, UNIQUE).vectors,
    )
    return {
        "`paper` preset, as the paper, T 1": vq(paper, PAPER),
        "`paper` preset, as the paper, T 2.4": vq(paper, PAPER, 2.4),
        "`default` preset, strict, unique": vq(default, UNIQUE),
        "arch2vec, trained by us": _Generator(
            lambda n, seed: _distinct(default, baseline.draw(n, seed)), baseline.embed
        ),
        "uniform over the space, `default` vectors": _Generator(
            lambda n, seed: _first(default, uniform.rows(n, seed)), uniform.vectors
        ),
    }


def _distinct(known: TrainedVQ, graphs: Graphs) -> Rows:
    return _first(known, strict_rows(known.space, graphs)[0])


def _first(known: TrainedVQ, rows: Rows) -> Rows:
    """The architectures without repetitions, in order."""
    kept: Rows = rows[np.sort(np.unique(known.space.keys(rows), return_index=True)[1])]
    return kept


def _sorted(
    request: ArchVQRequest, benchmark: TabularBenchmark, source: _Generator, seed: int
) -> tuple[float, ...]:
    """One run of Table 5: the cells of its row."""
    predictor = _trained(
        request, source.vectors, benchmark.rows, benchmark.column("val_accuracy"), seed
    )
    rows = source.rows(request.samples, seed)
    if not len(rows):
        return (0.0, *[math.nan] * 6)
    places = benchmark.indices(benchmark.space.architectures(rows))
    truth = benchmark.column(_shown_metric(benchmark))[places]
    validation = benchmark.column("val_accuracy")[places]
    scores = predictor(source.vectors(rows))
    kept = np.argsort(-scores, kind="stable")[: round(request.samples * _KEPT)]
    ideal = np.sort(truth)[::-1][: len(kept)]
    return (
        float(len(rows)),
        kendall_tau(scores, validation),
        float(truth.mean()),
        float(truth[kept].mean()),
        float(truth[kept].max()),
        float(ideal.mean()),
        float(truth.max()),
    )


def _trained(
    request: ArchVQRequest,
    vectors: Callable[[Rows], Vectors],
    rows: Rows,
    values: Floats,
    seed: int,
) -> Predictor:
    index = _labelled(len(rows), _LABELLED, seed)
    config = _config(request)
    return Predictor(vectors(rows[index]), values[index], seed=seed, config=config)


def _inputs(request: ArchVQRequest, rows: Rows) -> Mapping[str, Vectors]:
    """What the predictor may see of every architecture, by name."""

    def codes(model: ArchVQModel) -> Vectors:
        return model.vectors(model.encode(rows))

    paper, default = (codes(arch_vq(request, _SPACE, p, 0)) for p in ("paper", "default"))
    latents = arch2vec(request, _SPACE, 0).embed(rows)
    return {
        "Arch-VQ codes, `paper` preset": paper,
        "Arch-VQ codes, `default` preset": default,
        "Arch-VQ codes, `default` preset (mean)": default.mean(axis=1, keepdims=True),
        "arch2vec, trained by us (concat)": latents,
        "arch2vec, trained by us (mean)": latents.mean(axis=1, keepdims=True),
        "one-hot operations": np.eye(5, dtype=np.float32)[rows],
    }


def _taus(request: ArchVQRequest, vectors: Vectors, values: Floats, fraction: float) -> Spread:
    found = []
    for seed in range(request.seeds):
        index = _labelled(len(values), fraction, seed)
        config = _config(request)
        predictor = Predictor(vectors[index], values[index], seed=seed, config=config)
        found.append(kendall_tau(predictor(vectors), values))
    return Spread.of(found)


def _labelled(n: int, percent: float, seed: int) -> npt.NDArray[np.int64]:
    """A random share of the space, the same for every input of a seed."""
    return np.random.default_rng([seed, 7]).permutation(n)[: max(2, round(n * percent / 100))]


def _config(request: ArchVQRequest) -> PredictorConfig:
    steps = {"quick": 60, "small": 200, "full": 1000}[request.budget]
    return PredictorConfig(steps=steps)


def _benchmark(dataset: str) -> TabularBenchmark:
    return NASBench201Table(dataset)


def _shown_metric(benchmark: TabularBenchmark) -> str:
    """Test accuracy where the table has it; the table that comes with pip does not."""
    names = [metric.name for metric in benchmark.metrics]
    return "test_accuracy" if "test_accuracy" in names else "val_accuracy"
