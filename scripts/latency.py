"""Prints how well an additive model fitted from a few measurements predicts latency.

``tables`` asks the published device tables: the model sees n architectures and is compared on
others with a straight line through FLOPs and with the mean of the same n. ``measured`` measures
a few cells on this machine, several times, with PyTorch and ONNX Runtime. "error" is the median
over architectures of the absolute error over the true latency. Mean and standard deviation over
the draws of the n architectures.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import typer

import nas_plugins as nap
from nas_plugins.evaluators.latency.additive import LatencyModel, folds
from nas_plugins.evaluators.latency.design import balanced, measured_sample
from nas_plugins.evaluators.latency.measured import BACKENDS, LatencyEvaluator
from nas_plugins.evaluators.latency.quality import Quality
from nas_plugins.evaluators.latency.table import LatencyTableEvaluator
from nas_plugins.evaluators.latency.table import devices as devices_of
from nas_plugins.numerics.ranks import spearman
from nas_plugins.reproduction.documents import ResultTable

Floats = npt.NDArray[np.float64]
METHODS = ("additive", "FLOPs", "mean")

app = typer.Typer(add_completion=False, help=__doc__)
Out = Annotated[Path | None, typer.Option(help="File to write the tables to, in Markdown.")]


def flops(architectures: Sequence[nap.Architecture]) -> Floats:
    """Multiply-accumulates in millions, `(n,)`."""
    return np.array([a.space.complexity(a).flops / 1e6 for a in architectures])


def line(x: Floats, y: Floats, at: Floats) -> Floats:
    """The least-squares line through `(x, y)`, read at `at`."""
    slope, constant = np.polyfit(x, y, 1)
    values: Floats = constant + slope * at
    return values


def held_out(
    table: LatencyTableEvaluator, architectures: Sequence[nap.Architecture], known: set[object]
) -> tuple[list[nap.Architecture], Floats]:
    """Those not known that have a latency, and their latencies."""
    results = zip(architectures, table.evaluate(architectures), strict=True)
    found = {a: v["latency_ms"] for a, v in results if a.key not in known and "latency_ms" in v}
    return list(found), np.array(list(found.values()))


def trial(
    table: LatencyTableEvaluator, n: int, seed: int, tested: int
) -> tuple[dict[str, Quality], Quality]:
    """Errors per method on architectures not in the sample, and what the model stated."""
    sample, values = measured_sample(table, table.space, n, seed=seed, metric="latency_ms")
    rng = np.random.default_rng(10_000 + seed)
    rows = table.space.random(tested, rng) if table.rows is None else table.rows
    rows = rows[rng.permutation(len(rows))[:tested]]
    others, true = held_out(table, table.space.architectures(rows), {a.key for a in sample})
    model = LatencyModel.fit(sample, values)
    y = np.array(values)
    predictions = {
        "additive": model.predict(others),
        "FLOPs": line(flops(sample), y, flops(others)),
        "mean": np.full(len(true), y.mean()),
    }
    return {name: Quality.of(p, true) for name, p in predictions.items()}, model.quality


def spread(values: Sequence[float], digits: int = 3, factor: float = 1.0) -> str:
    """Mean ± sd."""
    scaled = factor * np.array(values)
    return f"{scaled.mean():.{digits}f} ± {scaled.std():.{digits}f}"


def rows_of(
    table: LatencyTableEvaluator, n: int, seeds: int, tested: int
) -> list[tuple[str, ...]]:
    """One row per method for one device and n."""
    try:
        trials = [trial(table, n, seed, tested) for seed in range(seeds)]
    except ValueError as error:  # not every choice occurs in so few
        return [(table.device, str(n), "additive", "-", "-", "-", str(error)[:60])]
    rows: list[tuple[str, ...]] = []
    for method in METHODS:
        found = [qualities[method] for qualities, _ in trials]
        stated = "-"
        if method == "additive":
            stated = spread([quality.mae for _, quality in trials])
        rows.append(
            (
                table.device,
                str(n),
                method,
                spread([q.mae for q in found]),
                spread([q.relative for q in found], 1, 100),
                spread([q.spearman for q in found]) if method != "mean" else "-",
                stated,
            )
        )
    return rows


def show(
    title: str, heads: Sequence[str], rows: Sequence[tuple[str, ...]], out: Path | None
) -> None:
    """Prints a table, and writes it in Markdown."""
    table = ResultTable(title, tuple(heads), tuple(rows), numbers_from=1)
    print(table.text())
    if out is not None:
        out.write_text(table.markdown(), encoding="utf-8")


@app.command()
def tables(
    *,
    space: Annotated[str, typer.Option(help="nasbench201 or fbnet.")] = "nasbench201",
    dataset: Annotated[str | None, typer.Option(help="Of nasbench201.")] = None,
    devices: Annotated[str, typer.Option(help="Comma-separated; all by default.")] = "",
    sizes: Annotated[str, typer.Option(help="Comma-separated n.")] = "10,25,50,100",
    seeds: Annotated[int, typer.Option(min=1)] = 10,
    tested: Annotated[int, typer.Option(help="Architectures drawn to test on.")] = 1000,
    out: Out = None,
) -> None:
    """Held-out errors on published device tables."""
    rows: list[tuple[str, ...]] = []
    for device in devices.split(",") if devices else devices_of(nap.space(space)):
        table = LatencyTableEvaluator(device, space=space, dataset=dataset)
        for n in map(int, sizes.split(",")):
            rows += rows_of(table, n, seeds, tested)
    heads = ("device", "n", "method", "MAE ms", "error %", "Spearman", "stated MAE ms")
    setting = f", {dataset or 'cifar10'}" if space == "nasbench201" else ""
    show(f"{space}{setting}, {seeds} draws", heads, rows, out)


@app.command()
def measured(
    *,
    n: Annotated[int, typer.Option(min=5, help="Cells of NAS-Bench-201.")] = 20,
    channels: Annotated[int, typer.Option(min=1)] = 16,
    cells: Annotated[int, typer.Option(min=1)] = 1,
    repeats: Annotated[int, typer.Option(min=2, help="Measurements of each cell.")] = 3,
    seed: Annotated[int, typer.Option(help="Of the cells.")] = 0,
    backends: Annotated[str, typer.Option(help="Comma-separated.")] = ",".join(BACKENDS),
    out: Out = None,
) -> None:
    """Agreement of repeated measurements on this machine, and with FLOPs."""
    space = nap.space("nasbench201")
    sample = balanced(space, n, np.random.default_rng(seed))
    size = flops(sample)
    rows: list[tuple[str, ...]] = []
    medians: dict[str, Floats] = {}
    sources = []
    for backend in backends.split(","):
        evaluator = LatencyEvaluator(backend=backend, channels=channels, cells=cells)
        sources.append(evaluator.source)
        found = [evaluator.evaluate(sample) for _ in range(repeats)]
        times = np.array([[v["latency_ms"] for v in values] for values in found])
        spreads = np.array([[v["latency_iqr_ms"] for v in values] for values in found])
        medians[backend] = np.median(times, axis=0)
        rows.append(
            _agreement(
                backend,
                times=times,
                spreads=spreads,
                middle=medians[backend],
                sample=sample,
                size=size,
            )
        )
    heads = ("backend", "latency ms", "IQR %", "between runs %", "rank between runs",
             "rank with FLOPs", "additive error %", "FLOPs error %", "additive rank")  # fmt: skip
    title = f"{n} cells, C={channels}, N={cells}, {repeats} measurements; " + " | ".join(sources)
    show(title, heads, rows, out)
    if set(medians) == set(BACKENDS):
        both = spearman(medians["torch"], medians["onnxruntime"])
        print(f"rank correlation of the two backends: {both:.3f}")


def _agreement(
    backend: str,
    *,
    times: Floats,
    spreads: Floats,
    middle: Floats,
    sample: Sequence[nap.Architecture],
    size: Floats,
) -> tuple[str, ...]:
    """One row of `measured`; the model's and the line's error are of the same ten folds."""
    pairs = [(i, j) for i in range(len(times)) for j in range(i)]
    between = [np.median(np.abs(times[i] - times[j]) / times[j]) for i, j in pairs]
    ranks = [spearman(times[i], times[j]) for i, j in pairs]
    model = LatencyModel.fit(sample, middle.tolist())
    fold = folds(len(middle))
    straight = np.empty(len(middle))
    for k in range(fold.max() + 1):
        straight[fold == k] = line(size[fold != k], middle[fold != k], size[fold == k])
    return (
        backend,
        f"{middle.min():.2f} .. {middle.max():.2f}",
        f"{100 * np.median(spreads / times):.1f}",
        f"{100 * np.mean(between):.1f}",
        f"{np.mean(ranks):.3f}",
        f"{spearman(middle, size):.3f}",
        f"{100 * model.quality.relative:.1f}",
        f"{100 * Quality.of(straight, middle).relative:.1f}",
        f"{model.quality.spearman:.3f}",
    )


if __name__ == "__main__":
    app()
