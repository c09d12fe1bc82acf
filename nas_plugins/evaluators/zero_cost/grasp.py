"""GraSP: the one proxy that needs second derivatives, and so is asked for by name."""

from __future__ import annotations

from nas_plugins._torch import torch
from nas_plugins.evaluators.zero_cost.proxy import Need, NoValueError, proxy
from nas_plugins.evaluators.zero_cost.recording import Recording, total


@proxy("grasp", needs=[Need.HESSIAN_GRADIENT], default=False, exact=True, version=3,
       source="Wang, Zhang and Grosse, GraSP, ICLR 2020, equation 8")  # fmt: skip
def grasp(recording: Recording) -> float:
    """-sum of w (H g) over all weights, g the loss's gradient and H its Hessian.

    The same batch for both; the sign of NAS-Bench-Suite-Zero, opposite to the paper's.
    """
    hessian = recording.hessian_gradients
    if not any(bool(h.any()) for h in hessian):
        raise NoValueError("all second derivatives are zero")
    weights = [weight.detach() for weight in recording.weights]
    return -float(total(tuple(torch._foreach_mul(weights, list(hessian)))))
