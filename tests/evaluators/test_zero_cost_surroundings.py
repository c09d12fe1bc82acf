"""A value depends on the network and the batch, not on what else is asked or switched on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from zero_cost_networks import Own, batch  # noqa: E402

from nas_plugins.evaluators.zero_cost.engine import score_network  # noqa: E402
from nas_plugins.evaluators.zero_cost.evaluator import score  # noqa: E402
from nas_plugins.evaluators.zero_cost.proxy import resolve  # noqa: E402

NAMES = [one.name for one in resolve("all") if one.compute.__module__.startswith("nas_plugins.")]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@contextmanager
def _float64():  # type: ignore[no-untyped-def]
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


MODES: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "no grad": torch.no_grad,
    "inference mode": torch.inference_mode,
    "float64 by default": _float64,
}


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_of_the_caller_s_changes_nothing(mode: str) -> None:
    torch.manual_seed(0)
    built = Own()
    expected = score(built, "all", classes=5)
    with MODES[mode]():
        found = score(built, "all", classes=5)
        assert (torch.is_grad_enabled(), torch.get_default_dtype()) == (
            mode not in ("no grad", "inference mode"),
            torch.float64 if mode.startswith("float64") else torch.float32,
        )
    assert found.reasons == expected.reasons == {}
    assert found.values == expected.values


def test_a_network_made_in_inference_mode() -> None:
    torch.manual_seed(0)
    expected = score_network(Own(), batch(), "all")
    torch.manual_seed(0)
    with torch.inference_mode():
        built, images = Own(), batch()
        found = score_network(built, images, "all")
    assert found.values == expected.values
    assert all(tensor.is_inference() for tensor in built.state_dict().values())


def test_a_network_of_float64_by_default() -> None:
    with _float64():
        found = score(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(),
                                    nn.Linear(784, 10)), "nwot,snip,synflow,zen")  # fmt: skip
    assert dict(found.reasons) == {}


class Moody(nn.Module):
    """Has a head in training mode only, counts its calls, and draws from everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 6, 3), nn.Linear(6, 5)
        self.extra, self.calls = nn.Linear(6, 200), 0

    def forward(self, images: Tensor) -> object:
        """Logits, and in training mode those of the other head."""
        import random

        import numpy as np

        images -= 0.1  # in place, as some networks normalise
        self.calls += 1
        maps = self.stem(images).relu() * (self.calls + random.random() + float(np.random.rand()))
        features = torch.dropout(maps, 0.3, True).mean((2, 3))
        logits = self.head(features)
        return (logits, self.extra(features)) if self.training else logits


def test_each_value_is_the_same_alone_and_in_company() -> None:
    torch.manual_seed(0)
    built = Moody()
    together = score_network(built, batch(), NAMES)
    for name in NAMES:
        alone = score_network(built, batch(), name)
        assert alone.reasons.get(name) == together.reasons.get(name)
        if name not in together.reasons:
            assert alone.values[name] == pytest.approx(together.values[name], rel=1e-5), name
    expected = 6 * 27 * 10 * 10 + 6 * 5
    assert together.values["flops"] * 1e6 == pytest.approx(expected)
    assert {"snip", "jacov", "nwot", "zen", "flops"}.isdisjoint(together.reasons)
