"""Convolution and batch normalisation whose second derivatives are fast, and a hard sigmoid.

The Hessian times the gradient is most of the cost of GraSP. PyTorch composes the second
derivative of a batch normalisation of dozens of operations and that of a convolution of
transposed ones with huge kernels. Here both are written out with the kernels of the first.
PyTorch has no second derivative of a hard sigmoid at all; it is zero.
"""

from __future__ import annotations

from typing import Any

from nas_plugins._torch import Tensor, functional, torch
from nas_plugins.evaluators.zero_cost.calls import NORMS, Function, norm_options
from nas_plugins.evaluators.zero_cost.proxy import NoValueError
from nas_plugins.evaluators.zero_cost.tracing import LayerTracer

_aten: Any = torch.ops.aten
_CONVOLUTION = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_UNUSED = (0, 0)  # output padding of a convolution that is not transposed


class TwiceDifferentiable(LayerTracer):
    """A `LayerTracer` whose convolution and batch normalisation are those of this module."""

    def replaced(self, func: Function, args: Any, kwargs: Any) -> Any:
        """Calls the function, or ours in its place."""
        if func is functional.conv2d:
            options = _convolution(dict(zip(_CONVOLUTION, args, strict=False)) | kwargs)
            if options is not None:
                return _convolve(*options, self.wanted)
        elif func in NORMS:
            options = _norm(norm_options(func, args, kwargs))
            if options is not None:
                return _normalise(*options)
        elif func is functional.hardsigmoid and not (kwargs.get("inplace") or any(args[1:2])):
            return _gate(args[0] if args else kwargs["input"])
        return func(*args, **kwargs)


def _convolution(given: dict[str, Any]) -> tuple[Any, ...] | None:
    """Arguments of `_Convolution`, or ``None`` for what it does not do."""
    padding = given.get("padding", 0)
    if isinstance(padding, str) or given["input"].ndim != 4:
        return None
    pairs = (_pair(given.get("stride", 1)), _pair(padding), _pair(given.get("dilation", 1)))
    return (given["input"], given["weight"], given.get("bias"), *pairs, given.get("groups", 1))


def _pair(value: Any) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else tuple(value)


def _norm(given: dict[str, Any]) -> tuple[Any, ...] | None:
    """Arguments of `_Norm`, or ``None`` where the statistics are not the batch's."""
    if not given.get("training"):
        return None
    return (given["input"], given.get("weight"), given.get("bias"), given.get("eps", 1e-5))


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, b: Tensor | None, *rest: Any) -> Tensor:
        stride, padding, dilation, groups, wanted = rest
        ctx.save_for_backward(x, w)
        ctx.form = (stride, padding, dilation, False, _UNUSED, groups)
        ctx.bias = None if b is None else [len(b)]
        ctx.wanted = wanted
        result: Tensor = _aten.convolution(x, w, b, *ctx.form)
        return result

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        x, w = ctx.saved_tensors
        wanted = ctx.wanted.weights
        mask = (
            ctx.needs_input_grad[0],
            ctx.needs_input_grad[1] and wanted,
            ctx.needs_input_grad[2] and wanted,
        )
        found = _convolve_backward(g, x, w, ctx.bias, ctx.form, mask)
        return (*found, None, None, None, None, None)


class _ConvolutionBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, g: Tensor, x: Tensor, w: Tensor, *rest: Any) -> Any:
        bias, form, mask = rest
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(g, x, w)
        ctx.form = form
        return tuple(_aten.convolution_backward(g, x, w, bias, *form, mask))

    @staticmethod
    def backward(ctx: Any, at_x: Tensor | None, at_w: Tensor | None, at_b: Tensor | None) -> Any:
        g, x, w = ctx.saved_tensors
        parts = []
        if at_x is not None:
            parts.append(_aten.convolution(at_x, w, at_b, *ctx.form))
        if at_w is not None:
            parts.append(_aten.convolution(x, at_w, at_b if not parts else None, *ctx.form))
        if not parts and at_b is not None:
            parts.append(at_b[:, None, None].expand_as(g))
        # dL/dw is bilinear in x and g, and dL/dx in w and g; each is the other's transpose.
        mask = (at_w is not None, at_x is not None, False)
        found = _aten.convolution_backward(
            g, x if at_x is None else at_x, w if at_w is None else at_w, None, *ctx.form, mask
        )
        grown = parts[0].add_(parts[1]) if len(parts) == 2 else parts[0] if parts else None
        return grown, found[0], found[1], None, None, None


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor | None, b: Tensor | None, eps: float) -> Tensor:
        result, mean, inverse = _aten.native_batch_norm(x, w, b, None, None, True, 0.0, eps)
        ctx.save_for_backward(x, w, mean, inverse)
        ctx.eps = eps
        kept: Tensor = result
        return kept

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        at_x, at_w, at_b = _normalise_backward(g, *ctx.saved_tensors, ctx.eps)
        wanted = ctx.needs_input_grad
        return at_x, at_w if wanted[1] else None, at_b if wanted[2] else None, None


class _NormBackward(torch.autograd.Function):
    """With y = c (g - mean g - n mean(g n)), n the normalised input and c = w / deviation."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, *given: Any) -> Any:
        found = _backward(g, given)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(g, *given[:-1], *found[1:])
        ctx.eps = given[-1]
        return found

    @staticmethod
    def backward(ctx: Any, at: Tensor | None, at_w: Tensor | None, at_b: Tensor | None) -> Any:
        if at_w is not None or at_b is not None:
            raise NoValueError(
                "a normalisation's scale or shift is computed from other weights, of which no "
                "second derivative is taken"
            )
        if at is None:
            return (None,) * 6
        g, x, w, mean, inverse, sum_gn, sum_g = ctx.saved_tensors
        # The map from g to y is its own transpose.
        grown, sum_an, sum_a = _backward(at, (x, w, mean, inverse, ctx.eps))
        n = x.numel() / x.shape[1]
        axes = [0, *range(2, x.ndim)]
        gn, g0, an, a0 = sum_gn / n, sum_g / n, sum_an / n, sum_a / n
        # n and the deviation depend on x, too; the three parts of that are linear in at, g, n.
        curved = (at * g).sum(axes) / n - a0 * g0 - 3 * gn * an
        scale = -(inverse**2) if w is None else -w * inverse**2
        slope = scale * curved * inverse
        shift = -(scale * (gn * a0 + an * g0) + slope * mean)
        shape = [1, -1] + [1] * (x.ndim - 2)
        result = torch.addcmul(shift.view(shape), at, (scale * gn).view(shape))
        result.addcmul_(g, (scale * an).view(shape)).addcmul_(x, slope.view(shape))
        return grown, result, None, None, None, None


def _backward(g: Tensor, given: tuple[Any, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients at x, and sums over images and positions of g n and of g."""
    x, w, mean, inverse, eps = given
    found: tuple[Tensor, Tensor, Tensor] = _aten.native_batch_norm_backward(
        g, x, w, None, None, mean, inverse, True, eps, (True, True, True)
    )
    return found


class _HardSigmoid(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return functional.hardsigmoid(x)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        return _gate_backward(g, *ctx.saved_tensors)


class _HardSigmoidBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, g: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        result: Tensor = _aten.hardsigmoid_backward(g, x)
        return result

    @staticmethod
    def backward(ctx: Any, at: Tensor) -> Any:
        return _gate_backward(at, *ctx.saved_tensors), None


_convolve: Any = _Convolution.apply
_convolve_backward: Any = _ConvolutionBackward.apply
_normalise: Any = _Norm.apply
_normalise_backward: Any = _NormBackward.apply
_gate: Any = _HardSigmoid.apply
_gate_backward: Any = _HardSigmoidBackward.apply
