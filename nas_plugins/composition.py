"""Several evaluators as one, each metric under a name that tells whose it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from nas_plugins._frozen import FrozenDict
from nas_plugins._plugin_code import shown
from nas_plugins.errors import NasPluginsError, unknown_name
from nas_plugins.protocols import (
    Evaluator,
    Metric,
    MetricValues,
    Report,
    as_evaluator,
    measured,
    measured_reporting,
)
from nas_plugins.spaces.base import Architecture, SearchSpace

SEPARATOR = "."
"""Between the name of a source and that of its metric."""


@dataclass(frozen=True)
class Origin:
    """Where a metric comes from.

    Attributes:
        source: Name of the evaluator.
        metric: As that evaluator describes it, under its plain name.
    """

    source: str
    metric: Metric

    @property
    def qualified(self) -> str:
        """``<source>.<metric>``, e.g. ``"surrogate.val_accuracy"``."""
        return f"{self.source}{SEPARATOR}{self.metric.name}"


@dataclass(frozen=True)
class Combined(Evaluator):
    """Several evaluators as one; made by `combine`.

    A metric may be asked for by its plain name, which means the first evaluator's that has it,
    or as ``<source>.<metric>``. Only evaluators with a wanted metric are asked. What else they
    return for the same architectures comes along, under its plain name unless two evaluators
    have that: a surrogate, say, tells with each prediction how sure it is.

    Attributes:
        sources: The evaluators by name, in order of precedence.
        wanted: Names of the metrics to measure, as they shall be called.

    Raises:
        ValueError: No evaluator or no metric is given, or one comes twice.
        UnknownNameError: A metric is not known; suggests the nearest, qualified ones included.
    """

    sources: FrozenDict[Evaluator]
    wanted: tuple[str, ...]

    def __post_init__(self) -> None:
        sources = same_data({name: as_evaluator(source) for name, source in self.sources.items()})
        object.__setattr__(self, "sources", FrozenDict(sources))
        object.__setattr__(self, "wanted", tuple(self.wanted))
        for name, values in (("sources", self.sources), ("wanted", self.wanted)):
            if not values:
                raise ValueError(f"`{name}` must not be empty")
        if not all(self.sources):
            raise ValueError("`sources` must have names that are not empty")
        if len(set(self.wanted)) < len(self.wanted):
            raise ValueError(f"`wanted` must name each metric once, got {list(self.wanted)}")
        for name in self.wanted:
            self.origin(name)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The wanted metrics, then those that come along."""
        called = {name: origin for names in self._asked.values() for name, origin in names.items()}
        order = [*self.wanted, *(name for name in called if name not in self.wanted)]
        return tuple(replace(called[name].metric, name=name) for name in order)

    @property
    def source(self) -> str:
        """Where the numbers come from, for reports."""
        return "; ".join(self.sources[name].source for name in self._asked)

    def origin(self, name: str) -> Origin:
        """Whose metric a plain or qualified name means.

        Raises:
            UnknownNameError: Nobody has it; suggests the nearest.
        """
        return origin(name, self.sources)

    def evaluate(self, architectures: Sequence[Architecture]) -> list[dict[str, float]]:
        """Asks each evaluator that is needed, once.

        Returns:
            One `MetricValues` per architecture, in order: reading a metric that its evaluator
            has not returned raises what reading it there raises.
        """
        found = {name: measured(self.sources[name], architectures) for name in self._asked}
        rows = range(len(architectures))
        return [self._joined({name: values[i] for name, values in found.items()}) for i in rows]

    @property
    def data_shape(self) -> tuple[int, ...] | None:
        """That of the data set among them."""
        return _first(source.data_shape for source in self.sources.values())

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        """What the networks take that they measure, where they do."""
        return _first(source.input_shape for source in self.sources.values())

    def for_data(self, shape: tuple[int, ...]) -> Combined:
        """Lets all measure networks for images of this shape; see `Evaluator.for_data`."""
        sources = {name: source.for_data(shape) for name, source in self.sources.items()}
        return replace(self, sources=FrozenDict(sources))

    def check(self, space: SearchSpace) -> None:
        """Asks each evaluator that is needed; see `Evaluator.check`."""
        for name in self._asked:
            self.sources[name].check(space)

    @property
    def reports(self) -> bool:
        """Whether one that is asked does."""
        return any(self.sources[name].reports for name in self._asked)

    def evaluate_reporting(self, architecture: Architecture, report: Report) -> dict[str, float]:
        """As `evaluate` of one architecture; evaluators that report do, under the names here."""
        found = {}
        for source, names in self._asked.items():
            plain = _plain(names)

            def renamed(
                step: int, metrics: Mapping[str, float], plain: Mapping[str, str] = plain
            ) -> None:
                report(step, {n: metrics[p] for n, p in plain.items() if p in metrics})

            found[source] = measured_reporting(self.sources[source], architecture, renamed)
        return self._joined(found)

    def _joined(self, found: Mapping[str, Mapping[str, float]]) -> MetricValues:
        """What the evaluators returned for one architecture, under the names here."""
        values: dict[str, float] = {}
        gaps: dict[str, str | Exception] = {}
        for source, names in self._asked.items():
            for name, plain in _plain(names).items():
                try:
                    values[name] = float(found[source][plain])
                except (LookupError, NasPluginsError) as error:  # the reason must not get lost
                    gaps[name] = error
        return MetricValues(values, gaps=gaps)

    @cached_property
    def _asked(self) -> dict[str, dict[str, Origin]]:
        """Of each evaluator that is needed, its metrics by the name they have here."""
        wanted = {name: self.origin(name) for name in self.wanted}
        needed = {o.source for o in wanted.values()}
        asked: dict[str, dict[str, Origin]] = {name: {} for name in self.sources if name in needed}
        for name, found in wanted.items():
            asked[found.source][name] = found
        covered = set(wanted.values())
        for extra in _origins({name: self.sources[name] for name in asked}):
            if extra not in covered:
                asked[extra.source][self._shortest(extra)] = extra
        return asked

    def _shortest(self, found: Origin) -> str:
        plain = found.metric.name
        holders = [o for o in _origins(self.sources) if o.metric.name == plain]
        return plain if len(holders) == 1 and plain not in self.wanted else found.qualified


def combine(evaluators: Mapping[str, Evaluator], metrics: Sequence[str] | None = None) -> Combined:
    """Makes one evaluator of several, so that a search may have objectives of different sources.

    >>> import nas_plugins as nap
    >>> both = nap.combine({"paper": nap.evaluator("complexity", resolution=32),
    ...                     "small": nap.evaluator("complexity", resolution=16)},
    ...                    ["paper.flops_m", "small.flops_m"])
    >>> space = nap.space("nasbench201")
    >>> cell = space.architectures([[3] * 6])[0]
    >>> values = both.evaluate([cell])[0]
    >>> values["paper.flops_m"] > values["small.flops_m"]
    True

    Args:
        evaluators: By the name that qualifies their metrics; of metrics with the same plain
            name the first evaluator's goes by it.
        metrics: Plain names or ``<name>.<metric>``; that is what the metrics are called in the
            result and what objectives and constraints are written with. If ``None``, all.

    Raises:
        ValueError: `evaluators` or `metrics` is empty, or a metric comes twice.
        UnknownNameError: A metric is not known; suggests the nearest.
        TypeError: `evaluators` is no dictionary.
    """
    if not isinstance(evaluators, Mapping):
        raise TypeError(
            f"`evaluators` must be a dictionary of evaluators by name, got {shown(evaluators)}"
        )
    if metrics is None:
        taken: dict[str, Origin] = {}
        for found in _origins(evaluators):
            taken[found.qualified if found.metric.name in taken else found.metric.name] = found
        metrics = tuple(taken)
    return Combined(FrozenDict(evaluators), tuple(metrics))


def same_data(sources: Mapping[str, Evaluator]) -> dict[str, Evaluator]:
    """The evaluators with networks for one kind of image: that of the data set among them.

    Raises:
        ValueError: Two have data sets of different shapes, or one was told another shape.
    """
    shape = _first(found.data_shape for found in sources.values())
    if shape is None:
        return dict(sources)
    return {name: found.for_data(shape) for name, found in sources.items()}


def origin(name: str, sources: Mapping[str, Evaluator]) -> Origin:
    """Whose metric a plain or qualified name means.

    Raises:
        UnknownNameError: Nobody has it; suggests the nearest.
    """
    known = _origins(sources)
    for found in known:
        if name == found.metric.name:
            return found
    for found in known:
        if name == found.qualified:
            return found
    raise unknown_name("metric", name, metric_names(sources))


def metric_names(sources: Mapping[str, Evaluator]) -> list[str]:
    """Every name a metric can be asked for by: the plain ones, then the qualified ones."""
    known = _origins(sources)
    names = [*(found.metric.name for found in known), *(found.qualified for found in known)]
    return list(dict.fromkeys(names))


def source_of(evaluator: Evaluator) -> str:
    """Where an evaluator's numbers come from."""
    return as_evaluator(evaluator).source


def _first(shapes: Iterable[tuple[int, ...] | None]) -> tuple[int, ...] | None:
    return next((shape for shape in shapes if shape is not None), None)


def _plain(names: Mapping[str, Origin]) -> dict[str, str]:
    return {name: found.metric.name for name, found in names.items()}


def _origins(sources: Mapping[str, Evaluator]) -> list[Origin]:
    return [Origin(name, metric) for name, found in sources.items() for metric in found.metrics]
