"""All proxies of a network from as few passes as they need together."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from nas_plugins._checks import at_least
from nas_plugins._frozen import FrozenDict
from nas_plugins._torch import nn, torch
from nas_plugins.errors import unknown_name
from nas_plugins.evaluators.zero_cost import data_free, passes
from nas_plugins.evaluators.zero_cost.batch import Batch
from nas_plugins.evaluators.zero_cost.network_state import kept_buffers, prepared
from nas_plugins.evaluators.zero_cost.proxy import Need, NoValueError, Proxy, resolve
from nas_plugins.evaluators.zero_cost.recording import Recording, theta
from nas_plugins.evaluators.zero_cost.settings import PRECISIONS


@dataclass(frozen=True)
class Scores:
    """The values of a network's proxies.

    Attributes:
        values: By proxy; NaN where there is a reason.
        reasons: Why a proxy has no value, by proxy.
        seconds: Time it took.
    """

    values: FrozenDict[float]
    reasons: FrozenDict[str]
    seconds: float


def score_network(
    network: nn.Module,
    batch: Batch,
    proxies: str | Sequence[str | Proxy] = "default",
    *,
    seed: int = 0,
    device: str | torch.device = "cpu",
    precision: str = "float32",
    channels_last: bool | None = None,
) -> Scores:
    """Computes zero-cost proxies of a network, each pass once for all proxies that need it.

    The network is left exactly as it was: parameters, buffers, ``requires_grad``, modes, hooks,
    gradients, device, and the state of PyTorch's random generators. Nothing about it raises: a
    network that fails gives NaN and a reason for the proxies that this concerns. A value does
    not depend on which other proxies are asked for.

    Args:
        network: Maps `(B, C, H, W)` to logits `(B, K)`, or to a tuple that begins with these.
        batch: The images and labels.
        proxies: What `resolve` takes: ``"default"``, ``"all"``, names, proxies.
        seed: Of everything random: weights and images of zen, signs of az_trainability,
            dropout.
        device: Where to compute.
        precision: ``"bfloat16"`` computes those proxies with autocast whose ranks it keeps; the
            others stay in float32.
        channels_last: Memory layout of the images; ``None`` is ``True`` on a CPU.

    Raises:
        UnknownNameError: A proxy or `precision` is not known.
        ValueError: `proxies` asks for nothing, or `seed` is negative.
        RuntimeError: `device` is not one that PyTorch has.
    """
    wanted = resolve(proxies)
    if precision not in PRECISIONS:
        raise unknown_name("precision", precision, PRECISIONS)
    at_least(0, seed=seed)
    where = _device(device)
    start = time.perf_counter()
    values, reasons = dict[str, float](), dict[str, str]()
    low = [p for p in wanted if precision == "bfloat16" and not p.exact]
    groups = [(low, True), ([p for p in wanted if p not in low], False)]
    layout = where.type == "cpu" if channels_last is None else channels_last
    try:
        with torch.enable_grad(), prepared(network, where):
            local = batch.to(where)
            for group, autocast in groups:
                if group:
                    recording = Recording(network, local, theta(network))
                    with torch.autocast(where.type, torch.bfloat16, enabled=autocast):
                        _record(recording, group, seed, layout)
                    _compute(recording, group, values, reasons)
    except Exception as error:
        # Such as an out of memory error while the network is moved to the device.
        missing = [p.name for p in wanted if p.name not in values]
        values.update(dict.fromkeys(missing, math.nan))
        reasons.update(dict.fromkeys(missing, _said(error)))
    ordered = FrozenDict((proxy.name, values[proxy.name]) for proxy in wanted)
    return Scores(ordered, FrozenDict(reasons), time.perf_counter() - start)


def _record(recording: Recording, proxies: Sequence[Proxy], seed: int, layout: bool) -> None:
    needs = frozenset(need for proxy in proxies for need in proxy.needs)
    form = torch.channels_last if layout else torch.contiguous_format
    inputs = recording.batch.inputs.to(_dtype(recording.network)).contiguous(memory_format=form)
    if needs & passes.SHARED == {Need.MACS}:
        with _attempt(recording, {Need.MACS}):
            passes.macs(recording, inputs)
    elif needs & passes.SHARED:
        _shared(passes.SharedForward(recording, needs, inputs, seed))
    single: dict[Need, Callable[[], None]] = {
        Need.HALF_GRADIENTS: lambda: passes.half_gradients(recording, inputs, seed),
        Need.SYNFLOW: lambda: data_free.synflow(recording, inputs),
        Need.PERTURBATION: lambda: data_free.perturbation(recording, inputs, seed),
    }
    for need, work in single.items():
        if need in needs:
            with _attempt(recording, {need}):
                work()


def _shared(forward: passes.SharedForward) -> None:
    recording = forward.recording
    with _attempt(recording, passes.SHARED):
        forward.run()
    if Need.MACS in forward.needs and recording.reasons.get(Need.MACS):
        # A count stands for a dead network, too.
        with _attempt(recording, {Need.MACS}):
            passes.macs(recording, forward.inputs.detach())
            del recording.reasons[Need.MACS]
    parts: list[tuple[frozenset[Need], Callable[[], None]]] = [
        (frozenset({Need.INPUT_GRADIENT}), forward.input_gradient),
        (passes.LOSS, forward.loss_gradient),
        (frozenset({Need.BLOCK_GRADIENTS}), forward.block_gradients),
    ]
    for needs, work in parts:
        if needs & forward.needs and not needs <= recording.reasons.keys():
            with _attempt(recording, needs):
                work()


@contextmanager
def _attempt(recording: Recording, needs: frozenset[Need] | set[Need]) -> Iterator[None]:
    """Turns an error into the reason of the needs that are not yet served."""
    try:
        with kept_buffers(recording.network):
            yield
    except Exception as error:
        for need in needs - recording.made.keys():
            recording.reasons[need] = _said(error)


def _compute(
    recording: Recording,
    proxies: Sequence[Proxy],
    values: dict[str, float],
    reasons: dict[str, str],
) -> None:
    for proxy in proxies:
        reason = next((recording.reasons[n] for n in proxy.needs if n in recording.reasons), None)
        value = math.nan
        if reason is None:
            try:
                value = float(proxy.compute(recording))
                if not math.isfinite(value):
                    reason = f"the value is not finite ({value})"
            except Exception as error:
                reason = _said(error)
        values[proxy.name] = value if reason is None else math.nan
        if reason is not None:
            reasons[proxy.name] = reason


def _dtype(network: nn.Module) -> torch.dtype:
    return next((p.dtype for p in network.parameters() if p.is_floating_point()), torch.float32)


def _device(device: str | torch.device) -> torch.device:
    where = torch.device(device)
    if where == torch.device("cuda"):
        where = torch.device("cuda", torch.cuda.current_device())
    return where


def _said(error: Exception) -> str:
    if isinstance(error, (passes.DeadError, NoValueError)):
        return str(error)
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"
