"""The logits that a network returns, and whether they tell anything."""

from __future__ import annotations

from typing import Any

from nas_plugins._torch import Tensor, functional, nn, torch
from nas_plugins.evaluators.zero_cost.calls import CallMode
from nas_plugins.evaluators.zero_cost.layers import Layers
from nas_plugins.evaluators.zero_cost.network_state import kept_buffers
from nas_plugins.evaluators.zero_cost.proxy import NoValueError

_SMALL = 0.01


class DeadError(Exception):
    """The output does not depend on the input."""


class ZeroWeightsError(DeadError):
    """The output does not depend on the input, and all weights of a layer are zero.

    The parts of the network before that layer may be alive.
    """


def logits_of(output: Any) -> Tensor:
    """The logits in what a network returns: a tensor, the first of several, or ``.logits``.

    Raises:
        ValueError: There is no tensor of two dimensions.
    """
    found = getattr(output, "logits", output)
    if isinstance(found, dict):
        found = found.get("logits", next(iter(found.values()), None))
    while isinstance(found, (tuple, list)) and found:
        found = found[0]
    if not isinstance(found, Tensor) or found.ndim != 2:
        got = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(f"the network must return logits (batch, classes), got {got}")
    return found


def widened(values: Tensor) -> Tensor:
    """Half precisions as float32."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values


def check_logits(logits: Tensor, network: nn.Module, inputs: Tensor, layers: Layers) -> None:
    """Refuses logits that are no numbers, or the same whatever the input is.

    Args:
        logits: What the network returned for `inputs`.
        network: It may be called once more.
        inputs: Its input.
        layers: Its layers.

    Raises:
        ValueError: There is not one finite row per image.
        ZeroWeightsError: The rows are the same, and a layer's weights are all zero.
        DeadError: The rows are the same, and have no gradient at the input.
    """
    found = logits.detach()
    if len(found) != len(inputs):
        raise ValueError(
            f"the network returned {len(found)} rows of logits for {len(inputs)} images"
        )
    if not bool(torch.isfinite(found).all()):
        raise ValueError("the logits are not finite")
    if bool((found == found[:1]).all()) and not _moves(network, inputs):
        reason = "dead network: its output does not depend on its input"
        names = zero_weights(network, layers)
        if names:
            raise ZeroWeightsError(f"{reason}; {hint(names)}")
        raise DeadError(reason)


def zero_weights(network: nn.Module, layers: Layers) -> list[str]:
    """Names of the layers' weights that are zero altogether."""
    known = {id(weight) for weight in layers.weights}
    parameters = network.named_parameters()
    return [name for name, p in parameters if id(p) in known and not bool(p.detach().any())]


def hint(names: list[str]) -> str:
    """What to do about weights that are zero."""
    return f"all of {names[-1]} is zero: draw it first, as with torch.nn.init.xavier_uniform_"


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy.

    Raises:
        NoValueError: A label is not below the number of logits.
    """
    if int(labels.max()) >= logits.shape[1]:
        raise NoValueError(
            f"label {int(labels.max())} does not fit the network's {logits.shape[1]} logits; "
            f"score with classes={logits.shape[1]} or with labels of your own"
        )
    return functional.cross_entropy(logits, labels)


def input_gradient(logits: Tensor, inputs: Tensor) -> Tensor:
    """Gradient of the sum of all logits at the inputs. The graph is kept.

    Raises:
        NoValueError: It is nothing but rounding: a batch normalisation before the last layer
            makes the sum of a logit over the images a constant.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), inputs, retain_graph=True)
    found = logits.detach()
    # What is linear in its input has logits as large as the product; far smaller is suspicious.
    least = _SMALL * (found - found.mean(0)).norm()
    if bool(gradient.norm() * inputs.detach().norm() < least):
        signs = 1 - 2 * (torch.arange(len(logits), device=logits.device) % 2)
        (other,) = torch.autograd.grad((logits * signs[:, None]).sum(), inputs, retain_graph=True)
        if bool(gradient.norm() < torch.finfo(found.dtype).eps ** 0.5 * other.norm()):
            raise NoValueError(
                "the images' gradients of the sum of the logits cancel out: a batch "
                "normalisation before the last layer makes that sum a constant"
            )
    return gradient


def _moves(network: nn.Module, inputs: Tensor) -> bool:
    """Whether the logits depend on the input after all; equal rows may be rounding."""
    if not inputs.is_floating_point():
        return bool((inputs == inputs[:1]).all())  # nothing can be said of equal ids
    given = inputs.detach().requires_grad_()
    with torch.enable_grad(), kept_buffers(network), CallMode():
        logits = widened(logits_of(network(given.clone())))
        # Any one image's logits: their sum over a batch may be free of the input through
        # batch normalisation.
        return logits.requires_grad and _nonzero(logits[0].square().sum(), given)


def _nonzero(value: Tensor, at: Tensor) -> bool:
    (gradient,) = torch.autograd.grad(value, at, allow_unused=True)
    return gradient is not None and bool((gradient != 0).any())
