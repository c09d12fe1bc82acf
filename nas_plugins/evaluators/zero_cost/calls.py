"""Calls of PyTorch's functions, and which of their arguments are what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any
from weakref import ref

from torch.overrides import TorchFunctionMode

from nas_plugins._torch import Tensor, functional, torch

Function = Callable[..., Any]

CONVOLUTIONS: frozenset[Function] = frozenset(
    {
        functional.conv1d, functional.conv2d, functional.conv3d, functional.conv_transpose1d,
        functional.conv_transpose2d, functional.conv_transpose3d,
    }
)  # fmt: skip
NORMS: frozenset[Function] = frozenset({functional.batch_norm, torch.batch_norm})
RECURRENT: frozenset[Function] = frozenset(
    {
        torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu,
        torch.lstm_cell, torch.gru_cell, torch.rnn_tanh_cell, torch.rnn_relu_cell,
    }
)  # fmt: skip
_PRODUCTS: frozenset[Function] = frozenset(
    {
        torch.matmul, torch.mm, torch.bmm, torch.mv, Tensor.matmul, Tensor.mm, Tensor.bmm,
        Tensor.mv, Tensor.__matmul__, torch.einsum, torch.tensordot,
    }
)  # fmt: skip
_SUMMED: frozenset[Function] = frozenset(
    {torch.addmm, torch.baddbmm, torch.addmv, Tensor.addmm, Tensor.baddbmm, Tensor.addmv}
)
RELUS: frozenset[Function] = frozenset(
    {
        functional.relu, functional.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_,
        functional.relu6, functional.leaky_relu, functional.leaky_relu_, functional.prelu,
        torch.prelu, Tensor.prelu, functional.rrelu, functional.rrelu_, torch.rrelu, torch.rrelu_,
    }
)  # fmt: skip
_CLAMPS: frozenset[Function] = frozenset(
    {
        torch.clamp, torch.clamp_, torch.clip, torch.clip_, Tensor.clamp, Tensor.clamp_,
        Tensor.clip, Tensor.clip_, torch.clamp_min, torch.clamp_min_, Tensor.clamp_min,
        Tensor.clamp_min_,
    }
)  # fmt: skip
_HARDTANHS: frozenset[Function] = frozenset({functional.hardtanh, functional.hardtanh_})
_functions: Any = functional  # whose type stubs lack some
_THRESHOLDS: frozenset[Function] = frozenset(
    {functional.threshold, _functions.threshold_, torch.threshold, torch.threshold_}
)
_MAXIMA: frozenset[Function] = frozenset(
    {torch.maximum, torch.max, torch.fmax, Tensor.maximum, Tensor.max, Tensor.fmax}
)
_ADDITIONS: frozenset[Function] = frozenset(
    {torch.add, Tensor.add, Tensor.add_, Tensor.__add__, Tensor.__radd__, Tensor.__iadd__}
)
_REQUIRES_GRAD: Any = Tensor.requires_grad.__set__  # type: ignore[attr-defined]
_NORM = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
_TORCH_NORM = ("input", "weight", "bias", "running_mean", "running_var", *_NORM[5:], "cudnn")


class CallMode(TorchFunctionMode):
    """Sees every call of a PyTorch function, those within attention as well.

    Attributes:
        columns: Within attention, whose first dimension is the sequence, the length of its
            second; else 0.
    """

    columns = 0
    _shift: tuple[Any, float] = (None, 0.0)

    def __torch_function__(
        self, func: Function, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Calls the function by way of `call`."""
        opened = _OPENED.get(func)
        if opened is not None:
            query = args[0] if args else (kwargs or {})["query"]
            self.columns = query.shape[1] if query.ndim == 3 else 1
            try:
                with self:
                    return opened(*args, **(kwargs or {}))
            finally:
                self.columns = 0
        if func == _REQUIRES_GRAD and args[1] and args[0].requires_grad:
            return None  # a network may ask for what is so, which PyTorch allows for leaves alone
        result = self.call(func, args, kwargs or {})
        if func in _ADDITIONS and isinstance(result, Tensor):
            numbers = [v for v in (*args, *(kwargs or {}).values()) if type(v) in (int, float)]
            self._shift = (ref(result), numbers[0] if numbers else 0.0)
        return result

    def call(self, func: Function, args: Any, kwargs: Any) -> Any:
        """Calls the function; a subclass looks at it or replaces it."""
        return func(*args, **kwargs)

    def is_activation(self, func: Function, args: Any, kwargs: Any) -> bool:
        """Whether a call is a ReLU, and not the bounds of a hard sigmoid or hard swish.

        Those are often written as ``relu6(x + 3) / 6``: a gate, on where ``x`` is negative, too.
        """
        if not is_relu(func, args, kwargs):
            return False
        given = args[0] if args else kwargs.get("input")
        shifted, shift = self._shift
        high = 6.0 if func is functional.relu6 else _high(args, kwargs)
        gate = shifted is not None and shifted() is given and shift != 0 and high == 2 * shift
        return not gate


def _opened(function: Any) -> Function:
    """A function of PyTorch's, written in Python, without the question who wants to see it.

    That question would hand the whole call to the mode that is to see the calls within.
    """
    scope = {**function.__globals__, "has_torch_function": lambda arguments: False}
    made = FunctionType(function.__code__, scope, function.__name__, function.__defaults__)
    made.__kwdefaults__ = function.__kwdefaults__
    return made


_OPENED: dict[Function, Function] = {
    functional.multi_head_attention_forward: _opened(functional.multi_head_attention_forward)
}


@dataclass(frozen=True, eq=False)
class LayerCall:
    """A call that may be a layer's.

    Attributes:
        weight: What is multiplied by.
        bias: What is added.
        product: Whether the weight is an operand of a product.
        left: Whether it is the first one: channels come before positions.
        hidden: Why the output's channels are not known; empty if they are.
    """

    weight: Tensor
    bias: Tensor | None = None
    product: bool = False
    left: bool = False
    hidden: str = ""


def layer_call(
    func: Function, args: Any, kwargs: Any, of_weights: Callable[[Tensor], bool] | None
) -> LayerCall | None:
    """Reads a call.

    Args:
        func: What is called.
        args: Its arguments.
        kwargs: Those by name.
        of_weights: Tells a tensor that is computed of parameters only; ``None`` if products with
            such tensors do not count.
    """
    if func in CONVOLUTIONS or func is functional.linear:
        weight = args[1] if len(args) > 1 else kwargs["weight"]
        return LayerCall(weight, args[2] if len(args) > 2 else kwargs.get("bias"))
    if func is functional.bilinear:
        weight = args[2] if len(args) > 2 else kwargs["weight"]
        return LayerCall(weight, args[3] if len(args) > 3 else kwargs.get("bias"))
    if of_weights is None or not (func in _PRODUCTS or func in _SUMMED):
        return None
    given = [part for part in flattened((*args, *kwargs.values())) if isinstance(part, Tensor)]
    bias, operands = (given[0], given[1:]) if func in _SUMMED else (None, given)
    weights = [part for part in operands if of_weights(part)]
    if len(operands) != 2 or len(weights) != 1:
        return None
    known = weights[0].ndim == 2 and func not in (torch.einsum, torch.tensordot)
    reason = "" if known else "the channels of a product's output are not known"
    return LayerCall(weights[0], bias, True, operands[0] is weights[0], reason)


def flattened(values: Any) -> list[Any]:
    """The parts of tuples and lists within each other, in their order."""
    found: list[Any] = []
    for value in values:
        found += flattened(value) if isinstance(value, (tuple, list)) else [value]
    return found


def is_relu(func: Function, args: Any, kwargs: Any) -> bool:
    """Whether a call is linear above zero, up to a bound maybe, and flatter below: a ReLU."""
    if func in RELUS:
        return True
    low = args[1] if len(args) > 1 else kwargs.get("min", kwargs.get("min_val"))
    high = _high(args, kwargs)
    if func in _CLAMPS or func in _HARDTANHS:
        return _is_zero(low) and (high is None or _is_positive(high))
    if func in _THRESHOLDS:
        return _is_zero(kwargs.get("threshold", low)) and _is_zero(kwargs.get("value", high))
    if func in _MAXIMA:
        other = args[1] if len(args) > 1 else kwargs.get("other")
        return isinstance(other, Tensor) and not other.requires_grad and not bool(other.any())
    return False


def _high(args: Any, kwargs: Any) -> Any:
    return args[2] if len(args) > 2 else kwargs.get("max", kwargs.get("max_val"))


def _is_zero(bound: Any) -> bool:
    return isinstance(bound, (int, float)) and bound == 0


def _is_positive(bound: Any) -> bool:
    return isinstance(bound, (int, float)) and bound > 0


def image_axis(func: Function, now: Tensor, then: tuple[Any, ...], images: int) -> int | None:
    """Which dimension of a tensor is that of the images, ``None`` if it cannot be told.

    Args:
        func: What returned the tensor.
        now: The tensor.
        then: The function and the shape of the same call for one image.
        images: How many there are.
    """
    if not then or then[0] is not func or len(then[1]) != now.ndim:
        return 0 if now.ndim and len(now) == images else None
    pairs = list(zip(then[1], now.shape, strict=True))
    grown = [i for i, (a, b) in enumerate(pairs) if a != b]
    if len(grown) != 1 or pairs[grown[0]][1] != images * pairs[grown[0]][0]:
        return 0 if now.ndim and len(now) == images else None
    (axis,) = grown
    return axis if axis == 0 or then[1][axis] == 1 else None


def norm_options(func: Function, args: Any, kwargs: Any) -> dict[str, Any]:
    """The arguments of a batch normalisation by name, whichever function it is."""
    names = _TORCH_NORM if func is torch.batch_norm else _NORM
    return {**dict(zip(names, args, strict=False)), **kwargs}
