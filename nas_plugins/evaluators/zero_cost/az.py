"""The parts of AZ-NAS: expressivity, progressivity and trainability of the blocks.

Lee and Ham, "AZ-NAS: Assembling Zero-Cost Proxies for Network Architecture Search", CVPR 2024,
section 3.2. They are put together, with FLOPs, by `ranking.rank_sum`. Features are those between
a network's blocks (see `blocks.Blocks`), weights the network's own.
"""

from __future__ import annotations

import math
from itertools import pairwise

from nas_plugins._torch import Tensor, functional, torch
from nas_plugins.evaluators.zero_cost.logits import widened
from nas_plugins.evaluators.zero_cost.proxy import Need, NoValueError, proxy
from nas_plugins.evaluators.zero_cost.recording import Recording

_SOURCE = "Lee and Ham, AZ-NAS, CVPR 2024"


@proxy("az_expressivity", needs=[Need.BLOCKS], source=f"{_SOURCE}, equation 2", version=3)
def az_expressivity(recording: Recording) -> float:
    """Sum over features of the entropy of the normalised spectrum of their covariance."""
    return sum(_entropies(recording))


@proxy("az_progressivity", needs=[Need.BLOCKS], source=f"{_SOURCE}, equation 3", version=3)
def az_progressivity(recording: Recording) -> float:
    """Smallest increase of that entropy from one block to the next."""
    found = _entropies(recording)
    return min(b - a for a, b in pairwise(found))


@proxy("az_trainability", needs=[Need.BLOCK_GRADIENTS], source=f"{_SOURCE}, equation 6", version=3)
def az_trainability(recording: Recording) -> float:
    """Mean over blocks of 2 - s - 1 / (s + 1e-6), s the spectral norm of the block's Jacobian.

    The Jacobian is averaged over positions and images, estimated from random signs. A block
    that passes its input on unchanged has no value.
    """
    scores = []
    for signs, found in recording.block_gradients:
        if signs.shape == found.shape and torch.equal(signs, found):
            raise NoValueError(
                "a block passes its input on unchanged: the published score is minus infinity"
            )
        norm = float(_spectral_norm(signs, found))
        scores.append(2 - norm - 1 / (norm + 1e-6))
    if not scores:
        raise NoValueError("no block's output depends on the output of the one before")
    return sum(scores) / len(scores)


def _entropies(recording: Recording) -> list[float]:
    return [_entropy(feature) for feature in recording.blocks]


def _entropy(feature: Tensor) -> float:
    rows = _positions(widened(feature))
    rows = rows - rows.mean(0)
    values = torch.linalg.eigvalsh((rows.T @ rows).double() / len(rows)).clamp_min(0)
    if float(values.sum()) == 0:
        raise NoValueError("a block's output is constant")
    shares = values / values.sum()
    found = -(shares * (shares + 1e-8).log()).sum()
    return float(found) if math.isfinite(found) else math.nan


def _spectral_norm(signs: Tensor, found: Tensor) -> Tensor:
    height, width = signs.shape[2:]
    if found.shape[2:] != signs.shape[2:]:
        if width == found.shape[3] == 1:
            raise NoValueError("the number of tokens changes from block to block")
        stride = max(1, round(found.shape[2] / height))
        # An odd side is rounded up by the block; what is missing is filled with zeros.
        pad = (0, width * stride - found.shape[3], 0, height * stride - found.shape[2])
        found = functional.pixel_unshuffle(functional.pad(found, pad), stride)
    rows = _positions(widened(signs))
    jacobian = _positions(widened(found)).T @ rows / len(rows)
    norm: Tensor = torch.linalg.matrix_norm(jacobian, ord=2)
    return norm


def _positions(feature: Tensor) -> Tensor:
    """`(B, C, H, W)` to `(B * H * W, C)`."""
    return feature.permute(0, 2, 3, 1).reshape(-1, feature.shape[1])
