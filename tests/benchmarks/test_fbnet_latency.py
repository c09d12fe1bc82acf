"""FBNet latency: additive devices, measured devices, the official look-up tables."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nas_plugins as nap
from nas_plugins.benchmarks import files
from nas_plugins.benchmarks.fbnet import ADDITIVE, MEASURED, FBNetLatencyTable
from nas_plugins.benchmarks.files import DataFile
from nas_plugins.benchmarks.loaders import hw_nas_bench
from nas_plugins.errors import (
    DataError,
    InvalidArchitectureError,
    MetricUnavailableError,
    UnknownNameError,
)
from nas_plugins.history import Objective
from nas_plugins.protocols import Benchmark

COMPACT = "fbnet_cifar100_help.npz"
LATENCY = [Objective("latency_ms", "min")]


def test_tables_are_listed_without_loading() -> None:
    assert len(FBNetLatencyTable.tables()) == 28
    assert set(ADDITIVE).isdisjoint(MEASURED)


@pytest.mark.parametrize("name", ["fbnet", "fbnet/raspi", "fbnet/raspi4/x"])
def test_an_unknown_device_suggests_the_nearest(name: str) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'fbnet/"):
        nap.benchmark(name)


@pytest.mark.usefixtures("home")
def test_an_absent_file_says_what_to_do() -> None:
    with pytest.raises(DataError, match="data fetch hw-nas-bench"):
        nap.benchmark("fbnet/raspi4")
    with pytest.raises(DataError, match="set NAS_PLUGINS_DATA"):
        nap.benchmark("fbnet/gold_6226")
    with pytest.raises(DataError, match="has no 'gold_6226' for FBNet, only edgegpu"):
        FBNetLatencyTable("gold_6226", source="official")


# -- the compact table ---------------------------------------------------------------------


@pytest.mark.parametrize("device", ["eyeriss", "fpga", "pixel3", "raspi4"])
def test_sums_are_the_measured_latencies(table: Callable[[str], Path], device: str) -> None:
    raw = np.load(table(COMPACT))
    bench = nap.benchmark(f"fbnet/{device}")
    assert isinstance(bench, Benchmark)
    architectures = bench.space.architectures(raw["archs"])
    found = [values["latency_ms"] for values in bench.evaluate(architectures)]
    measured = raw["latency_ms"][raw["devices"].tolist().index(device)]
    assert np.abs(np.array(found) - measured).max() < 1e-9
    front = bench.front(LATENCY)
    assert front is not None
    assert front.shape == (1, 1)
    assert front[0, 0] <= measured.min()


def test_the_optimum_of_an_additive_device_is_reached(table: Callable[[str], Path]) -> None:
    raw = np.load(table(COMPACT))
    i = raw["lut_devices"].tolist().index("raspi4")
    bench = nap.benchmark("fbnet/raspi4")
    for direction, choose in (("min", np.argmin), ("max", np.argmax)):
        best = bench.space.architectures(choose(raw["lut"][i], axis=1)[None])
        front = bench.front([Objective("latency_ms", direction)])
        assert front is not None
        assert bench.evaluate(best)[0]["latency_ms"] == pytest.approx(front[0, 0])


def test_a_measured_device_knows_its_5000_architectures(table: Callable[[str], Path]) -> None:
    raw = np.load(table(COMPACT))
    bench = nap.benchmark("fbnet/gold_6226")
    architectures = bench.space.architectures(raw["archs"][:100])
    found = [values["latency_ms"] for values in bench.evaluate(architectures)]
    assert found == raw["latency_ms"][raw["devices"].tolist().index("gold_6226")][:100].tolist()
    other = bench.space.sample(np.random.default_rng(0))
    values = bench.evaluate([other])[0]
    assert values == {}
    with pytest.raises(MetricUnavailableError, match=r"'latency_ms' .* 5,000 architectures"):
        values["latency_ms"]
    front = bench.front(LATENCY)
    assert front is not None
    assert front[0, 0] == pytest.approx(33.24868, abs=1e-5)


def test_errors(table: Callable[[str], Path], tmp_path: Path, home: Path) -> None:
    (home / COMPACT).symlink_to(table_path := home.parent / "real.npz")
    rng = np.random.default_rng(0)
    np.savez(
        table_path,
        archs=rng.integers(9, size=(5, 22)),
        devices=np.array(["pixel2"]),
        latency_ms=np.ones((1, 5)),
        lut_devices=np.array(["raspi4"]),
        lut_const=np.array([1.0]),
        lut=np.ones((1, 22, 9)),
    )
    bench = nap.benchmark("fbnet/raspi4")
    assert bench.evaluate([bench.space.sample(rng)])[0]["latency_ms"] == 23.0
    with pytest.raises(UnknownNameError, match="did you mean 'latency_ms'"):
        bench.front([Objective("latency", "min")])
    with pytest.raises(InvalidArchitectureError, match="must be of space 'fbnet'"):
        bench.evaluate([nap.space("nasbench201").sample(rng)])
    with pytest.raises(DataError, match="has no 'gold_6226'"):
        nap.benchmark("fbnet/gold_6226")


# -- the official look-up tables, in their layout ------------------------------------------

CHANNELS, LAYERS = (16, 24, 32, 64, 112, 184, 352), (1, 4, 4, 4, 4, 4, 1)
BLOCKS = ((1, 3, 1), (1, 3, 2), (3, 3, 1), (6, 3, 1), (1, 5, 1), (1, 5, 2), (3, 5, 1), (6, 5, 1))


def layout() -> dict[str, float]:
    """Every name of HW-NAS-Bench's CIFAR-100 setting, written out; a cost of its own each."""
    names = ["ConvNorm_H32_W32_Cin3_Cout16_kernel3_stride1_group1"]
    side, inputs = 32, 16
    for outputs, n, stage_stride in zip(CHANNELS, LAYERS, (1, 1, 2, 2, 1, 2, 1), strict=True):
        for i in range(n):
            stride = 1 if i else stage_stride
            place = f"H{side}_W{side}_Cin{inputs}_Cout{outputs}"
            names.append(f"Skip_{place}_stride{stride}")
            for e, k, g in BLOCKS:
                names.append(f"ConvBlock_{place}_exp{e}_kernel{k}_stride{stride}_group{g}")
            side, inputs = side // stride, outputs
    names += [
        "ConvNorm_H4_W4_Cin352_Cout1504_kernel1_stride1_group1",
        "AvgP_H4_W4_Cin1504_Cout1504_kernel4_stride1",
        "FC_Cin1504_Cout100",
    ]
    return {name: 1.0 + 0.001 * i for i, name in enumerate(dict.fromkeys(names))}


def test_the_official_tables_are_added_up(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    costs = layout()
    data: dict[str, Any] = {"fbnet": {}, "nasbench201": {}}
    for name in ("edgegpu_latency", "edgegpu_energy", "raspi4_latency"):
        data["fbnet"][name] = costs
    file = files.get("hw-nas-bench")
    (home / file.filename).write_bytes(pickle.dumps(data))
    changed = DataFile(**{**vars(file), "checksum": None})
    others = [f for f in files._FILES if f.name != file.name]
    monkeypatch.setattr(files, "_FILES", (changed, *others))

    bench = FBNetLatencyTable("edgegpu")
    assert [metric.name for metric in bench.metrics] == ["latency_ms", "energy_mj"]
    assert "official HW-NAS-Bench" in bench.source
    stem, head = "ConvNorm_H32_W32_Cin3", "ConvNorm_H4_W4_Cin352"
    fixed = sum(c for n, c in costs.items() if n.startswith((stem, head, "AvgP", "FC")))
    # Layers 1 to 4 of a stage have equal names, so the first of each kind costs once per layer.
    skips = [costs["Skip_H32_W32_Cin16_Cout16_stride1"]]
    side, inputs = 32, 16
    for outputs, n, stride in zip(CHANNELS[1:], LAYERS[1:], (1, 2, 2, 1, 2, 1), strict=True):
        skips.append(costs[f"Skip_H{side}_W{side}_Cin{inputs}_Cout{outputs}_stride{stride}"])
        side, inputs = side // stride, outputs
        same = f"Skip_H{side}_W{side}_Cin{outputs}_Cout{outputs}_stride1"
        skips += [costs[same]] * (n - 1) if n > 1 else []
    all_skips = bench.space.architectures([[8] * 22])[0]
    assert bench.query(all_skips, "latency_ms") == pytest.approx(fixed + sum(skips))
    changed_layer = bench.space.architectures([[8] * 8 + [5] + [8] * 13])[0]
    place = "H32_W32_Cin24_Cout32"
    difference = costs[f"ConvBlock_{place}_exp1_kernel5_stride2_group2"] - skips[5]
    # Layer 5 is the first of its stage: stride 2, 24 to 32 channels.
    fifth = bench.space.architectures([[8] * 5 + [5] + [8] * 16])[0]
    assert bench.query(fifth, "energy_mj") == pytest.approx(
        bench.query(all_skips, "energy_mj") + difference
    )
    assert bench.query(changed_layer, "latency_ms") != bench.query(all_skips, "latency_ms")
    assert bench.front([*LATENCY, Objective("energy_mj", "min")]) is None

    monkeypatch.setattr(hw_nas_bench, "convert_fbnet", lambda path: pytest.fail("converted again"))
    assert [m.name for m in FBNetLatencyTable("raspi4").metrics] == ["latency_ms"]
    with pytest.raises(DataError, match="has no FBNet table of 'fpga'"):
        FBNetLatencyTable("fpga")


def test_an_official_file_of_another_layout_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "HW-NAS-Bench-v1_0.pickle"
    for data in ({}, {"fbnet": {"raspi4_latency": {}}}, {"fbnet": [1]}):
        file.write_bytes(pickle.dumps(data))
        with pytest.raises(DataError, match="layout of HW-NAS-Bench"):
            hw_nas_bench.convert_fbnet(file)
