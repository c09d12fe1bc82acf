"""What the words in a surrogate evaluator's options stand for."""

from __future__ import annotations

from collections.abc import Sequence

from nas_plugins._public import measuring
from nas_plugins.errors import unknown_name
from nas_plugins.protocols import Evaluator, Metric, as_evaluator


def opened(given: Evaluator | str, use: str = "") -> Evaluator:
    """An evaluator, or what a name stands for: a benchmark or a registered evaluator.

    Raises:
        UnknownNameError: The name is not known; suggests the nearest.
    """
    return measuring(given, use) if isinstance(given, str) else as_evaluator(given)


def trainable(metric: str, truth: Evaluator) -> Metric:
    """The metric that is learned.

    Raises:
        UnknownNameError: `truth` does not measure it.
        ValueError: It is measured on test data.
    """
    known = {one.name: one for one in truth.metrics}
    if metric not in known:
        raise unknown_name("metric", metric, known)
    if "test" in metric.split("_"):
        raise ValueError(
            f"`metric` must not be measured on test data, got {metric!r}: labels are for "
            "choosing, test data for reporting"
        )
    return known[metric]


def columns_of(
    proxies: Evaluator | None, columns: Sequence[str] | None, metric: str
) -> tuple[str, ...] | None:
    """Metrics to use as proxies; ``None`` without any. What needs training is no proxy of it.

    Raises:
        ValueError: What is predicted is among them.
    """
    if proxies is None:
        return None
    if columns is None:
        names = [one.name for one in proxies.metrics]
        return tuple(n for n in names if n != metric and "accuracy" not in n.split("_"))
    leaked = [n for n in columns if n == metric or "accuracy" in n.split("_")]
    if leaked:
        raise ValueError(f"`columns` must not hold what is predicted, got {leaked}")
    return tuple(columns)


def period(measure: str) -> int:
    """k of ``"every:k"``; 0 for ``"never"`` and ``"top"``.

    Raises:
        ValueError: `measure` is no policy.
    """
    word, _, number = measure.partition(":")
    if measure in ("never", "top"):
        return 0
    if word != "every" or not number.isdecimal() or int(number) < 1:
        raise ValueError(
            f"`measure` must be 'never', 'top' or 'every:k' with k >= 1, got {measure!r}"
        )
    return int(number)
