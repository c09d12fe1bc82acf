"""SynFlow: how much signal all paths carry, whatever the data."""

from __future__ import annotations

import math

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
        raise NoValueError("dead network: no path leads from the input to the output")
    return math.log(score)
