"""NAS-Bench-101: the compact archive, and the official tfrecord without TensorFlow."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nas_plugins as nap
from nas_plugins.benchmarks import files
from nas_plugins.benchmarks.files import DataFile
from nas_plugins.benchmarks.loaders import nasbench101 as loader
from nas_plugins.benchmarks.loaders import protobuf, tfrecord
from nas_plugins.benchmarks.nasbench101 import NASBench101Table
from nas_plugins.errors import DataError, MetricUnavailableError, UnknownNameError
from nas_plugins.history import Objective

COMPACT = "nb101_full.npz"
INCEPTION = (
    '{"matrix": [[0,1,1,1,0,1,0],[0,0,0,0,0,0,1],[0,0,0,0,0,0,1],[0,0,0,0,1,0,0],'
    "[0,0,0,0,0,0,1],[0,0,0,0,0,0,1],[0,0,0,0,0,0,0]],"
    '"ops": ["input","conv1x1-bn-relu","conv3x3-bn-relu","conv3x3-bn-relu",'
    '"conv3x3-bn-relu","maxpool3x3","output"]}'
)


@pytest.mark.usefixtures("home")
def test_an_absent_file_says_what_to_download_and_where() -> None:
    with pytest.raises(DataError, match="data fetch nasbench101`, or download https://storage"):
        nap.benchmark("nasbench101")
    with pytest.raises(UnknownNameError, match="did you mean 'nasbench101'"):
        nap.benchmark("nasbench101/cifar10")


# -- the compact table ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def bench(request: pytest.FixtureRequest) -> NASBench101Table:
    folder = files.data_dir()
    if not (folder / COMPACT).exists():
        pytest.skip(f"{folder / COMPACT} is absent")
    return NASBench101Table()


def test_facts(bench: NASBench101Table) -> None:
    assert len(bench) == 423_624
    architecture, value = bench.optimum(Objective("test_accuracy"))
    assert value == pytest.approx(94.3176, abs=1e-4)
    assert bench.evaluate([architecture])[0]["test_accuracy"] == value
    assert [metric.name for metric in bench.metrics] == ["test_accuracy", "params_m"]
    front = bench.front([Objective("test_accuracy"), Objective("params_m", "min")])
    assert front is not None
    assert len(front) == 43


def test_parameters_are_those_of_the_space(bench: NASBench101Table) -> None:
    rng = np.random.default_rng(0)
    architectures = bench.space.architectures(bench.space.random(100, rng))
    for architecture, values in zip(architectures, bench.evaluate(architectures), strict=True):
        params = bench.space.complexity(architecture).params / 1e6
        assert values["params_m"] == pytest.approx(params, abs=1e-9)


def test_every_way_to_write_a_cell_finds_it(bench: NASBench101Table) -> None:
    cell = bench.space.parse(INCEPTION)
    data = json.loads(INCEPTION)
    order = [0, 5, 3, 4, 1, 2, 6]
    matrix = np.array(data["matrix"])[np.ix_(order, order)].tolist()
    operations = [data["ops"][i] for i in order]
    other = bench.space.parse(json.dumps({"matrix": matrix, "ops": operations}))
    assert other.indices != cell.indices
    found = bench.evaluate([cell, other])
    assert found[0] == found[1]
    assert 90 < found[0]["test_accuracy"] < 95


def test_rows_are_the_canonical_ones_of_the_space(bench: NASBench101Table) -> None:
    sample = np.linspace(0, len(bench) - 1, 300).astype(int)
    architectures = bench.space.architectures(bench.rows[sample])
    assert all(a == bench.space.canonical(a) for a in architectures)  # type: ignore[attr-defined]
    assert bench.indices(architectures).tolist() == sample.tolist()


# -- records -------------------------------------------------------------------------------


def crc32c(data: bytes) -> int:
    """Bit by bit, as the standard defines it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def framed(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


def test_the_checksum_is_the_standard_one() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    data = np.frombuffer(b"xx123456789", dtype=np.uint8)
    found = tfrecord.masked_crc32c(data, [2, 0, 2], [9, 0, 1])
    expected = [int.from_bytes(masked(d), "little") for d in (b"123456789", b"", b"1")]
    assert found.tolist() == expected


@given(st.lists(st.binary(max_size=60), max_size=12))
def test_records_come_back_in_order(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    file = tmp_path_factory.mktemp("records") / "a.tfrecord"
    file.write_bytes(b"".join(map(framed, data)))
    assert list(tfrecord.records(file)) == data


def test_records_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tfrecord, "_BLOCK", 37)
    data = [bytes([i]) * (i * 7 % 90) for i in range(40)]
    file = tmp_path / "a.tfrecord"
    file.write_bytes(b"".join(map(framed, data)))
    assert list(tfrecord.records(file)) == data


def test_damage_says_which_record(tmp_path: Path) -> None:
    file = tmp_path / "a.tfrecord"
    parts = [framed(b"first"), framed(b"second"), framed(b"third")]
    whole = b"".join(parts)
    second = len(parts[0])
    flipped = bytearray(whole)
    flipped[second + 13] ^= 1
    cases = {
        "record 1 has a wrong checksum": bytes(flipped),
        "torn: it ends within record 2": whole[:-3],
        "torn: it ends within record 1": whole[: second + 5],
        "record 1 claims": whole[:second] + b"\xff" * 8 + whole[second + 8 :],
    }
    for message, content in cases.items():
        file.write_bytes(content)
        with pytest.raises(DataError, match=message):
            list(tfrecord.records(file))
    with pytest.raises(DataError, match="cannot read"):
        list(tfrecord.records(tmp_path / "absent"))


# -- messages ------------------------------------------------------------------------------


def varint(value: int) -> bytes:
    groups = []
    while True:
        value, low = value >> 7, value & 0x7F
        groups.append(low | (0x80 if value else 0))
        if not value:
            return bytes(groups)


def double(number: int, value: float) -> bytes:
    return varint(number << 3 | 1) + struct.pack("<d", value)


def nested(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


@given(st.integers(0, 2**63 - 1), st.floats(allow_nan=False), st.binary(max_size=20))
def test_messages_are_split_into_fields(number: int, value: float, data: bytes) -> None:
    message = varint(2 << 3) + varint(number) + double(3, value) + nested(40, data) * 2
    assert protobuf.parse(message) == {2: [number], 3: [value], 40: [data, data]}


@pytest.mark.parametrize(
    "data", [b"\x09\x00", b"\x12\x05ab", b"\x80", b"\x0b", b"\x08" + b"\xff" * 11]
)
def test_a_torn_message_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="at byte"):
        protobuf.parse(data)


# -- the official layout -------------------------------------------------------------------


def evaluation(accuracy: float, seconds: float) -> bytes:
    fields = {1: 108.0, 2: seconds, 3: 1.0, 4: accuracy, 5: accuracy - 0.01}
    return b"".join(double(n, v) for n, v in fields.items()) + nested(6, b"model.ckpt")


def record(
    name: str, matrix: list[list[int]], operations: list[str], accuracy: float, epochs: int = 108
) -> bytes:
    metrics = b"".join(
        nested(1, evaluation(accuracy * share, 1000.0 * share)) for share in (0.1, 0.5, 1.0)
    )
    metrics += varint(2 << 3) + varint(8_555_530) + double(3, 1.0)
    adjacency = "".join(str(entry) for row in matrix for entry in row)
    text = base64.b64encode(metrics).decode()
    return json.dumps([name, epochs, adjacency, ",".join(operations), text]).encode()


def official(path: Path, records: list[bytes]) -> Path:
    path.write_bytes(b"".join(map(framed, records)))
    return path


SMALL = ("b" * 32, [[0, 1], [0, 0]], ["input", "output"])


def large() -> tuple[str, list[list[int]], list[str]]:
    data = json.loads(INCEPTION)
    return "a" * 32, data["matrix"], data["ops"]


def test_runs_are_averaged_and_other_epochs_skipped(tmp_path: Path) -> None:
    records = [record(*large(), accuracy) for accuracy in (0.9, 0.92, 0.94)]
    records += [record(*large(), 0.5, epochs=4), record(*SMALL, 0.8)]
    arrays = loader.convert(official(tmp_path / "a.tfrecord", records), size=2)
    assert arrays["val_accuracy"].tolist() == pytest.approx([92.0, 80.0])
    assert arrays["test_accuracy"].tolist() == pytest.approx([91.0, 79.0])
    assert arrays["train_seconds"].tolist() == [1000.0, 1000.0]
    assert arrays["params_m"].tolist() == [8.55553, 8.55553]
    assert arrays["vertices"].tolist() == [7, 2]


def test_the_official_file_serves_and_is_converted_once(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [record(*large(), 0.9), record(*SMALL, 0.8)]
    file = files.get("nasbench101")
    official(home / file.filename, records)
    with pytest.raises(DataError, match="has not the published sha256 4c39c393"):
        NASBench101Table()
    changed = DataFile(**{**vars(file), "checksum": None})
    others = [f for f in files._FILES if f.name != file.name]
    monkeypatch.setattr(files, "_FILES", (changed, *others))
    convert = loader.convert
    monkeypatch.setattr(loader, "convert", lambda path: convert(path, size=2))
    bench = NASBench101Table()
    assert "official nasbench_only108.tfrecord" in bench.source
    names = ["val_accuracy", "test_accuracy", "params_m", "train_seconds"]
    assert [metric.name for metric in bench.metrics] == names
    cell = bench.space.parse(INCEPTION)
    assert bench.query(cell, "val_accuracy") == pytest.approx(90.0)
    third = bench.space.sample(np.random.default_rng(0))
    with pytest.raises(MetricUnavailableError, match="holds 2 architectures and not this one"):
        bench.query(third, "val_accuracy")
    monkeypatch.setattr(loader, "convert", lambda path: pytest.fail("converted again"))
    assert NASBench101Table(source="official").query(cell, "params_m") == 8.55553


def test_a_record_of_another_layout_is_named(tmp_path: Path) -> None:
    name, matrix, operations = large()
    lower = [list(row) for row in matrix]
    lower[6][0] = 1
    bad: list[bytes] = [
        b"no json",
        b"[1, 2]",
        json.dumps(["c", 108, "0100", "input,output", "%%%"]).encode(),
        json.dumps(["c", 108, "0100", "input,output", ""]).encode(),
        record(name, lower, operations, 0.9),
        record(name, matrix[:-1], operations, 0.9),
        record(name, matrix, [*operations[:3], "conv5x5", *operations[4:]], 0.9),
    ]
    for content in bad:
        file = official(tmp_path / "a.tfrecord", [record(*SMALL, 0.8), content])
        with pytest.raises(DataError, match=r"record 1 of .* is not one of NAS-Bench-101"):
            loader.convert(file, size=2)
    with pytest.raises(DataError, match="holds 1 of the 423,624 cells"):
        loader.convert(official(tmp_path / "a.tfrecord", [record(*SMALL, 0.8)]))


def test_codes_of_cells_in_another_order_are_not_taken_for_keys(
    table: Callable[[str], Path], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, matrix, operations = large()
    order = [0, 5, 3, 4, 1, 2, 6]
    shuffled = np.array(matrix)[np.ix_(order, order)].tolist()
    moved = [operations[i] for i in order]
    path = official(home / "nasbench_only108.tfrecord", [record(name, shuffled, moved, 0.9)])
    arrays = loader.convert(path, size=1)
    monkeypatch.setattr("nas_plugins.benchmarks.nasbench101._official", lambda: (arrays, "test"))
    bench = NASBench101Table(source="official")
    assert bench.query(bench.space.parse(INCEPTION), "val_accuracy") == pytest.approx(90.0)
