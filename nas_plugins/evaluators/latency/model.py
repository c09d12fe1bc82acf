"""Latency predicted by an additive model that fits itself from a few measurements."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nas_plugins._images import shape_text
from nas_plugins._public import evaluator as build_evaluator
from nas_plugins._public import evaluator_class
from nas_plugins._public import space as build_space
from nas_plugins.errors import DataError, unknown_name
from nas_plugins.evaluators.latency.additive import LatencyModel
from nas_plugins.evaluators.latency.design import measured_sample
from nas_plugins.protocols import Evaluator, Metric, as_evaluator
from nas_plugins.spaces.base import Architecture, SearchSpace


class LatencyModelEvaluator(Evaluator):
    """Predicts latency, or another cost, from the measurements of a few architectures.

    When built, it draws `n` architectures in which every choice occurs, has `source` measure
    them, and fits a `LatencyModel`; the description of its metric states the held-out error.
    Save what was fitted with ``evaluator.model.save(path)`` and use it again with ``model=path``.

    Args:
        source: The evaluator that measures: a registered name, e.g. ``"latency"`` (this
            machine) or ``"latency-table"``, or an evaluator.
        space: The space to draw from; by default the source's own, or ``"nasbench201"``.
        n: Architectures to measure. Those that the source cannot measure are replaced.
        seed: Of the draw.
        metric: What to predict; a metric of the source.
        counted: As `LatencyModel.fit` takes it.
        model: A fitted model or its file; then nothing is measured, and only `space` may be
            given, which must be the model's.
        **options: Options of the source, for a name only.

    Raises:
        UnknownNameError: The source, space or metric is not known; suggests the nearest.
        ValueError: `n` is too small for every choice to occur.
        DataError: The file of the model is absent, torn or of another space, or the source
            measured too few architectures.
        TypeError: Options are given that nothing takes.
    """

    takes_space = True

    def __init__(
        self,
        source: str | Evaluator = "latency",
        *,
        space: str | SearchSpace | None = None,
        n: int = 50,
        seed: int = 0,
        metric: str = "latency_ms",
        counted: str = "auto",
        model: LatencyModel | str | Path | None = None,
        **options: Any,
    ) -> None:
        wanted = build_space(space) if isinstance(space, str) else space
        if model is not None:
            if options:
                raise TypeError(f"a fitted `model` takes no options, got {sorted(options)}")
            self._model = _given(model, wanted)
            return
        measuring = _source(source, wanted, options)
        if wanted is None:
            wanted = measuring.space or build_space("nasbench201")
        unit = _unit(measuring, metric)
        sample, values = measured_sample(measuring, wanted, n, seed=seed, metric=metric)
        self._model = LatencyModel.fit(
            sample,
            values,
            metric=metric,
            unit=unit,
            source=measuring.source,
            counted=counted,
            shape=measuring.input_shape,
        )

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        """Channels, height and width of the inputs it was fitted on, where that is known."""
        return self._model.shape

    def for_data(self, shape: tuple[int, ...]) -> LatencyModelEvaluator:
        """Itself, as it has been fitted.

        Raises:
            ValueError: To inputs of another shape.
        """
        if self._model.shape not in (None, shape):
            raise ValueError(
                f"the latency model was fitted to networks for another input than the images of "
                f"{shape_text(shape)} that the search trains on; give "
                f"`shape={list(shape)}, in_channels={shape[0]}`"
            )
        return self

    @property
    def model(self) -> LatencyModel:
        """The fitted model."""
        return self._model

    @property
    def space(self) -> SearchSpace:
        """The space whose architectures it can evaluate."""
        return self._model.space

    @property
    def source(self) -> str:
        """What was fitted, how well, and on what."""
        return self._model.description

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The predicted metric; its description states the error."""
        return (Metric(self._model.metric, self._model.unit, "min", self._model.description),)

    def evaluate(self, architectures: Sequence[Architecture]) -> list[dict[str, float]]:
        """Returns the prediction per architecture, in order.

        Raises:
            TypeError: Not an `Architecture`.
            InvalidArchitectureError: One belongs to another space.
        """
        values = self._model.predict(architectures).tolist()
        return [{self._model.metric: value} for value in values]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._model.description!r})"


def _given(model: LatencyModel | str | Path, space: SearchSpace | None) -> LatencyModel:
    origin = "the given model"
    if not isinstance(model, LatencyModel):
        origin, model = str(model), LatencyModel.load(Path(model))
    if space is not None and model.space != space:
        raise DataError(f"{origin} is of space {model.space.name!r}, not of {space.name!r}")
    return model


def _source(
    source: str | Evaluator, space: SearchSpace | None, options: dict[str, Any]
) -> Evaluator:
    if not isinstance(source, str):
        if options:
            raise TypeError(f"an evaluator as `source` takes no options, got {sorted(options)}")
        return as_evaluator(source)
    if space is not None and evaluator_class(source).takes_space:
        options = {"space": space, **options}
    return build_evaluator(source, **options)


def _unit(source: Evaluator, metric: str) -> str:
    known = {m.name: m for m in source.metrics}
    if metric not in known:
        raise unknown_name("metric of the source", metric, known)
    return known[metric].unit


__all__ = ["LatencyModel", "LatencyModelEvaluator"]
