"""Files of models: weights, cards, trainings, surrogates, latency, and images to train on."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from .kind import Kind


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


def _trees() -> bytes:
    from nas_plugins.evaluators.surrogate.estimator import Surrogate

    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 3))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "a")
        Surrogate(model="extra-trees", folds=0).fit(x, x.sum(axis=1)).save(file)
        return _unpacked(file)


def _gaussian() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "a")
        file.write_bytes(_surrogate())
        return _unpacked(file)


def _unpacked(file: Path) -> bytes:
    """The arrays of a surrogate, one after the other, each behind its name and length."""
    from nas_plugins._arrays import arrays

    found = arrays(file)
    parts = [json.dumps({name: array.tolist() for name, array in found.items()
                         if array.dtype != np.uint8}).encode()]  # fmt: skip
    header = next(array for array in found.values() if array.dtype == np.uint8)
    return header.tobytes() + b"\n" + parts[0]


def _packed(data: bytes) -> bytes:
    """Arrays of what `_unpacked` gave and somebody has changed, with the checksum they need."""
    from nas_plugins.evaluators.surrogate import storage

    head, _, tail = data.partition(b"\n")
    try:
        header, held = json.loads(head), json.loads(tail)
        arrays = {str(name): np.array(values) for name, values in held.items()}
        for part in ("format", "checksum"):
            header.pop(part, None)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "a")
            storage.write(file, header, arrays)
            return file.read_bytes()
    except (AttributeError, MemoryError, OverflowError, RecursionError, TypeError, ValueError):
        return data


def _latency() -> bytes:
    import nas_plugins as nap
    from nas_plugins.evaluators.latency.additive import LatencyModel

    space = nap.space("nasbench201")
    rng = np.random.default_rng(0)
    cells = [space.sample(rng) for _ in range(40)]
    model = LatencyModel.fit(cells, rng.random(40).tolist())
    return json.dumps(model.to_json()).encode()


def _read_latency(path: Path) -> object:
    import nas_plugins as nap
    from nas_plugins.evaluators.latency.additive import LatencyModel

    space = nap.space("nasbench201")
    return LatencyModel.load(path).predict([space.sample(np.random.default_rng(0))])


def _state() -> bytes:
    import torch

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "a")
        fit = _fit(file)
        fit._state.best_weights = {"weight": torch.ones(1, 2)}
        fit._save()
        return file.read_bytes()


def _fit(file: Path) -> Any:
    from torch import nn

    from nas_plugins.strategies.arch_vq.config import Schedule
    from nas_plugins.strategies.arch_vq.fit import Fit

    class Line:
        name, size, module = "prior", 8, nn.Linear(2, 1)

    return Fit(Line(), Schedule(3, 4, 0.001), run={"a": 1}, state_file=file)  # type: ignore[arg-type]


def _read_state(path: Path) -> object:
    fit = _fit(path)
    fit._restore(path)
    return fit._state


KINDS: dict[str, Kind] = {
    "surrogate.npz": Kind(_surrogate, _read_surrogate),
    "surrogate, gp": Kind(_gaussian, _read_surrogate, _packed),
    "surrogate, trees": Kind(_trees, _read_surrogate, _packed),
    "images.npz": Kind(_images, _read_images),
    "model card": Kind(_card, _read_card),
    "model.safetensors": Kind(_weights, _read_weights),
    "training.safetensors": Kind(_training, _read_training),
    "state of training": Kind(_state, _read_state),
    "latency model": Kind(_latency, _read_latency),
}
