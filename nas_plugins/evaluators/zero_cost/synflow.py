"""SynFlow: how much signal all paths carry, whatever the data."""

from __future__ import annotations

import math

from nas_plugins.evaluators.zero_cost.logits import hint, zero_weights
from nas_plugins.evaluators.zero_cost.proxy import Need, NoValueError, proxy
from nas_plugins.evaluators.zero_cost.recording import Recording, total


@proxy("synflow", needs=[Need.SYNFLOW], source="Tanaka et al., SynFlow, NeurIPS 2020")
def synflow(recording: Recording) -> float:
    """log of the sum of abs(w) dR/dw over all weights, R the sum of the outputs for ones.

    With absolute weights, in float64, batch normalisation left out; the logarithm as in
    NAS-Bench-Suite-Zero.
    """
    score = float(total(recording.synflow))
    if score == 0:
        names = zero_weights(recording.network, recording.layers)
        more = f"; {hint(names)}" if names else ""
        raise NoValueError(f"dead network: no path leads from the input to the output{more}")
    if score < 0:
        raise NoValueError(
            "the sum is negative: a layer between the weights, such as a normalisation or an "
            "activation, takes the sign of what it is given"
        )
    return math.log(score)
