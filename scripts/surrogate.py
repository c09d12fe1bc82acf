"""Prints how well the label-trained surrogate ranks, against NASLib's settings and others.

Each row learns the validation accuracies of n cells of NAS-Bench-201, drawn from the 9,445 that
differ once edges on no path are cut, and predicts 2,000 others. The proxies are the published ones
of NAS-Bench-Suite-Zero (`nbsuitezero_nb201_9445.csv.gz` in NAS_PLUGINS_DATA, joined with the table
by the official index; CIFAR-100 uses the proxies computed on CIFAR-10). "top 10 %" is the share of
the predicted best tenth that is in the true best tenth, "top 10" that of the ten predicted best
that are among the ten truly best, "in 90 %" the share of labels in the 90 % interval. Mean over
the splits, and the standard deviation of Kendall's tau.
"""

from __future__ import annotations

import csv
import gzip
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import typer
from scipy.stats import kendalltau, spearmanr
from sklearn.ensemble import ExtraTreesRegressor

import nas_plugins as nap
from nas_plugins._csv import csv_text
from nas_plugins.evaluators.surrogate import Encoder, Surrogate
from nas_plugins.evaluators.surrogate.evaluator import CHEAP
from nas_plugins.reproduction.documents import ResultTable

Floats = npt.NDArray[np.float64]

FILE = "nbsuitezero_nb201_9445.csv.gz"
DATASETS = {"cifar10": "cifar10", "cifar100": "cifar10", "imagenet16": "ImageNet16-120"}
PROXIES = (
    "epe_nas", "fisher", "flops", "grad_norm", "grasp", "jacov", "l2_norm", "nwot", "params",
    "plain", "snip", "synflow", "zen",
)  # fmt: skip
LEFT_OUT = ("fisher", "grasp", "plain", "zen")
"""Dear or weak, and of no use beside the graph (chosen on CIFAR-10, seeds 5000 to 5015)."""
SCORES = {"Spearman": 3, "Kendall": 3, "top 10 %": 2, "top 10": 2, "in 90 %": 2, "CPU s": 1}
OWN = "auto, own proxies + graph"


@dataclass(frozen=True)
class Data:
    """All cells of one data set.

    Attributes:
        published: `(N, 13)` proxies as published, failures as -1e8.
        kept: `(N, 9)` those the surrogate uses, failures as NaN.
        one_hot, graph: `(N, ...)`.
        labels: `(N,)` validation accuracy in %.
        own: `(N, P)` proxies computed here on noise, or no column.
    """

    published: Floats
    kept: Floats
    one_hot: Floats
    graph: Floats
    labels: Floats
    own: Floats


def read(dataset: str, folder: Path, own: int) -> Data:
    """Joins the published proxies with the benchmark's validation accuracies.

    With `own` there are only so many cells, drawn at random, with the proxies of `CHEAP` too.
    """
    with gzip.open(folder / FILE, "rt", encoding="utf-8") as file:
        records = [r for r in csv.DictReader(file) if r["dataset"] == DATASETS[dataset]]
    if own:
        chosen = np.random.default_rng(own).permutation(len(records))[:own]
        records = [records[i] for i in chosen]
    places = np.array([int(record["index"]) for record in records])
    published = np.array([[float(record[name]) for name in PROXIES] for record in records])
    bench = nap.benchmark(f"nasbench201/{dataset}", source="compact")
    cells = [bench.architecture(place) for place in places]
    used = [i for i, name in enumerate(PROXIES) if name not in LEFT_OUT]
    kept = np.where(np.abs(published) >= 1e8, np.nan, published)[:, used]
    one_hot, graph = (Encoder(bench.space, features=(f,))(cells) for f in ("one-hot", "graph"))
    found = np.zeros((len(cells), 0))
    if own:
        cheap = nap.evaluator("zero-cost", proxies=CHEAP, workers=1)
        found = Encoder(bench.space, features=("proxies",), proxies=cheap)(cells)
    return Data(published, kept, one_hot, graph, bench.column("val_accuracy")[places], found)


def surrogate(model: str, *parts: str, folds: int = 5) -> Callable[..., tuple[Floats, Floats]]:
    """A row: predictions, and whether each label lies in its interval, of some features."""

    def predict(data: Data, known: Floats, tested: Floats) -> tuple[Floats, Floats]:
        blocks = [getattr(data, part) for part in parts]
        groups = [g for g, block in enumerate(blocks) for _ in range(block.shape[1])]
        features = np.concatenate(blocks, axis=1)
        fitted = Surrogate(model=model, groups=groups, folds=folds)
        fitted.fit(features[known], data.labels[known])
        low, high = fitted.interval(features[tested], 0.9)
        inside = (low <= data.labels[tested]) & (data.labels[tested] <= high)
        covered = inside.astype(np.float64) if folds else np.full(len(tested), np.nan)
        return fitted.predict(features[tested]), covered

    return predict


def plain_trees(data: Data, known: Floats, tested: Floats) -> tuple[Floats, Floats]:
    """scikit-learn's extra trees on the raw proxies and labels."""
    trees = ExtraTreesRegressor(200, n_jobs=1, random_state=0)
    trees.fit(data.published[known], data.labels[known])
    return trees.predict(data.published[tested]), np.full(len(tested), np.nan)


ROWS: dict[str, Callable[..., tuple[Floats, Floats]]] = {
    "NASLib's XGBoost, 13 proxies": surrogate("naslib", "published", folds=0),
    "extra trees, 13 proxies": plain_trees,
    "soft XGBoost, proxies + one-hot": surrogate("xgboost", "kept", "one_hot", folds=0),
    "GP, graph alone": surrogate("gp", "graph", folds=0),
    "GP, proxies + graph": surrogate("gp", "kept", "graph", folds=0),
    "auto, proxies + graph": surrogate("auto", "kept", "graph"),
    OWN: surrogate("auto", "own", "graph"),
}


def scores(predicted: Floats, covered: Floats, truth: Floats) -> list[float]:
    """Every score but the seconds."""
    tenth = len(truth) // 10
    best, found = (set(np.argsort(-v, kind="stable")[:tenth]) for v in (truth, predicted))
    ten, guess = (set(np.argsort(-v, kind="stable")[:10]) for v in (truth, predicted))
    return [
        float(spearmanr(predicted, truth)[0]),
        float(kendalltau(predicted, truth)[0]),
        len(best & found) / tenth,
        len(ten & guess) / 10,
        float(covered.mean()),
    ]


def measure(
    data: Data, names: Iterable[str], labels: Iterable[int], split: int, held_out: int
) -> Iterable[tuple[str, int, list[float]]]:
    """All rows and numbers of labels on one split; the held-out cells are the same for all."""
    order = np.random.default_rng(split).permutation(len(data.labels))
    tested = order[-held_out:]
    for n in labels:
        for name in names:
            start = time.process_time()
            predicted, covered = ROWS[name](data, order[:n], tested)
            seconds = time.process_time() - start
            yield name, n, [*scores(predicted, covered, data.labels[tested]), seconds]


def run(
    path: Path, dataset: str, *, labels: list[int], splits: range, held_out: int, own: int
) -> None:
    """Appends what is missing in the file of results, split by split."""
    done = {key[:2] for key in load(path) if key[0] == dataset}
    data = None
    for split in splits:
        if (dataset, split) in done:
            continue
        data = data or read(dataset, Path(os.environ["NAS_PLUGINS_DATA"]), own)
        names = [name for name in ROWS if own or name != OWN]
        found = list(measure(data, names, labels, split, held_out))
        with path.open("a", newline="", encoding="utf-8") as file:
            file.write(csv_text([dataset, split, name, n, *values] for name, n, values in found))


def load(path: Path) -> dict[tuple[str, int, str, int], list[float]]:
    """Results by data set, split, row and number of labels."""
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {
            (d, int(split), name, int(n)): list(map(float, values))
            for d, split, name, n, *values in csv.reader(file)
        }


def tables(dataset: str, found: dict[tuple[str, int, str, int], list[float]]) -> list[ResultTable]:
    """The tables of one data set, one per score: mean over the splits by row and labels."""
    here = {key: values for key, values in found.items() if key[0] == dataset}
    sizes = sorted({key[3] for key in here})
    splits = len({key[1] for key in here})
    made = []
    for i, (score, digits) in enumerate(SCORES.items()):
        rows = []
        for name in ROWS:
            cells = [
                _mean([v[i] for k, v in here.items() if k[2:] == (name, n)], digits, score)
                for n in sizes
            ]
            if set(cells) != {"-"}:
                rows.append((name, *cells))
        title = f"{dataset}, {splits} splits: {score} by number of labels"
        heads = ("", *map(str, sizes))
        made.append(ResultTable(title, heads, tuple(rows), numbers_from=1))
    return made


def _mean(values: list[float], digits: int, score: str) -> str:
    if not values or np.isnan(values).any():
        return "-"
    spread = f" ± {np.std(values, ddof=1):.{digits}f}" if score == "Kendall" and values[1:] else ""
    return f"{np.mean(values):.{digits}f}{spread}"


def main(
    *,
    datasets: Annotated[str, typer.Option(help="Comma-separated.")] = ",".join(DATASETS),
    labels: Annotated[str, typer.Option(help="Comma-separated numbers of labels.")] = (
        "10,25,50,100,200,400,500,1000"
    ),
    splits: Annotated[int, typer.Option(min=1, help="Draws; the seeds count from 0.")] = 10,
    held_out: Annotated[int, typer.Option(help="Cells that are predicted.")] = 2000,
    out: Annotated[Path, typer.Option(help="Results; splits found there are not repeated.")] = (
        Path("surrogate.csv")
    ),
    own: Annotated[int, typer.Option(help="Only so many cells, scored here too.")] = 0,
    markdown: Annotated[bool, typer.Option(help="Print Markdown.")] = False,
) -> None:
    """Prints rank correlations, precisions, coverage and cost."""
    for dataset in datasets.split(","):
        numbers = [int(n) for n in labels.split(",")]
        run(out, dataset, labels=numbers, splits=range(splits), held_out=held_out, own=own)
        for table in tables(dataset, load(out)):
            print(table.markdown() if markdown else table.text())


if __name__ == "__main__":
    typer.run(main)
