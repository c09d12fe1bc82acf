"""Every proxy the plain way, one at a time on a copy; what the engine's values must equal."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nas_plugins.evaluators.zero_cost.batch import Batch
from nas_plugins.evaluators.zero_cost.blocks import blocks
from nas_plugins.evaluators.zero_cost.network_state import pass_generator


def _script() -> Any:
    name = "_naslib_style"
    path = Path(__file__).parents[2] / "scripts" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


plain_way = _script()


def reference(name: str, network: nn.Module, batch: Batch, seed: int) -> float:
    """The value of one proxy."""
    images = (batch.inputs, batch.labels)
    if name == "zen":
        generator = pass_generator(seed, "zen", torch.device("cpu"))
        few = (batch.inputs[:16], batch.labels[:16])
        return float(plain_way.zen(network, few, generator=generator))
    if name in plain_way.MEASURES:
        return float(plain_way.MEASURES[name](network, images))
    if name == "az_trainability":
        return az_trainability(network, batch, seed)
    return float(OTHERS[name](network, batch))


def n_layers(network: nn.Module, batch: Batch) -> float:
    return len(plain_way.layers(network))


def swap(network: nn.Module, batch: Batch) -> float:
    kept: list[Tensor] = []
    twin = plain_way.trained_copy(network)
    for module in twin.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(
                lambda module, inputs, output: kept.append(output.detach().flatten(1) > 0)
            )
    twin(batch.inputs)
    return len(torch.unique(torch.cat(kept, dim=1).t(), dim=0))


def meco(network: nn.Module, batch: Batch) -> float:
    kept: list[float] = []

    def add(module: nn.Module, inputs: Any, output: Tensor) -> None:
        with np.errstate(invalid="ignore", divide="ignore"):
            found = np.corrcoef(output[0].detach().flatten(1).numpy())
        kept.append(float(np.linalg.eigvalsh(np.nan_to_num(found)).min()))

    twin = plain_way.trained_copy(network)
    for layer in plain_way.layers(twin):
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(add)
    twin(batch.inputs)
    return sum(kept)


def zico(network: nn.Module, batch: Batch) -> float:
    half = len(batch) // 2
    parts = []
    for rows in (slice(0, half), slice(half, None)):
        twin = plain_way.trained_copy(network)
        functional.cross_entropy(twin(batch.inputs[rows]), batch.labels[rows]).backward()
        parts.append([layer.weight.grad for layer in plain_way.layers(twin)])
    score = 0.0
    for pair in zip(*parts, strict=True):
        if pair[0] is None:
            continue
        both = np.stack([g.numpy().ravel() for g in pair]).astype(np.float64)
        deviation, mean = both.std(axis=0), np.abs(both).mean(axis=0)
        used = deviation > 0
        if used.any():
            score += float(np.log(np.sum(mean[used] / deviation[used])))
    return score


def features(network: nn.Module, batch: Batch) -> list[Tensor]:
    """Feature maps between blocks, in one graph."""
    twin = plain_way.trained_copy(network)
    kept: list[Tensor] = []

    def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
        if not kept:
            kept.extend([v for v in inputs if isinstance(v, Tensor)][-1:])
            if kept and kept[0] is batch.inputs:
                kept.clear()
        kept.append(output)

    for block in blocks(twin):
        block.register_forward_hook(keep)
    twin(batch.inputs)
    return kept


def entropies(network: nn.Module, batch: Batch) -> list[float]:
    found = []
    for feature in features(network, batch):
        rows = feature.detach().double().transpose(0, 1).flatten(1).numpy()
        values = np.linalg.eigvalsh(np.cov(rows, bias=True)).clip(min=0)
        shares = values / values.sum()
        found.append(float(-np.sum(shares * np.log(shares + 1e-8))))
    return found


def az_expressivity(network: nn.Module, batch: Batch) -> float:
    return sum(entropies(network, batch))


def az_progressivity(network: nn.Module, batch: Batch) -> float:
    return float(np.diff(entropies(network, batch)).min())


def az_trainability(network: nn.Module, batch: Batch, seed: int) -> float:
    maps = features(network, batch)
    generator = pass_generator(seed, "blocks", torch.device("cpu"))
    scores = []
    for i in range(1, len(maps)):
        draw = torch.randint(0, 2, maps[i].shape, generator=generator, dtype=torch.int8)
        signs = (2 * draw - 1).float()
        (found,) = torch.autograd.grad(maps[i], maps[i - 1], signs, retain_graph=True)
        if found.shape[2:] != signs.shape[2:]:
            found = functional.pixel_unshuffle(found, found.shape[2] // signs.shape[2])
        jacobian = torch.einsum("bchw,bdhw->cd", found, signs) / signs[:, 0].numel()
        norm = float(torch.linalg.svdvals(jacobian).max())
        scores.append(2 - norm - 1 / (norm + 1e-6))
    return sum(scores) / len(scores)


OTHERS: dict[str, Any] = {
    "n_layers": n_layers, "swap": swap, "meco": meco, "zico": zico,
    "az_expressivity": az_expressivity, "az_progressivity": az_progressivity,
}  # fmt: skip
