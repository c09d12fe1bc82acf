"""Values of full-size networks against those of NAS-Bench-Suite-Zero, where the table is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

torch = pytest.importorskip("torch")

import nas_plugins as nap  # noqa: E402
from nas_plugins.benchmarks import nasbench201  # noqa: E402
from nas_plugins.benchmarks.loaders.suite_zero import simplest  # noqa: E402
from nas_plugins.errors import DataError  # noqa: E402
from nas_plugins.evaluators.zero_cost.batch import Batch  # noqa: E402
from nas_plugins.evaluators.zero_cost.engine import score_network  # noqa: E402

Table = dict[str, npt.NDArray[np.float64]]


def _tables(proxies: str, n: int, images: int, pixels: int) -> tuple[Table, Table]:
    """Values computed here and published ones, of random canonical cells."""
    torch.set_num_threads(1)
    try:
        published = nap.benchmark("nas-bench-suite-zero/cifar10")
    except DataError as error:
        pytest.skip(f"no published values: {error}")
    space, rows = nap.space("nasbench201"), nasbench201.load("cifar10").rows
    canonical = np.flatnonzero(simplest(rows) == np.arange(len(rows)))
    cells = space.architectures(rows[np.random.default_rng(0).choice(canonical, n, replace=False)])
    batch = Batch(torch.ones(images, 3, pixels, pixels), torch.arange(images) % 2)
    found = []
    for i, cell in enumerate(cells):
        torch.manual_seed(i)
        network = space.network(cell, channels=16, cells=5)
        found.append(score_network(network, batch, proxies).values)
    theirs = published.evaluate(cells)
    return (
        {name: np.array([row[name] for row in found]) for name in found[0]},
        {name: np.array([row[name] for row in theirs]) for name in found[0]},
    )


def _spearman(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    ranks = []
    for column in (first, second):
        _, inverse, counts = np.unique(column.round(9), return_inverse=True, return_counts=True)
        ranks.append((np.cumsum(counts) - (counts - 1) / 2)[inverse])
    return float(np.corrcoef(ranks)[0, 1])


def test_sizes_agree_with_the_published_ones() -> None:
    ours, theirs = _tables("params,flops,l2_norm", 40, images=2, pixels=8)
    np.testing.assert_allclose(ours["params"], theirs["params"], rtol=1e-9)
    assert _spearman(ours["flops"], theirs["flops"]) >= 0.95
    # Cells with the same operations differ in their random weights alone, here and there: the
    # values agree closer than their ranks.
    np.testing.assert_allclose(ours["l2_norm"], theirs["l2_norm"], rtol=0.015)
    assert _spearman(ours["l2_norm"], theirs["l2_norm"]) >= 0.9


@pytest.mark.slow
def test_data_free_proxies_rank_as_published() -> None:
    ours, theirs = _tables("synflow,zen", 30, images=8, pixels=16)
    for name in ("synflow", "zen"):
        assert np.isfinite(ours[name]).all()
        assert _spearman(ours[name], theirs[name]) >= 0.95
