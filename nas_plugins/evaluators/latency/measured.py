"""Latency measured on this machine, with PyTorch or ONNX Runtime."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

from nas_plugins._checks import at_least
from nas_plugins._images import check_channels_first, check_sizes, shape_text
from nas_plugins._torch import nn, torch, usable_device
from nas_plugins._wording import count
from nas_plugins.errors import (
    EvaluationError,
    MissingDependencyError,
    PluginError,
    UnknownNameError,
    unknown_name,
)
from nas_plugins.evaluators.latency.device import processor, release
from nas_plugins.evaluators.latency.onnx_runtime import runner
from nas_plugins.evaluators.latency.timing import Protocol, Timing, pinned
from nas_plugins.protocols import Evaluator, Metric, MetricValues
from nas_plugins.spaces.base import Architecture, SearchSpace

BACKENDS = ("torch", "onnxruntime")
_SEED = 0
_SHAPE = (3, 32, 32)


def measure(
    module: nn.Module,
    shape: Sequence[int] = (3, 32, 32),
    *,
    backend: str = "torch",
    device: str = "cpu",
    batch: int = 1,
    threads: int = 1,
    warmup: int = 5,
    repeats: int | None = 30,
    seconds: float = 0.2,
) -> Timing:
    """Measures one forward pass of a module, in evaluation mode and without gradients.

    The input is noise. Training modes, PyTorch's number of threads and its random state are
    afterwards what they were; a module that is not on `device` is copied there.

    Args:
        module: Takes one tensor `(batch, *shape)`.
        shape: Shape of one input, e.g. `(channels, height, width)`.
        backend: ``"torch"``, or ``"onnxruntime"`` for the network exported to ONNX, on the
            CPU.
        device: E.g. ``"cpu"`` or ``"cuda:0"``.
        batch: Inputs per forward pass.
        threads: Threads within an operation, on the CPU.
        warmup: Runs before the clock starts.
        repeats: Timed runs; ``None`` for as many as ``torch.utils.benchmark.Timer`` finds
            necessary in `seconds`.
        seconds: Least time of all runs together for ``repeats=None``.

    Returns:
        Median and interquartile range of the runs, in ms per forward pass of the whole batch.

    Raises:
        UnknownNameError: `backend` is not known.
        ValueError: A number or the device is out of range.
        MissingDependencyError: A package of the backend is not installed.
        EvaluationError: The module cannot be run or exported; says why.
    """
    protocol = Protocol(threads=threads, warmup=warmup, repeats=repeats, seconds=seconds)
    check_sizes("shape", shape)
    place = _check(backend, device, batch)
    generator = torch.Generator().manual_seed(_SEED)
    inputs = torch.randn((batch, *shape), generator=generator, dtype=torch.float32)
    # On the CPU, the same numbers whatever the network computes with.
    inputs = inputs.to(place, _dtype(module))
    with pinned(threads), _current(place), torch.no_grad():
        try:
            with _same_random_state(place), _evaluating(_placed(module, place)) as ready:
                timing = protocol.time(_call(ready, inputs, backend, threads))
        except MissingDependencyError:
            raise
        except Exception as error:
            raise EvaluationError(_reason(backend, error)) from error
    return replace(timing, source=_describe(backend, place, threads, (batch, *shape)))


def _dtype(module: nn.Module) -> torch.dtype:
    """What a module computes with: the type of its first weights."""
    found = (p.dtype for p in module.parameters() if p.is_floating_point())
    return next(found, torch.float32)


class LatencyEvaluator(Evaluator):
    """Measures the latency of an architecture's network on this machine.

    Values differ from run to run; ``latency_iqr_ms`` says by how much within one measurement.
    A network that cannot be run or exported has no value: its dictionary is empty, and reading
    a metric raises `MetricUnavailableError` with the reason. The rest go on.

    Args:
        backend, device, batch, threads, warmup, repeats, seconds: As `measure` takes them.
        shape: Channels, height and width of one input. If ``None``, that of the data set which
            another evaluator of the search trains on, else 3x32x32.
        **network: Options of the space's network, e.g. ``channels=8, cells=1``.

    Raises:
        UnknownNameError: `backend` is not known.
        ValueError: A number or the device is out of range.
        MissingDependencyError: PyTorch is not installed.
    """

    judges_networks = True
    _channels: int | None = None  # of the data set of the search

    def __init__(
        self,
        *,
        backend: str = "torch",
        device: str = "cpu",
        shape: Sequence[int] | None = None,
        batch: int = 1,
        threads: int = 1,
        warmup: int = 5,
        repeats: int | None = 30,
        seconds: float = 0.2,
        **network: Any,
    ) -> None:
        self._told = shape is not None
        shape = _SHAPE if shape is None else shape
        check_sizes("shape", shape)
        check_channels_first("`shape`", shape)
        Protocol(threads=threads, warmup=warmup, repeats=repeats, seconds=seconds)
        _check(backend, device, batch)
        self._options: Mapping[str, Any] = {
            "backend": backend,
            "device": device,
            "shape": tuple(shape),
            "batch": batch,
            "threads": threads,
            "warmup": warmup,
            "repeats": repeats,
            "seconds": seconds,
        }
        self._network = dict(network)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Channels, height and width of one input."""
        shape: tuple[int, ...] = self._options["shape"]
        return shape

    def for_data(self, shape: tuple[int, ...]) -> LatencyEvaluator:
        """Measures networks for images of this shape, unless another was given.

        Raises:
            ValueError: Another was given.
        """
        if self.input_shape == shape:
            return self
        if self._told:
            told, data = map(shape_text, (self.input_shape, shape))
            raise ValueError(
                f"`shape` of the latency is {told}, and the search trains on images of {data}; "
                f"leave it out or give {list(shape)}"
            )
        fitted = copy.copy(self)
        fitted._options = {**self._options, "shape": shape}
        fitted._channels = shape[0]
        return fitted

    @property
    def source(self) -> str:
        """Device, library, threads and input, in words."""
        options = self._options
        place = torch.device(options["device"])
        size = (options["batch"], *options["shape"])
        text = _describe(options["backend"], place, options["threads"], size)
        settings = ", ".join(f"{name}={value!r}" for name, value in self._network.items())
        return f"{text}; network with {settings}" if settings else text

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """``latency_ms``, the median, and ``latency_iqr_ms``, the spread."""
        repeats = self._options["repeats"]
        runs = "runs" if repeats is None else f"{repeats} runs"
        what = f"of {runs} of a forward pass measured on {self.source}"
        return (
            Metric("latency_ms", "ms", "min", f"median {what}"),
            Metric("latency_iqr_ms", "ms", "min", f"interquartile range {what}"),
        )

    def check(self, space: SearchSpace) -> None:
        """Refuses a space that has no networks, or whose networks do not take the options.

        Raises:
            ValueError: It has none.
            UnknownNameError: Its builder does not take one of the options.
        """
        space.check_network(self._network)

    def evaluate(self, architectures: Sequence[Architecture]) -> list[dict[str, float]]:
        """Measures architectures one after the other.

        Raises:
            TypeError: The space's network does not know an option.
            UnknownNameError: The space has no network.
            MissingDependencyError: A package of the backend is not installed.
        """
        return [self._evaluate(architecture) for architecture in architectures]

    def _evaluate(self, architecture: Architecture) -> dict[str, float]:
        try:
            timing = measure(self._build(architecture), **self._options)
        except EvaluationError as error:
            return self._gap(f"latency of {architecture} was not measured: {error}")
        return {"latency_ms": timing.median_ms, "latency_iqr_ms": timing.iqr_ms}

    def _build(self, architecture: Architecture) -> nn.Module:
        # Weights hardly matter for time; drawing them must not move the caller's generator.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_SEED)
            try:
                network: nn.Module = architecture.space.network(
                    architecture, **self._network_of(architecture.space)
                )
            except (TypeError, UnknownNameError, PluginError, MissingDependencyError):
                raise  # wrong for every architecture
            except Exception as error:
                raise EvaluationError(f"its network cannot be built: {error}") from error
        return network

    def _network_of(self, space: SearchSpace) -> dict[str, Any]:
        """Options of the network: as given, and the channels of the data set."""
        known = space.network_options()
        if self._channels is None or (known is not None and "in_channels" not in known):
            return self._network
        return {"in_channels": self._channels, **self._network}

    def _gap(self, reason: str) -> dict[str, float]:
        names = ("latency_ms", "latency_iqr_ms")
        return MetricValues({}, gaps=dict.fromkeys(names, reason), known=names, owner="latency")

    def __repr__(self) -> str:
        options = {**self._options, **self._network}
        text = ", ".join(f"{name}={value!r}" for name, value in options.items())
        return f"{type(self).__name__}({text})"


def _check(backend: str, device: str, batch: int) -> torch.device:
    if backend not in BACKENDS:
        raise unknown_name("`backend`", backend, BACKENDS)
    at_least(1, batch=batch)
    place = usable_device(device)
    if backend == "onnxruntime" and place.type != "cpu":
        raise ValueError(f"backend 'onnxruntime' measures on 'cpu', got `device` {device!r}")
    return place


def _call(
    module: nn.Module, inputs: torch.Tensor, backend: str, threads: int
) -> Callable[[], object]:
    if backend == "onnxruntime":
        return runner(module, inputs, threads=threads)
    return lambda: module(inputs)


def _placed(module: nn.Module, place: torch.device) -> nn.Module:
    tensors = (*module.parameters(), *module.buffers())
    if all(_same(tensor.device, place) for tensor in tensors):
        return module
    return copy.deepcopy(module).to(place)


def _same(device: torch.device, place: torch.device) -> bool:
    # "cuda" without a number is the current device.
    numbers = [d.index if d.index is not None else 0 for d in (device, place)]
    return device.type == place.type and numbers[0] == numbers[1]


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[nn.Module]:
    training = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield module
    finally:
        for part, mode in training:
            part.training = mode


def _same_random_state(place: torch.device) -> Any:
    return torch.random.fork_rng(devices=[place.index or 0] if place.type == "cuda" else [])


def _current(place: torch.device) -> Any:
    """Makes a CUDA device the one whose queue the timer waits for."""
    return torch.cuda.device(place) if place.type == "cuda" else nullcontext()


def _describe(backend: str, place: torch.device, threads: int, size: Sequence[int]) -> str:
    name = processor() if place.type == "cpu" else place.type
    if place.type == "cuda":
        name = torch.cuda.get_device_name(place)
    words = [name, release(backend)]
    if place.type == "cpu":
        words.append(count(threads, "thread"))
    return ", ".join([*words, "input " + "x".join(map(str, size)), "float32"])


def _reason(backend: str, error: Exception) -> str:
    # The exporter wraps what went wrong in pages of advice; the innermost cause is the reason.
    while error.__cause__ is not None and isinstance(error.__cause__, Exception):
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines)[:500]
    return f"backend {backend!r}: {type(error).__name__}: {text or 'no message'}"
