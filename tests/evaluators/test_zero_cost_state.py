"""Scoring leaves a network as it was: everything reachable from it, compared before and after."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from torch.nn.utils import parametrizations, prune  # noqa: E402
from zero_cost_networks import Own, batch, network  # noqa: E402

from nas_plugins.evaluators.zero_cost.engine import score_network  # noqa: E402


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


class Keeper(nn.Module):
    """Keeps what it sees, in every way that somebody has thought of."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)
        self.calls, self.seen, self.by_name = 0, [], {"maps": None}
        self.totals, self.noise = np.zeros(4), np.random.default_rng(0)
        self.log = Log()

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        maps = self.convolution(images).relu()
        self.last, self.calls = maps, self.calls + 1
        self.seen.append(maps)
        self.by_name["maps"] = maps
        self.totals += 1
        self.log.lines.append(self.noise.random())
        self.log.count = self.calls
        # A bound on the norm of the weights, as some networks keep it.
        self.head.weight.data.renorm_(2, 0, 0.1)
        random.random()
        return self.head(maps.mean((2, 3)) + float(np.random.rand()))


class Log:
    """No module."""

    def __init__(self) -> None:
        self.lines: list[float] = []
        self.count = 0


def small(convolution: nn.Module | None = None) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=True),
        nn.Conv2d(6, 6, 3) if convolution is None else convolution,
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 5),
    )


def _changed(change: Callable[[nn.Module], object]) -> nn.Module:
    built = small()
    change(built[3])
    return built


def _lazy() -> nn.Module:
    return nn.Sequential(
        nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(5)
    )


def _partly_frozen() -> nn.Module:
    built = small()
    built[0].requires_grad_(False)
    built[1].eval()
    built[3].weight.grad = torch.ones_like(built[3].weight)
    return built


KINDS: dict[str, Callable[[], nn.Module]] = {
    "nasbench201": lambda: network("nasbench201"),
    "own": Own,
    "partly frozen": _partly_frozen,
    "pruned": lambda: _changed(lambda m: prune.l1_unstructured(m, "weight", 0.5)),
    "pruned twice": lambda: _changed(
        lambda m: [prune.l1_unstructured(m, "weight", 0.5), prune.random_structured(
            m, "weight", 0.3, dim=0)]
    ),
    "old weight norm": lambda: _changed(nn.utils.weight_norm),
    "old spectral norm": lambda: _changed(nn.utils.spectral_norm),
    "weight norm": lambda: _changed(parametrizations.weight_norm),
    "spectral norm": lambda: _changed(parametrizations.spectral_norm),
    "lazy": _lazy,
    "keeper": Keeper,
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("training", [False, True])
def test_nothing_that_can_be_reached_changes(kind: str, training: bool) -> None:
    built = KINDS[kind]().train(training)
    before = portrait(built)
    draws = random.getstate(), repr(np.random.get_state()), torch.get_rng_state()
    found = score_network(built, batch(), "all")
    assert found.values["params"] > 0
    assert portrait(built) == before
    assert random.getstate() == draws[0]
    assert repr(np.random.get_state()) == draws[1]
    assert torch.equal(torch.get_rng_state(), draws[2])


def test_pruning_in_rounds_does_not_notice_that_it_is_watched() -> None:
    def masks(watched: bool) -> list[Tensor]:
        built = small()
        layers = [(built[0], "weight"), (built[3], "weight"), (built[7], "weight")]
        for _ in range(3):
            prune.global_unstructured(layers, prune.L1Unstructured, amount=0.2)
            if watched:
                score_network(built, batch(), "default")
        return [layer.weight_mask for layer, _ in layers]

    for alone, watched in zip(masks(False), masks(True), strict=True):
        assert torch.equal(alone, watched)


def test_a_lazy_network_is_scored_as_what_it_becomes() -> None:
    lazy, whole = _lazy(), _lazy()
    torch.manual_seed(0)
    whole(batch().inputs)
    names = "params,flops,n_layers"
    assert score_network(lazy, batch(), names).values == score_network(
        whole, batch(), names
    ).values  # fmt: skip
    assert type(lazy[0]) is nn.LazyConv2d


def portrait(root: nn.Module) -> dict[str, Any]:
    """Everything reachable from a network, by its path: identities, kinds and numbers."""
    found: dict[str, Any] = {}
    seen: set[int] = set()

    def visit(path: str, value: Any) -> None:
        found[path] = _said(value)
        if id(value) in seen:
            return
        seen.add(id(value))
        if isinstance(value, dict):
            parts = list(value.items())
        elif isinstance(value, (list, tuple)):
            parts = list(enumerate(value))
        elif isinstance(value, (nn.Module, Log)) or hasattr(value, "_tensor_name"):
            parts = list(vars(value).items())
        else:
            return
        found[f"{path}:"] = [name for name, _ in parts]
        for name, part in parts:
            visit(f"{path}.{name}", part)

    visit("", root)
    return found


def _said(value: Any) -> Any:
    if isinstance(value, nn.parameter.UninitializedTensorMixin):
        return (id(value), type(value), value.requires_grad)
    if isinstance(value, Tensor):
        grad = None if not value.is_leaf or value.grad is None else value.grad.tolist()
        return (id(value), type(value), value.requires_grad, value.data_ptr(), value.stride(),
                value.tolist(), grad)  # fmt: skip
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.random.Generator):
        return str(value.bit_generator.state)
    if isinstance(value, (int, float, str, type(None))):
        return value
    return (id(value), type(value))
