"""Predicted accuracy as a metric: an evaluator that learns from labels it measures or is told."""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas_plugins._doing import doing
from nas_plugins._images import shape_text
from nas_plugins.errors import DataError
from nas_plugins.evaluators.surrogate.estimator import Surrogate
from nas_plugins.evaluators.surrogate.features import Encoder
from nas_plugins.evaluators.surrogate.options import (
    columns_of,
    opened,
    period,
    trainable,
)
from nas_plugins.protocols import Evaluator, Metric
from nas_plugins.sampling import unseen
from nas_plugins.spaces.base import Architecture, Key, SearchSpace

_GROWTH = 0.1
_MAX_TRIES = 4
_KEPT = 2**16
_STREAM = 4


@dataclass(frozen=True)
class Counts:
    """Where an evaluator's values came from.

    Attributes:
        initial: Labels measured on the random sample before the first prediction.
        failed: Architectures of that sample, or proposals, that the truth had no value for.
        measured: Proposals that the policy sent to the truth.
        observed: Labels from `SurrogateEvaluator.observe`.
        predicted: Values that were predicted.
        fits: How often the surrogate was fitted.
    """

    initial: int = 0
    failed: int = 0
    measured: int = 0
    observed: int = 0
    predicted: int = 0
    fits: int = 0

    def plus(self, **more: int) -> Counts:
        """Adds to some of the counts."""
        return Counts(**{n: v + more.get(n, 0) for n, v in vars(self).items()})


class SurrogateEvaluator(Evaluator):
    """Predicts a metric from proxies and the graph, trained on labels: not label-free.

    Before the first prediction `labels` architectures, a seeded random sample of the space, are
    measured by `truth`. Rows hold `metric`, ``<metric>_std`` (its calibrated standard
    deviation; 0 where measured) and ``predicted``: 1.0 for a prediction, 0.0 for a value that
    was measured or observed. Such values are returned as they are from then on.

    The surrogate is fitted again, at the next prediction, when the labels have grown by a tenth.
    With ``measure="never"`` and without `observe` rows do not depend on the order of the calls;
    otherwise they depend on it, and on nothing else.

    Args:
        truth: Measures the labels: an evaluator, or the name of a benchmark such as
            ``"nasbench201/cifar10"`` or of a registered evaluator.
        metric: The metric of `truth` to predict; not one on test data.
        labels: Size of the random sample, at least 2; 0 waits for `observe`. A space with fewer
            architectures is measured whole.
        proxies: Measures the proxies: an evaluator, the name of one or of a benchmark, or
            ``None`` to describe architectures by `features` alone. An evaluator that is named
            has the options that suit features; ``"zero-cost"`` means cheap proxies on noise.
        columns: Metrics of `proxies` to use; by default all that are no accuracy.
        features: Kinds of features; see `Encoder`.
        model: As in `Surrogate`.
        target: As in `Surrogate`.
        measure: Which proposals are measured rather than predicted: ``"never"``, ``"every:k"``
            (each k-th new one, k >= 1), or ``"top"`` (those that may well be better than the
            best label: prediction plus deviation reaches it).
        seed: Of the random sample and the models.

    Raises:
        UnknownNameError: A name, metric or column is not known; suggests the nearest.
        ValueError: A number is out of range, or `metric` is measured on test data.
    """

    def __init__(
        self,
        truth: Evaluator | str,
        *,
        metric: str = "val_accuracy",
        labels: int = 100,
        proxies: Evaluator | str | None = "zero-cost",
        columns: Sequence[str] | None = None,
        features: Sequence[str] = ("proxies", "graph"),
        model: str = "auto",
        target: str = "rank",
        measure: str = "never",
        seed: int = 0,
    ) -> None:
        if labels < 0 or labels == 1:
            raise ValueError(f"`labels` must be 0 or >= 2, got {labels}")
        self._every = period(measure)
        self._truth = opened(truth)
        self._metric = trainable(metric, self._truth)
        self._proxies = None if proxies is None else opened(proxies, "features")
        self._columns = columns_of(self._proxies, columns, metric)
        self._labels, self._measure, self._seed = labels, measure, seed
        self._features = tuple(features)
        self._model, self._target = model, target
        self._encoder: Encoder | None = None
        self._surrogate: Surrogate | None = None
        self._known: dict[Key, tuple[Architecture, float]] = {}
        self._kept: dict[Key, tuple[float, float]] = {}
        self._started: set[Key] = set()
        self._sampled = False
        self._counts = Counts()
        self._lock = threading.RLock()

    # -- what it is ------------------------------------------------------------------------

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metric, its standard deviation, and ``predicted``."""
        one = self._metric
        told = f"predicted by a surrogate trained on labels, or measured: {one.description}"
        return (
            Metric(one.name, one.unit, one.direction, told),
            Metric(f"{one.name}_std", one.unit, "min", "standard deviation; 0 where measured"),
            Metric("predicted", "", "min", "1 for a prediction, 0 for a measured value"),
        )

    @property
    def source(self) -> str:
        """Where the numbers come from."""
        return f"surrogate trained on {len(self._known)} labels of: {self._truth.source}"

    @property
    def counts(self) -> Counts:
        """How many values were measured, observed and predicted so far."""
        return self._counts

    @property
    def surrogate(self) -> Surrogate | None:
        """The fitted surrogate, for its weights and coverage; ``None`` before the first fit."""
        return self._surrogate

    @property
    def space(self) -> SearchSpace | None:
        """The space whose architectures it can evaluate, as far as `truth` or a call told it."""
        if self._encoder:
            return self._encoder.space
        return self._truth.space

    @property
    def data_shape(self) -> tuple[int, ...] | None:
        """That of what measures the labels."""
        return self._truth.data_shape

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        """That of what measures the labels; proxies describe, and have an input of their own."""
        return self._truth.input_shape

    def for_data(self, shape: tuple[int, ...]) -> SurrogateEvaluator:
        """Predicts what networks for images of this shape are measured to have.

        Raises:
            ValueError: What measures the labels was told another shape, or has measured already.
        """
        truth = self._truth.for_data(shape)
        if truth is self._truth:
            return self
        if self._known:
            raise ValueError(
                f"the surrogate has learned from networks for other images than those of "
                f"{shape_text(shape)} that the search trains on; build a new one"
            )
        fitted = copy.copy(self)
        fitted._truth = truth
        fitted._known, fitted._kept, fitted._started = {}, {}, set()
        return fitted

    # -- labels ----------------------------------------------------------------------------

    def observe(self, architectures: Sequence[Architecture], values: Sequence[float]) -> None:
        """Takes measured values of the metric as labels; a newer one replaces an older.

        Args:
            architectures: Of one space.
            values: One per architecture, in the metric's unit, finite.

        Raises:
            ValueError: The lengths differ, or a value is not finite.
        """
        if len(architectures) != len(values):
            raise ValueError(
                f"`values` must hold one value for each of the {len(architectures)} "
                f"architectures, got {len(values)}"
            )
        for position, value in enumerate(values):
            if not math.isfinite(value):
                raise ValueError(f"`values` must be finite, got {value} at {position}")
        with self._lock:
            for architecture, value in zip(architectures, values, strict=True):
                self._check(architecture)
                self._known[architecture.key] = (architecture, float(value))
            self._counts = self._counts.plus(observed=len(values))

    def prepare(self, space: SearchSpace) -> None:
        """Measures the random sample and fits, instead of at the first evaluation."""
        with self._lock:
            self._enter(space)
            self._sample(space)
            self._fit()

    def _sample(self, space: SearchSpace) -> None:
        """Measures the first labels, drawing replacements for those that have no value."""
        if self._sampled:
            return
        self._sampled = True
        # Not the sequence with which a search of the same seed begins.
        rng = np.random.default_rng([self._seed, _STREAM])
        taken: set[Key] = set()
        found = 0
        for _ in range(_MAX_TRIES):
            if found >= self._labels:
                break
            drawn = unseen(space, self._labels - found, rng, taken=taken)
            taken |= {a.key for a in drawn}
            with doing(f"measuring {len(drawn):,} labels for the surrogate", once=True):
                measured = self._true(drawn)
            for architecture, value in zip(drawn, measured, strict=True):
                if value is not None:
                    self._known.setdefault(architecture.key, (architecture, value))
                    found += 1
        self._counts = self._counts.plus(initial=found, failed=len(taken) - found)

    def _true(self, architectures: Sequence[Architecture]) -> list[float | None]:
        """Values of the metric; ``None`` where the truth has none."""
        if not architectures:
            return []
        rows = self._truth.evaluate(architectures)
        values = [float(row.get(self._metric.name, math.nan)) for row in rows]
        return [value if math.isfinite(value) else None for value in values]

    # -- evaluating ------------------------------------------------------------------------

    def evaluate(self, architectures: Sequence[Architecture]) -> list[dict[str, float]]:
        """Returns the metric, its deviation and ``predicted`` per architecture, in order.

        Raises:
            ValueError: An architecture is of another space than the ones before.
            DataError: `truth` had a value for fewer than 2 architectures of the sample.
        """
        if not architectures:
            return []
        with self._lock:
            self._enter(architectures[0].space)
            for architecture in architectures:
                self._check(architecture)
            self._sample(architectures[0].space)
            if self._measure == "never":
                return self._rows(architectures)
            # What is measured decides what is predicted next, so one after the other.
            return [row for one in architectures for row in self._rows([one])]

    def _rows(self, architectures: Sequence[Architecture]) -> list[dict[str, float]]:
        unknown = {a.key: a for a in architectures if a.key not in self._known}
        predicted = self._predicted(list(unknown.values()))
        chosen = [a for a in unknown.values() if self._wanted(a.key, *predicted[a.key])]
        values = self._true(chosen)
        for architecture, value in zip(chosen, values, strict=True):
            if value is not None:
                self._known[architecture.key] = (architecture, value)
        failed = sum(value is None for value in values)
        rows = [self._row(a.key, predicted) for a in architectures]
        self._counts = self._counts.plus(
            measured=len(chosen) - failed,
            failed=failed,
            predicted=sum(row["predicted"] == 1 for row in rows),
        )
        return rows

    def _row(self, key: Key, predicted: dict[Key, tuple[float, float]]) -> dict[str, float]:
        if key in self._known:
            value, deviation = self._known[key][1], 0.0
        else:
            value, deviation = predicted[key]
        names = (self._metric.name, f"{self._metric.name}_std", "predicted")
        return dict(zip(names, (value, deviation, float(key not in self._known)), strict=True))

    def _wanted(self, key: Key, value: float, deviation: float) -> bool:
        """Whether the policy measures this proposal; each is considered once."""
        if self._measure == "never" or key in self._started:
            return False
        self._started.add(key)
        if self._every:
            return len(self._started) % self._every == 0
        sign = 1.0 if self._metric.direction == "max" else -1.0
        best = max(sign * known for _, known in self._known.values())
        return sign * value + deviation >= best

    def _predicted(self, architectures: Sequence[Architecture]) -> dict[Key, tuple[float, float]]:
        if not architectures:
            return {}
        encoder, surrogate = self._ready()
        # Kept, as the last digit of a prediction depends on what is predicted along with it.
        kept = self._kept = self._kept if len(self._kept) < _KEPT else {}
        new = [a for a in architectures if a.key not in kept]
        if new:
            values, deviations = surrogate.predict(encoder(new), return_std=True)
            pairs = zip(values.tolist(), deviations.tolist(), strict=True)
            kept.update(zip((a.key for a in new), pairs, strict=True))
        return {a.key: kept[a.key] for a in architectures}

    def _ready(self) -> tuple[Encoder, Surrogate]:
        last = self._surrogate.n_labels_ if self._surrogate else 0
        if self._surrogate is None or len(self._known) >= last + max(1, int(_GROWTH * last)):
            return self._fit()
        assert self._encoder is not None  # entered when fitted
        return self._encoder, self._surrogate

    def _fit(self) -> tuple[Encoder, Surrogate]:
        if self.space is None:
            raise DataError("the surrogate has no space yet; evaluate an architecture first")
        encoder = self._enter(self.space)
        if len(self._known) < 2:
            raise DataError(
                f"the surrogate needs at least 2 labels of {self._metric.name!r}, got "
                f"{len(self._known)}: {self._counts}; give `labels` or call observe"
            )
        architectures, values = zip(*self._known.values(), strict=True)
        surrogate = Surrogate(
            model=self._model, target=self._target, groups=encoder.groups, seed=self._seed
        )
        self._surrogate = surrogate.fit(encoder(architectures), np.array(values))
        self._kept = {}
        self._counts = self._counts.plus(fits=1)
        return encoder, self._surrogate

    # -- its space -------------------------------------------------------------------------

    def _enter(self, space: SearchSpace) -> Encoder:
        if self._encoder is None:
            self._encoder = Encoder(
                space, features=self._features, proxies=self._proxies, columns=self._columns
            )
        return self._encoder

    def _check(self, architecture: Architecture) -> None:
        encoder = self._enter(architecture.space)
        if architecture.space != encoder.space:
            raise ValueError(
                f"`architectures` must be of space {encoder.space.name!r}, which the surrogate "
                f"has learned, got one of {architecture.space.name!r}"
            )

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self._metric.name!r}, {len(self._known)} labels, "
            f"model={self._model!r}, measure={self._measure!r})"
        )
