"""Reads mutated files of every kind that the package reads, in processes of their own.

    python scripts/fuzz.py --files 2000 --seed 0
    python scripts/fuzz.py --kinds result recording --files 50

A refusal by an error of the package is right, and so is a file that is read all the same. Any
other exception is an escape; a process that ends by a signal, or takes more than ten seconds over
a file, is one too. The exit status is 1 where there was any.
"""

from __future__ import annotations

import argparse
import base64
import bz2
import gzip
import hashlib
import io
import json
import logging
import pickle
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nas_plugins.errors import NasPluginsError

HANG_S = 10.0
_START_S = 120.0
_WORDS = (b"NaN", b"1e999", b"-1", b"1000000000", b"null", b'"\xed\xa0\x80"', b"[]", b"{}", b"")
_SHARES = (0.2, 0.1, 0.1, 0.05, 0.05, 0.05, 0.15, 0.15, 0.15)
_LENGTHS = (0, 1, 2**16, 2**31 - 1, 2**63 - 1)


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    Attributes:
        sample: Makes the content of a sound one.
        read: What a user's action does with the path of one.
        seal: Puts checksums and compression around the content, so that mutations get past them.
    """

    sample: Callable[[], bytes]
    read: Callable[[Path], object]
    seal: Callable[[bytes], bytes] = bytes


# -- the kinds ---------------------------------------------------------------------------------


def _result() -> bytes:
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
    "result.json": Kind(_result, _read_result),
    "surrogate.npz": Kind(_surrogate, _read_surrogate),
    "table.npz": Kind(_archive, _read_archive, _zipped),
    "images.npz": Kind(_images, _read_images),
    "proxies.csv.gz": Kind(_csv, _read_csv, gzip.compress),
    "nb101.tfrecord": Kind(_tfrecord, _read_tfrecord, _framed),
    "table.pkl": Kind(_pickle, _read_pickle),
    "cell.pickle.pbz2": Kind(_cell, _read_cell, bz2.compress),
    "model card": Kind(_card, _read_card),
    "model.safetensors": Kind(_weights, _read_weights),
    "training.safetensors": Kind(_training, _read_training),
    "recording": Kind(_recording, _read_recording),
    "ledger": Kind(_ledger, _read_ledger),
    "prices.json": Kind(_prices, _read_prices),
    "architecture": Kind(_architecture, _read_architecture),
    "journal": Kind(_journal, _read_journal),
}


# -- one process -------------------------------------------------------------------------------


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """The content with one to three changes, some of bytes and some of words and numbers."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        # Half of the changes near the beginning, where headers are.
        reach = len(changed) if rng.random() < 0.5 else min(len(changed), 1000)
        place = int(rng.integers(reach)) if reach else 0
        kind = int(rng.choice(9, p=_SHARES))
        if kind == 0:
            changed[place : place + 1] = rng.bytes(1)
        elif kind == 1:
            del changed[place : place + int(rng.integers(1, 50))]
        elif kind == 2:
            changed[place:place] = changed[place : place + int(rng.integers(1, 50))]
        elif kind == 3:
            del changed[place:]
        elif kind == 4:
            changed[place : place + 8] = int(rng.choice(_LENGTHS)).to_bytes(8, "little")
        elif kind == 5:
            changed[place:place] = b"[" * int(rng.choice([3, 2000]))
        else:
            words = list(re.finditer(rb'-?\d+\.?\d*|"[^"]{0,40}"|true|null', changed[:100_000]))
            if words:
                word = words[rng.integers(len(words))]
                changed[word.start() : word.end()] = _WORDS[rng.integers(len(_WORDS))]
    return bytes(changed)


def outcome(read: Callable[[Path], object], file: Path) -> str:
    """``"read"``, ``"refused"``, or the name of what else was raised."""
    try:
        read(file)
    except NasPluginsError:
        return "refused"
    except BaseException as error:
        traceback.print_exc()
        return f"escape {type(error).__name__}"
    return "read"


def work(name: str, first: int, last: int, seed: int) -> None:
    """Reads the files `first` to `last` of a kind; prints number and outcome of each."""
    logging.disable(logging.CRITICAL)
    kind = KINDS[name]
    sample = kind.sample()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "file")
        file.write_bytes(kind.seal(sample))
        sound = outcome(kind.read, file)
        print("sound", sound, flush=True)
        for number in range(first, last):
            rng = np.random.default_rng([seed, list(KINDS).index(name), number])
            if rng.random() < 0.8:
                file.write_bytes(kind.seal(mutated(sample, rng)))
            else:
                file.write_bytes(mutated(kind.seal(sample), rng))
            print(number, outcome(kind.read, file), flush=True)


# -- all of them -------------------------------------------------------------------------------


def fuzz(name: str, files: int, seed: int) -> Counter[str]:
    """Outcomes of so many files, with ``"signal"`` and ``"hang"`` where a process did not live."""
    counts: Counter[str] = Counter()
    number = 0
    while number < files:
        begun, number = number, _watched(name, number, files, seed, counts)
        if number == begun:  # before the first file: no other would go better
            counts["escape at the start"] += 1
            break
    return counts


def _watched(name: str, first: int, files: int, seed: int, counts: Counter[str]) -> int:
    """Counts what one process says, and how it ended; returns the file that is next."""
    words = [sys.executable, __file__, "--work", name, str(first), str(files)]
    process = subprocess.Popen([*words, "--seed", str(seed)], stdout=subprocess.PIPE, text=True)
    lines: queue.Queue[str] = queue.Queue()
    assert process.stdout is not None
    stream = process.stdout

    def listen() -> None:
        for line in stream:
            lines.put(line)
        lines.put("")

    threading.Thread(target=listen, daemon=True).start()
    number, limit = first, _START_S
    while True:
        try:
            line = lines.get(timeout=limit)
        except queue.Empty:
            process.kill()
            process.wait()
            counts["hang"] += 1
            return number + 1
        if not line:
            break
        head, _, said = line.strip().partition(" ")
        limit = HANG_S
        if head == "sound":
            counts["not sound"] += said != "read"
            continue
        counts[said] += 1
        number = int(head) + 1
    if process.wait() < 0:
        counts["signal"] += 1
        print(f"{name}: file {number} of seed {seed} ended by a signal", file=sys.stderr)
        return number + 1
    return number


def main() -> int:
    """Prints a line per kind."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=2000, help="files of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work(given.work[0], int(given.work[1]), int(given.work[2]), given.seed)
        return 0
    print(
        f"{'kind':22}{'files':>7}{'refused':>9}{'read':>7}{'escapes':>9}{'signals':>9}{'hangs':>7}"
    )
    bad = 0
    for name in given.kinds:
        counts = fuzz(name, given.files, given.seed)
        escapes = sum(n for said, n in counts.items() if said.startswith("escape"))
        bad += escapes + counts["signal"] + counts["hang"]
        print(
            f"{name:22}{given.files:7}{counts['refused']:9}{counts['read']:7}{escapes:9}"
            f"{counts['signal']:9}{counts['hang']:7}",
            flush=True,
        )
        for said, n in counts.items():
            if said.startswith("escape"):
                print(f"    {n} x {said}")
        if counts["not sound"]:
            print("    the file was refused before it was changed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
