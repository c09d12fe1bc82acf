"""Proxies of the gradient of the loss at the weights."""

from __future__ import annotations

from nas_plugins._torch import torch
from nas_plugins.evaluators.zero_cost.logits import widened
from nas_plugins.evaluators.zero_cost.proxy import Need, NoValueError, proxy
from nas_plugins.evaluators.zero_cost.recording import Recording, Tensors, total

_ABDELFATTAH = "Abdelfattah et al., Zero-cost proxies, ICLR 2021"


@proxy("grad_norm", needs=[Need.LOSS_GRADIENT], source=_ABDELFATTAH)
def grad_norm(recording: Recording) -> float:
    """Sum over layers of the Euclidean norm of dL/dw."""
    norms = torch._foreach_norm(list(_gradients(recording)))
    return float(torch.stack(list(norms)).sum(dtype=torch.float64))


@proxy("snip", needs=[Need.LOSS_GRADIENT], source="Lee, Ajanthan and Torr, SNIP, ICLR 2019")
def snip(recording: Recording) -> float:
    """Sum of abs(w dL/dw) over all weights."""
    products = torch._foreach_mul(_weights(recording), list(_gradients(recording)))
    return float(total(tuple(torch._foreach_abs(products))))


@proxy("plain", needs=[Need.LOSS_GRADIENT], source=_ABDELFATTAH, exact=True)
def plain(recording: Recording) -> float:
    """Sum of w dL/dw over all weights, with its sign.

    Weights before a batch normalisation are orthogonal to their gradient and add nothing. Its
    ranks are negative on NAS-Bench-201: there the better networks have the smaller values.
    """
    products = torch._foreach_mul(_weights(recording), list(_gradients(recording)))
    return float(total(tuple(products)))


@proxy("fisher", needs=[Need.OUTPUT_GRADIENT, Need.LOSS_GRADIENT],
       source="Turner et al., BlockSwap, ICLR 2020", version=3)  # fmt: skip
def fisher(recording: Recording) -> float:
    """Sum over channels of half the mean over images of (sum over positions of a dL/da)^2.

    `a` is the output of a convolution or linear layer; a channel counts as often as its filter
    has weights, as in NAS-Bench-Suite-Zero.
    """
    _gradients(recording)
    score = 0.0
    for _, product, filter_size in recording.output_products:
        channels = widened(product).square().mean(0).sum(dtype=torch.float64)
        score += 0.5 * float(channels) * filter_size
    return score


@proxy("zico", needs=[Need.HALF_GRADIENTS], source="Li et al., ZiCo, ICLR 2023, equation 15",
       version=2)  # fmt: skip
def zico(recording: Recording) -> float:
    """Sum over layers of log sum over weights of mean abs(dL/dw) / std(dL/dw).

    Mean and standard deviation over two minibatches, the halves of the batch. Weights whose
    gradients are equal are left out.
    """
    score, layers = 0.0, 0
    for first, second in zip(*recording.half_gradients, strict=True):
        mean = (first.abs() + second.abs()) / 2
        deviation = (first - second).abs() / 2
        ratio = torch.where(deviation > 0, mean / deviation, 0.0).sum(dtype=torch.float64)
        if float(ratio) > 0:
            score += float(ratio.log())
            layers += 1
    if not layers:
        raise NoValueError("all gradients are zero, or equal in both halves of the batch")
    return score


def _gradients(recording: Recording) -> Tensors:
    found = recording.weight_gradients
    if not found:
        raise NoValueError("the network has no convolution or linear layer")
    if not any(bool(g.any()) for g in found):
        raise NoValueError("all gradients are zero")
    return found


def _weights(recording: Recording) -> list[torch.Tensor]:
    return [weight.detach() for weight in recording.weights]
