"""Axes: the numbers by which a space is cut into niches.

LLM-NAS (arXiv 2510.01472) cuts NAS-Bench-201 by the number of 3x3 convolutions and its ViT space
by embedding dimension and depth. Here an axis is any number of an architecture: a count of one
operation, a size, a decision, a metric of a benchmark or evaluator, or a user's function.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from nas_plugins import _public, registry
from nas_plugins.errors import unknown_name
from nas_plugins.protocols import Evaluator
from nas_plugins.spaces.base import Choice, SearchSpace
from nas_plugins.strategies.llm_coevolution.kinds import (
    SIZES,
    Axis,
    CountAxis,
    DecisionAxis,
    DepthAxis,
    Floats,
    FunctionAxis,
    LevelAxis,
    Measure,
    MetricAxis,
    SizeAxis,
    is_number,
)

_AUTO = {
    "nasbench201": "n_nor_conv_3x3",
    "nasbench101": "n_conv3x3_bn_relu",
    "darts": "params",
    "darts-cell": "params",
    "fbnet": "flops",
    "vit": "flops",
}
"""Axes on which a language model can aim: see `auto_name`."""


def axis(spec: str | Measure | Axis, space: SearchSpace) -> Axis:
    """Builds an axis of a space.

    Args:
        spec: One of

            * ``"auto"``: what suits the space, see `auto_name`;
            * ``"n_<choice>"``: how many decisions take a choice, e.g. ``"n_nor_conv_3x3"``;
              signs in a choice may be written ``_``;
            * ``"params"``, ``"flops"``: in millions, where the space counts them;
            * the name of a decision among numbers, e.g. ``"embed_dim"``;
            * ``"depth"``: operations on the longest path, unless a decision is called so;
            * ``"level"``: how far the decisions are from their least choice;
            * ``"<benchmark or evaluator>.<metric>"``, e.g.
              ``"hw-nas-bench/cifar10/edgegpu.latency_ms"``;
            * a function that takes an `Architecture` and returns a number;
            * an axis.
        space: The space.

    Raises:
        UnknownNameError: No such axis, benchmark, evaluator or metric; suggests the nearest.
        ValueError: The axis is of another space, or the name means several choices.
        TypeError: `spec` is none of these, or the space does not count its size.
    """
    if isinstance(spec, Axis):
        return _of_space(spec, space)
    if callable(spec):
        name = getattr(spec, "__name__", type(spec).__name__)
        return FunctionAxis(space=space, name=name.strip("<>"), function=spec)
    if not isinstance(spec, str):
        raise TypeError(f"`axis` must be a name or a function, got {spec!r}")
    found = _named(auto_name(space) if spec == "auto" else spec, space)
    if found is None:
        raise unknown_name("axis", spec, axis_names(space))
    return found


def auto_name(space: SearchSpace) -> str:
    """The axis that ``"auto"`` means: one chosen for the space, else parameters, else the level.

    A count of operations where there is one to aim at: a language model sees at once in which
    niche a cell lies, and a grammar can count. It does not spread the true front best. By the
    entropy of the front's points over six niches, as a share of the greatest (NAS-Bench-201,
    CIFAR-10 accuracy against latency on the six devices of HW-NAS-Bench), the number of 3x3
    convolutions of LLM-NAS has 0.69, with 1.7 niches without a point of the front, parameters
    0.86 and FLOPs 0.91. On NAS-Bench-101, accuracy against parameters, it has 0.91, FLOPs and
    parameters 0.85. No table tells for the others.
    """
    chosen = _AUTO.get(space.name)
    if chosen is not None:
        return chosen
    return "params" if _counts_size(space) else "level"


def axis_names(space: SearchSpace) -> list[str]:
    """Names of the axes of a space, without those of benchmarks and evaluators."""
    sizes = SIZES if _counts_size(space) else ()
    counts = (f"n_{_written(choice)}" for choice in _choices(space))
    names = ["auto", *counts, *sizes, *_number_decisions(space), *_PLAIN]
    return list(dict.fromkeys(names))


_PLAIN: Mapping[str, type[DepthAxis] | type[LevelAxis]] = {"depth": DepthAxis, "level": LevelAxis}


def _named(name: str, space: SearchSpace) -> Axis | None:
    numbers = _number_decisions(space)
    if name in numbers:
        return DecisionAxis(space=space, name=name, position=numbers[name])
    if name in SIZES:
        space.complexity(space.sample(np.random.default_rng(0)))  # a TypeError says what lacks
        return SizeAxis(space=space, name=name, unit="M")
    if name in _PLAIN:
        return _PLAIN[name](space=space, name=name)
    counted = _counted(name, space) if name.startswith("n_") else []
    if counted:
        return CountAxis(space=space, name=name, choice=counted[0])
    return _metric_axis(name, space) if "." in name else None


def _of_space(known: Axis, space: SearchSpace) -> Axis:
    if known.space != space:
        raise ValueError(f"`axis` must be one of {space.name!r}, got one of {known.space.name!r}")
    return known


def _counts_size(space: SearchSpace) -> bool:
    try:
        space.complexity(space.sample(np.random.default_rng(0)))
    except TypeError:
        return False
    return True


def _number_decisions(space: SearchSpace) -> dict[str, int]:
    """Positions of the decisions among different numbers, by name."""
    return {
        d.name: i
        for i, d in enumerate(space.decisions)
        if len(d.choices) > 1 and all(map(is_number, d.choices))
    }


def _choices(space: SearchSpace) -> list[Choice]:
    known = {(type(c), c): c for d in space.decisions for c in d.choices}
    return list(known.values())


def _counted(name: str, space: SearchSpace) -> list[Choice]:
    """The choice that ``n_<choice>`` means, as it is or with its signs normalised."""
    choices = _choices(space)
    exact = [c for c in choices if name == f"n_{c}"]
    near = exact or [c for c in choices if _written(name[2:]) == _written(c)]
    if len(near) > 1:
        raise ValueError(f"`axis` {name!r} must mean one choice, got {near}")
    return near


def _written(choice: Choice) -> str:
    return re.sub(r"[^0-9a-z]+", "_", str(choice).lower()).strip("_")


def _metric_axis(name: str, space: SearchSpace) -> MetricAxis:
    source, _, metric = name.rpartition(".")
    families = registry.names("benchmark")
    if source.split("/")[0] in families:
        benchmark = _public.benchmark(source)
        if benchmark.space != space:
            raise ValueError(
                f"`axis` must be measured on {space.name!r}, got {source!r}, which measures "
                f"{benchmark.space.name!r}"
            )
        return _checked(name, space, benchmark, metric)
    known = registry.names("evaluator")
    if source not in known:
        raise unknown_name("benchmark or evaluator", source, [*families, *known])
    return _checked(name, space, _public.evaluator(source), metric)


def _checked(name: str, space: SearchSpace, evaluator: Evaluator, metric: str) -> MetricAxis:
    units = {m.name: m.unit for m in evaluator.metrics}
    if metric not in units:
        raise unknown_name(f"metric of {name.rpartition('.')[0]!r}", metric, units)
    return MetricAxis(
        space=space, name=name, unit=units[metric], evaluator=evaluator, metric=metric
    )


__all__ = [
    "Axis",
    "CountAxis",
    "DecisionAxis",
    "DepthAxis",
    "Floats",
    "FunctionAxis",
    "LevelAxis",
    "Measure",
    "MetricAxis",
    "SizeAxis",
    "auto_name",
    "axis",
    "axis_names",
]
