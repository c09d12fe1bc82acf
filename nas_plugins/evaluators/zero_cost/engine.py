"""All proxies of a network from as few passes as they need together."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from nas_plugins._checks import at_least
from nas_plugins._frozen import FrozenDict
from nas_plugins._torch import Tensor, nn, torch
from nas_plugins.errors import unknown_name
from nas_plugins.evaluators.zero_cost import data_free, passes
from nas_plugins.evaluators.zero_cost.batch import Batch
from nas_plugins.evaluators.zero_cost.layers import Layers, survey
from nas_plugins.evaluators.zero_cost.logits import DeadError
from nas_plugins.evaluators.zero_cost.network_state import (
    kept_buffers,
    pass_generator,
    prepared,
    surroundings,
)
from nas_plugins.evaluators.zero_cost.proxy import Need, NoValueError, Proxy, resolve
from nas_plugins.evaluators.zero_cost.recording import Recording
from nas_plugins.evaluators.zero_cost.settings import PRECISIONS
from nas_plugins.evaluators.zero_cost.snapshot import Snapshot

_UNVIEWABLE = "view size is not compatible"
# What the calls of functions and modules show.
_SHOWN = passes.WATCHED | passes.BLOCKS | {Need.SYNFLOW, Need.PERTURBATION}
# What takes gradients at the input, or other inputs than the batch.
_OF_PIXELS = {Need.INPUT_GRADIENT, Need.SYNFLOW, Need.PERTURBATION}
_TOKENS = (
    "the inputs are token ids, which have no gradient and take no noise; score the network "
    "behind its embedding"
)


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

    The network is left exactly as it was: parameters, buffers, attributes, ``requires_grad``,
    modes, hooks, gradients, device, and all random generators; one with lazy layers is copied.
    Nothing about it raises: a network that fails gives NaN and a reason for the proxies that
    this concerns. A value does not depend on which other proxies are asked for.

    Args:
        network: Maps the batch's inputs to logits `(B, K)`, or to a tuple that begins with these.
        batch: The inputs and labels.
        proxies: What `resolve` takes: ``"default"``, ``"all"``, names, proxies.
        seed: Of everything random: weights and images of zen, signs of az_trainability,
            dropout.
        device: Where to compute.
        precision: ``"bfloat16"`` computes those proxies with autocast whose ranks it keeps; the
            others stay in float32.
        channels_last: Memory layout of the images; ``None`` is ``True`` on a CPU, unless the
            network cannot be run on it.

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
    layouts = [channels_last] if channels_last is not None else [where.type == "cpu", False]
    for layout in layouts:
        values, reasons = _scored(
            network, batch, wanted, seed=seed, where=where, precision=precision, layout=layout
        )
        # A network may look at its maps in a way that only one layout allows.
        if not any(_UNVIEWABLE in reason for reason in reasons.values()):
            break
    ordered = FrozenDict((proxy.name, values[proxy.name]) for proxy in wanted)
    return Scores(ordered, FrozenDict(reasons), time.perf_counter() - start)


def _scored(
    network: nn.Module,
    batch: Batch,
    wanted: Sequence[Proxy],
    *,
    seed: int,
    where: torch.device,
    precision: str,
    layout: bool,
) -> tuple[dict[str, float], dict[str, str]]:
    """Values and reasons, all from images of one layout."""
    low = [p for p in wanted if precision == "bfloat16" and not p.exact]
    groups = ((low, True), ([p for p in wanted if p not in low], False))
    values, reasons = dict[str, float](), dict[str, str]()
    try:
        dtype, images = _dtype(network), batch.given(_dtype(network))
        with surroundings(where, dtype), prepared(network, where, images) as (ready, parameters):
            local, state = batch.to(where).own(), Snapshot(ready, tensors=False)
            layers = _layers(ready, local.given(dtype), seed, wanted, state)
            for group, autocast in groups:
                recording = Recording(ready, local, layers, parameters)
                with torch.autocast(where.type, torch.bfloat16, enabled=autocast):
                    _record(recording, group, seed, layout, state)
                _compute(recording, group, values, reasons)
    except Exception as error:
        # Such as an out of memory error while the network is moved to the device.
        missing = [p.name for p in wanted if p.name not in values]
        values.update(dict.fromkeys(missing, math.nan))
        reasons.update(dict.fromkeys(missing, _said(error)))
    return values, reasons


def _layers(
    network: nn.Module, images: Tensor, seed: int, proxies: Sequence[Proxy], state: Snapshot
) -> Layers:
    """The layers that an image shows; if it cannot, those that the modules declare."""
    if [proxy.name for proxy in proxies] == ["params"]:
        return Layers.declared(network)
    try:
        with kept_buffers(network):
            pass_generator(seed, "survey", images.device)
            return survey(network, images[:1])
    except Exception as error:
        found = Layers.declared(network)
        found.uncounted = _said(error)
        return found
    finally:
        state.restore()


def _record(
    recording: Recording, proxies: Sequence[Proxy], seed: int, layout: bool, state: Snapshot
) -> None:
    needs = frozenset(need for proxy in proxies for need in proxy.needs)
    inputs = recording.batch.given(_dtype(recording.network))
    last = layout and inputs.ndim == 4
    form = torch.channels_last if last else torch.contiguous_format
    inputs = inputs.contiguous(memory_format=form)
    if recording.layers.uncounted:
        recording.reasons[Need.MACS] = recording.layers.uncounted
    if Need.MACS in needs:
        recording.made[Need.MACS] = recording.layers.macs
    if recording.layers.scripted:
        recording.reasons.update(
            dict.fromkeys(_SHOWN, "TorchScript hides what the network's layers are called with")
        )
        needs -= _SHOWN
    if recording.batch.has_tokens:
        recording.reasons.update(dict.fromkeys(_OF_PIXELS, _TOKENS))
        needs -= _OF_PIXELS
    if needs & passes.SHARED:
        _shared(passes.SharedForward(recording, needs, inputs, seed), state)
    single: dict[Need, Callable[[], None]] = {
        Need.HALF_GRADIENTS: lambda: passes.half_gradients(recording, inputs, seed),
        Need.SYNFLOW: lambda: data_free.synflow(recording, inputs, seed),
        Need.PERTURBATION: lambda: data_free.perturbation(recording, inputs, seed),
    }
    for need, work in single.items():
        if need in needs:
            with _attempt(recording, {need}, state):
                work()


def _shared(forward: passes.SharedForward, state: Snapshot) -> None:
    recording = forward.recording
    with _attempt(recording, passes.SHARED, state):
        forward.run()
    if forward.overwritten:
        with _attempt(recording, passes.SHARED, state):
            forward.run(apart=True)
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
def _attempt(
    recording: Recording, needs: frozenset[Need] | set[Need], state: Snapshot | None = None
) -> Iterator[None]:
    """Turns an error into the reason of the needs that are not yet served.

    What the network keeps of a pass is taken from it afterwards: the next one begins as this one.
    """
    try:
        with kept_buffers(recording.network):
            yield
    except Exception as error:
        for need in needs - recording.made.keys():
            recording.reasons[need] = _said(error)
    finally:
        if state is not None:
            state.restore()


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
    if isinstance(error, (DeadError, NoValueError)):
        return str(error)
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"
