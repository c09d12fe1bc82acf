"""Latency measured on this machine; no test depends on how long anything takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

import nas_plugins as nap
from nas_plugins.errors import EvaluationError, MetricUnavailableError, UnknownNameError
from nas_plugins.evaluators.latency import onnx_runtime
from nas_plugins.evaluators.latency.measured import LatencyEvaluator, measure
from nas_plugins.evaluators.latency.timing import Protocol
from nas_plugins.testing.evaluators import EvaluatorTestCase

torch = pytest.importorskip("torch")
QUICK = {"warmup": 0, "repeats": 2}
SMALL = {"channels": 2, "cells": 1}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def cells(n: int) -> list[nap.Architecture]:
    space = nap.space("nasbench201")
    return space.architectures(space.random(n, np.random.default_rng(0)))


class Broken(torch.nn.Module):
    """Fails in forward."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no such layer")


class TestConforms(EvaluatorTestCase):
    deterministic = False

    @pytest.fixture
    def evaluator(self) -> nap.Evaluator:
        return nap.evaluator("latency", shape=[3, 8, 8], **QUICK, **SMALL)

    @pytest.fixture
    def architectures(self) -> Sequence[nap.Architecture]:
        return cells(2)


def test_median_and_spread_are_those_of_the_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 1.0, 3.0, 6.0, 10.0, 15.0])  # runs of 1, 2, 3, 4 and 5 s
    clock = "nas_plugins.evaluators.latency.timing.benchmark.timer"
    monkeypatch.setattr(clock, lambda: next(ticks))
    calls: list[int] = []
    timing = Protocol(warmup=3, repeats=5).time(lambda: calls.append(1))
    assert (timing.median_ms, timing.iqr_ms, timing.runs) == (3000.0, 2000.0, 5)
    assert len(calls) == 8


def test_autorange_chooses_the_number_of_runs() -> None:
    timing = Protocol(warmup=0, repeats=None, seconds=1e-3).time(lambda: None)
    assert timing.runs >= 1
    assert timing.median_ms > 0
    assert timing.iqr_ms >= 0


def test_own_modules_are_measured_and_left_as_they_were() -> None:
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.Dropout()
    )
    module[2].eval()
    state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    torch.set_num_threads(2)
    seen: list[tuple[bool, bool, int]] = []
    module[1].register_forward_hook(
        lambda part, *_: seen.append(
            (part.training, torch.is_grad_enabled(), torch.get_num_threads())
        )
    )
    timing = measure(module, (3, 8, 8), batch=4, threads=1, **QUICK)
    assert timing.median_ms > 0
    assert set(seen) == {(False, False, 1)}
    assert torch.get_num_threads() == 2
    assert [part.training for part in module] == [True, True, False]
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(tensor, state[name]) for name, tensor in module.state_dict().items())
    assert "1 thread, input 4x3x8x8, float32" in timing.source
    assert "torch 2" in timing.source


@pytest.mark.parametrize("backend", ["torch", "onnxruntime"])
def test_a_module_that_fails_says_why_and_restores_the_threads(backend: str) -> None:
    pytest.importorskip("onnxscript")
    torch.set_num_threads(2)
    with pytest.raises(EvaluationError, match="RuntimeError: no such layer"):
        measure(Broken().train(), backend=backend, **QUICK)
    assert torch.get_num_threads() == 2


def test_a_network_that_fails_is_a_row_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = cells(2)
    build = type(good.space).network

    def network(space: nap.SearchSpace, architecture: nap.Architecture, **options: int) -> object:
        if architecture == bad:
            return Broken()
        return build(space, architecture, **options)

    monkeypatch.setattr(type(good.space), "network", network)
    evaluator = LatencyEvaluator(shape=(3, 8, 8), **QUICK, **SMALL)
    first, second, third = evaluator.evaluate([good, bad, good])
    assert second == {}
    assert first["latency_ms"] > 0
    assert third["latency_iqr_ms"] >= 0
    with pytest.raises(MetricUnavailableError, match=r"nor_conv.*RuntimeError: no such layer"):
        second["latency_ms"]


def test_a_wrong_shape_is_a_reason_and_wrong_options_an_error() -> None:
    (values,) = LatencyEvaluator(shape=(4, 8, 8), **QUICK, **SMALL).evaluate(cells(1))
    with pytest.raises(MetricUnavailableError, match=r"expected input.* to have 3 channels"):
        values["latency_ms"]
    with pytest.raises(TypeError, match="chanels"):
        LatencyEvaluator(chanels=3).evaluate(cells(1))
    space = nap.space("categorical", decisions={"depth": [1, 2]})
    with pytest.raises(UnknownNameError, match="network 'categorical'"):
        LatencyEvaluator(**QUICK).evaluate([space.sample(np.random.default_rng(0))])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": 0}, "`threads` must be >= 1, got 0"),
        ({"warmup": -1}, "`warmup` must be >= 0, got -1"),
        ({"repeats": 1}, "`repeats` must be >= 2 or None, got 1"),
        ({"seconds": 0.0}, "`seconds` must be > 0"),
        ({"batch": 0}, "`batch` must be >= 1, got 0"),
        ({"shape": (3, 0, 8)}, "`shape` must be one or more sizes >= 1"),
        ({"shape": "3x8x8"}, "`shape` must be sizes such as"),
        ({"shape": (3, "8", 8)}, "must be an integer, got '8'"),
        ({"device": "abacus"}, "`device` must be usable here, got 'abacus'"),
        ({"device": "cuda:99"}, "`device` must be usable here, got 'cuda:99'"),
        ({"device": "meta", "backend": "onnxruntime"}, "measures on 'cpu', got `device` 'meta'"),
    ],
)
def test_bad_options_are_refused_at_once(options: dict[str, object], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        LatencyEvaluator(**options)


def test_an_unknown_backend_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'onnxruntime'"):
        nap.evaluator("latency", backend="onnx")


def test_metrics_say_on_what_and_how_was_measured() -> None:
    evaluator = LatencyEvaluator(threads=2, batch=8, repeats=7, channels=4)
    latency, spread = evaluator.metrics
    assert (latency.name, latency.unit, latency.direction) == ("latency_ms", "ms", "min")
    assert spread.name == "latency_iqr_ms"
    assert latency.description.startswith("median of 7 runs of a forward pass measured on ")
    assert "2 threads, input 8x3x32x32, float32; network with channels=4" in latency.description


def test_onnx_runtime_gives_the_outputs_of_torch() -> None:
    pytest.importorskip("onnxscript")
    cell = nap.space("nasbench201").parse(
        "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
    )
    torch.manual_seed(0)
    network = cell.space.network(cell, **SMALL).eval()
    images = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        (found,) = onnx_runtime.runner(network, images, threads=1)()
        expected = network(images).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    timing = measure(torch.nn.Linear(4, 2), (4,), backend="onnxruntime", **QUICK)
    assert timing.median_ms > 0
    assert "onnxruntime 1" in timing.source


def test_what_onnx_cannot_express_is_a_reason() -> None:
    pytest.importorskip("onnxscript")

    class Unsupported(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.linalg.eigvals(images).real

    with pytest.raises(EvaluationError, match=r"backend 'onnxruntime': .*eig"):
        measure(Unsupported(), (4, 4), backend="onnxruntime", **QUICK)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_copies_the_module_and_leaves_the_original() -> None:
    module = torch.nn.Conv2d(3, 2, 3)
    timing = measure(module, (3, 8, 8), device="cuda", **QUICK)
    assert timing.median_ms > 0
    assert module.weight.device.type == "cpu"
    assert torch.cuda.get_device_name() in timing.source
