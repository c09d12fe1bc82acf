"""Kinds of files that `fuzz.py` changes: results, archives, checkpoints and recordings."""

from __future__ import annotations

import base64
import bz2
import gzip
import hashlib
import io
import json
import pickle
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from _fuzzed import Kind


def result() -> bytes:
    import nas_plugins as nap

    space = nap.space("nasbench201")
    rng = np.random.default_rng(0)
    trials = tuple(
        nap.Trial(i, space.sample(rng), values=(float(i), 1.0), notes={"reason": "none"})
        for i in range(3)
    )
    objectives = (nap.Objective("a", "max"), nap.Objective("b", "min"))
    history = nap.History(space, objectives, trials)
    return json.dumps(nap.SearchResult(history).to_json()).encode()


def _read_result(path: Path) -> object:
    from nas_plugins.results import SearchResult

    result = SearchResult.load(path)
    return result.summary(), result.front


def _surrogate() -> bytes:
    from nas_plugins.evaluators.surrogate.estimator import Surrogate

    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 3))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "a")
        Surrogate(model="gp", folds=0).fit(x, x.sum(axis=1)).save(file)
        return file.read_bytes()


def _read_surrogate(path: Path) -> object:
    from nas_plugins.evaluators.surrogate.estimator import Surrogate

    return Surrogate.load(path).predict(np.zeros((1, 3)))


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


def _images() -> bytes:
    stream, rng = io.BytesIO(), np.random.default_rng(0)
    parts: dict[str, Any] = {}
    for name in ("train", "val"):
        parts[f"{name}_images"] = rng.integers(0, 255, (4, 1, 4, 4)).astype(np.uint8)
        parts[f"{name}_labels"] = np.array([0, 1, 0, 1])
    np.savez(stream, **parts)
    return stream.getvalue()


def _read_images(path: Path) -> object:
    from nas_plugins.evaluators.training.dataset import Dataset

    return Dataset.from_file(path)


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


def cell() -> bytes:
    """A cell of NATS-Bench before it is packed."""

    def record(last: int, *sets: str) -> dict[str, Any]:
        accuracies = {f"{name}@{last}": 50.0 for name in sets}
        return {"eval_acc1es": accuracies, "train_times": {0: 1.0}, "latency": [0.01]}

    facts: dict[str, Any] = {"arch_index": 0, "arch_str": "x"}
    schedules = {}
    for schedule in ("12", "200"):
        one = record(int(schedule) - 1, "x-valid", "x-test", "ori-test")
        names = ("cifar10-valid", "cifar10", "cifar100", "ImageNet16-120")
        schedules[schedule] = {**facts, "all_results": {(name, 777): one for name in names}}
    return pickle.dumps(schedules)


def sealed_cell(data: bytes) -> bytes:
    """It packed."""
    return bz2.compress(data)


def _read_cell(path: Path) -> object:
    from nas_plugins.benchmarks.loaders import nats_bench

    return nats_bench.read_cell(path.read_bytes(), origin=str(path), index=0)


def _shipped() -> Path:
    from nas_plugins.strategies import arch_vq

    return Path(arch_vq.__file__).parent / "checkpoints" / "nasbench201"


def _card() -> bytes:
    from nas_plugins.strategies.arch_vq.shipped import CARD

    return (_shipped() / CARD).read_bytes()


def _read_card(path: Path) -> object:
    from nas_plugins.strategies.arch_vq.checkpoint import WEIGHTS
    from nas_plugins.strategies.arch_vq.shipped import CARD

    return _read_model(path, card=path.read_bytes(), weights=None, names=(CARD, WEIGHTS))


def _weights() -> bytes:
    return (_shipped() / "model.safetensors").read_bytes()


def _read_weights(path: Path) -> object:
    from nas_plugins.strategies.arch_vq.shipped import CARD

    weights = path.read_bytes()
    card = json.loads((_shipped() / CARD).read_text(encoding="utf-8"))
    card["sha256"] = hashlib.sha256(weights).hexdigest()
    names = (CARD, "model.safetensors")
    return _read_model(path, card=json.dumps(card).encode(), weights=weights, names=names)


def _read_model(
    path: Path, *, card: bytes, weights: bytes | None, names: tuple[str, str]
) -> object:
    from nas_plugins.strategies.arch_vq.model import ArchVQModel

    folder = path.with_name("model")
    folder.mkdir(exist_ok=True)
    (folder / names[0]).write_bytes(card)
    if weights is None:
        shutil.copyfile(_shipped() / names[1], folder / names[1])
    else:
        (folder / names[1]).write_bytes(weights)
    return ArchVQModel.load(folder)


def _training() -> bytes:
    import torch

    from nas_plugins.evaluators.training.checkpoint import Checkpoint

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "a")
        Checkpoint(file, "id").save({"w": torch.ones(2, 3)}, {"epoch": 1, "losses": [0.5]})
        return file.read_bytes()


def _read_training(path: Path) -> object:
    from nas_plugins.evaluators.training.checkpoint import Checkpoint

    return Checkpoint(path, "id").load()


def _recording() -> bytes:
    from nas_plugins.llm.base import ChatReply, ChatRequest, Message, chat_model
    from nas_plugins.llm.cache import ReplyStore

    model = chat_model("null")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "a")
        for k in range(2):
            request = ChatRequest(messages=(Message("user", f"ask {k}"),))
            ReplyStore(file).put(model, request, ChatReply("reply", "m", "stop", 9, 3, 0.5, None))
        return file.read_bytes()


def _read_recording(path: Path) -> object:
    from nas_plugins.llm.cache import ReplyStore

    store = ReplyStore(path)
    store.load()
    return store.all()


def _ledger() -> bytes:
    from nas_plugins.llm.ledger import CallRecord

    lines = [CallRecord(id=str(i), role="search").to_json() for i in range(2)]
    return b"".join(json.dumps({"event": "done", **line}).encode() + b"\n" for line in lines)


def _read_ledger(path: Path) -> object:
    from nas_plugins.llm.ledger import read_ledger

    return read_ledger(path)


def _prices() -> bytes:
    return json.dumps({"date": "2026-01-01", "m": {"input": 1.0, "output": 2.0}}).encode()


def _read_prices(path: Path) -> object:
    from nas_plugins.llm.prices import Prices

    return Prices.of(path)


def _architecture() -> bytes:
    import nas_plugins as nap

    return str(nap.space("nasbench101").sample(np.random.default_rng(0))).encode()


def _read_architecture(path: Path) -> object:
    import nas_plugins as nap

    return nap.space("nasbench101").parse(path.read_bytes().decode("utf-8", "replace"))


def _journal() -> bytes:
    lines = [{"op_code": 0, "worker_id": "w", "study_name": "s", "directions": [1]}] * 2
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def _read_journal(path: Path) -> object:
    from nas_plugins.runner.journal import damaged_line

    return damaged_line(path)


KINDS: dict[str, Kind] = {
    "result.json": Kind(result, _read_result),
    "surrogate.npz": Kind(_surrogate, _read_surrogate),
    "table.npz": Kind(_archive, _read_archive, _zipped),
    "images.npz": Kind(_images, _read_images),
    "proxies.csv.gz": Kind(_csv, _read_csv, gzip.compress),
    "nb101.tfrecord": Kind(_tfrecord, _read_tfrecord, _framed),
    "table.pkl": Kind(_pickle, _read_pickle),
    "cell.pickle.pbz2": Kind(cell, _read_cell, sealed_cell),
    "model card": Kind(_card, _read_card),
    "model.safetensors": Kind(_weights, _read_weights),
    "training.safetensors": Kind(_training, _read_training),
    "recording": Kind(_recording, _read_recording),
    "ledger": Kind(_ledger, _read_ledger),
    "prices.json": Kind(_prices, _read_prices),
    "architecture": Kind(_architecture, _read_architecture),
    "journal": Kind(_journal, _read_journal),
}
