"""Zen-Score: how far noise on the input moves the features of a random network."""

from __future__ import annotations

import math

from nas_plugins._torch import torch
from nas_plugins.evaluators.zero_cost.proxy import Need, NoValueError, proxy
from nas_plugins.evaluators.zero_cost.recording import Recording


@proxy("zen", needs=[Need.PERTURBATION], source="Lin et al., Zen-NAS, ICCV 2021, algorithm 1",
       version=2)  # fmt: skip
def zen(recording: Recording) -> float:
    """log mean sum abs(f(x) - f(x + 0.01 e)) + sum over norms of log sqrt(mean variance).

    f are the features before the global pooling, at random weights; the variances are the
    running ones after both passes, from 1, which are momentum 0.1 on the way to those of the
    batch, as in NAS-Bench-Suite-Zero.
    """
    distances, variances = recording.perturbation
    distance = float(distances.mean(dtype=torch.float64))
    if distance == 0:
        raise NoValueError("dead network: the features do not depend on the input")
    logs = [0.5 * math.log(float(variance)) for variance in variances]
    return math.log(distance) + sum(logs)
