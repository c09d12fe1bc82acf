"""NAS-Bench-301: the encoding, and the surrogate against recorded architectures."""

from __future__ import annotations

import csv
import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

import nas_plugins as nap
from nas_plugins.benchmarks import files
from nas_plugins.benchmarks.nasbench301 import NASBench301Surrogate, encode
from nas_plugins.errors import (
    DataError,
    InvalidArchitectureError,
    MissingDependencyError,
    UnknownNameError,
)
from nas_plugins.history import Objective
from nas_plugins.protocols import Benchmark

MODEL = "nb301_yahpo/new_model.onnx"
PREFIX = "NetworkSelectorDatasetInfo_COLON_darts_COLON_"
DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), "
    "('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], "
    "reduce_concat=[2, 3, 4, 5])"
)


def test_encoding_by_hand() -> None:
    space = nap.space("darts")
    features = encode([space.parse(DARTS_V2)])[0]
    avg, dil3, dil5, maxp, sep3, sep5, skip = range(1, 8)
    assert {avg, dil5, sep5}.isdisjoint(features[:28])
    # Edges by target: node 2 from 0, 1; node 3 from 0-2; node 4 from 0-3; node 5 from 0-4.
    normal = [sep3, sep3, sep3, sep3, 0, skip, sep3, 0, 0, skip, 0, dil3, 0, 0]
    reduce = [maxp, maxp, 0, maxp, skip, maxp, 0, skip, 0, 0, maxp, skip, 0, 0]
    assert features[:14].tolist() == normal
    assert features[14:28].tolist() == reduce
    # Pairs in the order 0_1, 0_2, 1_2 / 0_1, 0_2, 0_3, 1_2, ... from 1.
    assert features[28:].tolist() == [1, 1, 2, 3, 2, 5]


def test_encoding_is_the_one_of_the_published_files(table: Callable[[str], Path]) -> None:
    codes = json.loads(table("nb301_yahpo/encoding.json").read_text())
    order = json.loads(table("nb301_yahpo/feature_order.json").read_text())["cat_order"]
    space = nap.space("darts")
    first_edge = {2: 0, 3: 2, 4: 5, 5: 9}
    for architecture in space.architectures(space.random(50, np.random.default_rng(0))):
        named = dict.fromkeys(order, "#na#")
        for cell in ("normal", "reduce"):
            for node, first in first_edge.items():
                pair = architecture.choices.get(f"{cell}/node_{node}/inputs", "0_1")
                if node > 2:
                    named[f"{PREFIX}inputs_node_{cell}_{node}"] = str(pair)
                for i, source in enumerate(str(pair).split("_")):
                    operation = architecture.choices[f"{cell}/node_{node}/op_{i}"]
                    named[f"{PREFIX}edge_{cell}_{first + int(source)}"] = str(operation)
        expected = [codes[feature][named[feature]] for feature in order]
        assert encode([architecture])[0].tolist() == expected


@pytest.mark.usefixtures("home")
def test_an_absent_file_says_what_to_download_and_where() -> None:
    with pytest.raises(DataError, match="data fetch nasbench301`, or download https://raw"):
        nap.benchmark("nasbench301")
    with pytest.raises(UnknownNameError, match="did you mean 'nasbench301'"):
        nap.benchmark("nasbench301/cifar10")


@pytest.mark.parametrize("epoch", [0, 99])
def test_epoch_is_checked(epoch: int) -> None:
    with pytest.raises(ValueError, match=rf"`epoch` must be in 1\.\.98, got {epoch}"):
        NASBench301Surrogate(epoch=epoch)


def test_a_damaged_file_is_refused(home: Path) -> None:
    file = files.get("nasbench301").path
    file.parent.mkdir()
    file.write_bytes(b"not the network")
    with pytest.raises(DataError, match="has not the published sha256"):
        NASBench301Surrogate()


def test_without_onnxruntime_it_says_what_to_install(
    table: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    table(MODEL)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match=r"pip install nas-plugins\[nasbench301\]"):
        NASBench301Surrogate()


def test_predictions_rank_recorded_architectures(table: Callable[[str], Path]) -> None:
    table(MODEL)
    pytest.importorskip("onnxruntime")
    bench = nap.benchmark("nasbench301")
    assert isinstance(bench, Benchmark)
    with table("nbsuitezero_nb301_500.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    values = bench.evaluate([bench.space.parse(row["arch"]) for row in rows])
    predicted = [value["val_accuracy"] for value in values]
    recorded = [float(row["val_accuracy"]) for row in rows]
    assert spearmanr(predicted, recorded).statistic > 0.90
    assert kendalltau(predicted, recorded).statistic > 0.73
    assert 94 < np.mean(predicted) < 95
    assert all(1000 < value["train_seconds"] < 20_000 for value in values)


def test_surface(table: Callable[[str], Path]) -> None:
    table(MODEL)
    pytest.importorskip("onnxruntime")
    bench = NASBench301Surrogate(epoch=50)
    architecture = bench.space.parse(DARTS_V2)
    long = NASBench301Surrogate().query(architecture, "val_accuracy")
    short = bench.query(architecture, "val_accuracy")
    assert short < long
    assert "epoch 50" in bench.source
    assert bench.front([Objective("val_accuracy")]) is None
    again = pickle.loads(pickle.dumps(bench))
    assert again.query(architecture, "val_accuracy") == short
    with pytest.raises(UnknownNameError, match="did you mean 'val_accuracy'"):
        bench.query(architecture, "val_acuracy")
    other = nap.space("darts-cell").sample(np.random.default_rng(0))
    with pytest.raises(InvalidArchitectureError, match="must be of space 'darts'"):
        bench.evaluate([other])
