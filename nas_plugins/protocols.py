"""The roles a plug-in can play: strategy, evaluator, benchmark.

Everything that a role may have is a member here, with a default, so nothing is looked for
elsewhere. A plug-in subclasses its role and overrides what it knows better. An object that has
only the methods without a default is adapted where it comes in: `as_strategy`, `as_evaluator`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from nas_plugins import registry
from nas_plugins._default import default
from nas_plugins._plugin_code import plugin_code, shown, writable
from nas_plugins.errors import MetricUnavailableError, PluginError, unknown_name
from nas_plugins.history import History, Objective, Proposal, Trial
from nas_plugins.sections import Facts, Section, StrategySummary
from nas_plugins.spaces.base import Architecture, Rows, SearchSpace


@dataclass(frozen=True)
class Metric:
    """One number that an evaluator returns.

    Attributes:
        name: Key in the returned dictionaries, e.g. ``"latency_ms"``.
        unit: E.g. ``"%"``, ``"ms"``, ``"M"``; empty for a pure number.
        direction: ``"min"`` or ``"max"``: which way is better.
        description: What is measured, on what, and how often.
    """

    name: str
    unit: str
    direction: str
    description: str = ""


class MetricValues(dict[str, float]):
    """The metrics of one architecture; a plain dictionary but for what is missing.

    Asking for a metric that was not measured for this architecture raises
    `MetricUnavailableError`; asking for one that the evaluator does not know raises
    `UnknownNameError`, or `KeyError` where nobody is named as the owner. ``in`` and ``get`` work
    as in any dictionary.

    Args:
        values: The measured metrics.
        gaps: Why a metric is missing, by its name: in words, or the error to raise.
        known: Names of all metrics of the evaluator, for messages.
        owner: What was asked, for messages, e.g. ``"benchmark 'nasbench201/cifar10'"``.
    """

    def __init__(
        self,
        values: Mapping[str, float],
        *,
        gaps: Mapping[str, str | Exception] | None = None,
        known: Sequence[str] = (),
        owner: str = "",
    ) -> None:
        super().__init__(values)
        self._gaps = dict(gaps or {})
        self._known = tuple(known)
        self._owner = owner

    def __missing__(self, name: str) -> float:
        gap = self._gaps.get(name)
        if gap is None and not self._owner:
            raise KeyError(name)
        if gap is None:
            raise unknown_name(f"metric of {self._owner}", name, self._known or self)
        raise gap if isinstance(gap, Exception) else MetricUnavailableError(gap)


Report: TypeAlias = Callable[[int, Mapping[str, float]], None]
"""Takes a step, from 1, and the metrics after it; may raise to end the evaluation."""


class Strategy(ABC):
    """Proposes architectures: a pure function of the history, with no run state.

    What must survive between calls is a note on a trial. The same history and the same state
    of `rng` give the same proposals in any process. What is no
    method may be a property, an attribute or a field of a dataclass.

    Attributes:
        asks_language_model: Whether the constructor takes ``llm``, ``llm_options``,
            ``max_calls``, ``max_tokens``, ``max_usd``, ``max_seconds``, ``prices``, ``ledger``,
            ``store`` and ``mode``.
        takes_task: Whether it takes ``task``: a mapping that may tell ``benchmark``,
            ``dataset`` and ``device``.
    """

    asks_language_model: ClassVar[bool] = False
    takes_task: ClassVar[bool] = False

    @default
    def avoid_duplicates(self) -> bool:
        """Whether it wants no architecture twice."""
        return True

    def prepare(self, space: SearchSpace) -> None:  # noqa: B027 - a default that does nothing
        """Loads what it needs for a space now rather than at the first proposal."""

    @abstractmethod
    def propose(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Returns `n` proposals, distinct by canonical key and not in ``history.seen``.

        Fewer may be returned, even none, when the space is exhausted.
        """

    @classmethod
    def summary(cls, history: History, settings: Mapping[str, Any]) -> StrategySummary | None:
        """What a result says beside the trials; nothing by default.

        Nothing, too, where the trials are another strategy's: where it is not known whose they
        are, every registered strategy is asked.

        Args:
            history: The search.
            settings: What was asked for, options of the strategy included.
        """
        return None

    @classmethod
    def sections(cls, history: History, settings: Mapping[str, Any]) -> tuple[Section, ...]:
        """The strategy's own part of a report; nothing by default.

        Nothing, too, where the trials are another strategy's, as for `summary`.

        Args:
            history: The search.
            settings: What was asked for, options of the strategy included.
        """
        return ()

    @classmethod
    def facts(cls, trial: Trial) -> Mapping[str, Facts]:
        """What the strategy's notes on a trial say in words, by the note's name.

        A report shows a note that is not among them as it is.

        Args:
            trial: With notes of this strategy, of others, or of nobody.
        """
        return {}


class Evaluator(ABC):
    """Measures architectures.

    Attributes:
        judges_networks: Whether it asks an architecture for nothing but its network, so that
            it can judge a model of NNI's that no space of ours describes.
        takes_space: Whether the constructor takes ``space``, as that of a table of one space.
    """

    judges_networks: ClassVar[bool] = False
    takes_space: ClassVar[bool] = False

    @classmethod
    def options_for(cls, use: str, metrics: Sequence[str] = ()) -> Mapping[str, Any]:
        """Options that suit a use, for whoever builds it by name; none by default.

        Args:
            use: ``"ranking"``: it ranks a pool of candidates, as a warm start does.
                ``"features"``: its metrics describe architectures to a surrogate.
                ``"model space"``: it judges models of NNI's, which may change without a new name.
            metrics: Those that are asked for; empty where the choice is its own.
        """
        return {}

    @default
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics that `evaluate` returns; every evaluator has its own."""
        raise NotImplementedError(f"{type(self).__name__} must have `metrics`")

    @default
    def source(self) -> str:
        """Where the numbers come from, for reports."""
        return shown(self)

    @default
    def space(self) -> SearchSpace | None:
        """The one space whose architectures it can evaluate; ``None`` where it takes any."""
        return None

    @default
    def data_shape(self) -> tuple[int, ...] | None:
        """Channels, height and width of its own images, if it has any.

        The networks that others measure in the same search take such images then.
        """
        return None

    @default
    def input_shape(self) -> tuple[int, ...] | None:
        """Channels, height and width of what the networks take that it measures, where it does."""
        return None

    def for_data(self, shape: tuple[int, ...]) -> Evaluator:
        """The evaluator whose networks take images of another evaluator's data set.

        Args:
            shape: Channels, height and width.

        Returns:
            Itself, where the shape of the input does not matter or is this one.

        Raises:
            ValueError: It was told to measure another shape, and what to say instead.
        """
        return self

    @default
    def measured_rows(self) -> Rows | None:
        """Choice indices of the only architectures it has values for, `(n, D)`, if few do."""
        return None

    @default
    def reports(self) -> bool:
        """Whether `evaluate_reporting` tells how an evaluation goes."""
        return False

    def check(self, space: SearchSpace) -> None:
        """Refuses a space of which it can measure nothing, before anything is measured.

        Raises:
            ValueError: It is not the evaluator's `space`, or what is missing.
            TypeError: Likewise.
        """
        if self.space is not None and self.space != space:
            raise ValueError(
                f"it measures architectures of {self.space.name!r}, not of {space.name!r}"
                if self.space.name != space.name
                else f"it measures architectures of {self.space!r}, not of {space!r}"
            )

    @abstractmethod
    def evaluate(self, architectures: Sequence[Architecture]) -> list[dict[str, float]]:
        """Returns one dictionary of metrics per architecture, in order."""

    def evaluate_reporting(self, architecture: Architecture, report: Report) -> dict[str, float]:
        """Evaluates one architecture as `evaluate` does, so that a hopeless one can be ended.

        Args:
            architecture: What to evaluate.
            report: Called after every step (an epoch, say) that another one follows, with the
                step, counted from 1, and metrics of the evaluator by name, as far as they are
                known. The last step's are returned. What it raises passes through, after the
                evaluator has freed what it holds. By default it is never called.

        Raises:
            EvaluationError: The architecture could not be evaluated.
        """
        return measured(self, [architecture])[0]


class Benchmark(Evaluator):
    """An evaluator that looks values up, knows its space and possibly the true front.

    Attributes:
        own_metrics: What nothing can stand in for, such as the latency of the device that the
            benchmark's name says.
    """

    own_metrics: ClassVar[frozenset[str]] = frozenset()

    @default
    def name(self) -> str:
        """E.g. ``"nasbench201/cifar10"``; every benchmark has its own."""
        raise NotImplementedError(f"{type(self).__name__} must have `name`")

    @default
    def space(self) -> SearchSpace:
        """The space whose architectures it can evaluate; every benchmark has its own."""
        raise NotImplementedError(f"{type(self).__name__} must have `space`")

    def query(self, architecture: Architecture, metric: str) -> float:
        """Looks one value up, or predicts it.

        Raises:
            UnknownNameError: The benchmark has no such metric.
            MetricUnavailableError: It was not measured for this architecture.
            InvalidArchitectureError: The architecture belongs to another space.
        """
        return measured(self, [architecture])[0][metric]

    def front(self, objectives: Sequence[Objective]) -> npt.NDArray[np.float64] | None:
        """Values of the true Pareto front, `(k, m)`; ``None`` where it is not known."""
        return None

    def column(self, metric: str) -> npt.NDArray[np.float64] | None:
        """All values of one metric, in one order for all metrics, NaN where not measured.

        ``None`` where they cannot be listed.
        """
        return None

    @classmethod
    def tables(cls) -> tuple[str, ...]:
        """Full names of the tables of the family; empty where it has one, called as it is."""
        return ()

    @classmethod
    def stand_in(cls, *table: str) -> str | None:
        """Full name of the benchmark that serves while the files of this one are absent.

        It does not serve for `own_metrics`.

        Args:
            *table: The parts of the name behind the family's.

        Returns:
            ``None`` where the files are there, or nothing takes their place.
        """
        return None


# -- asking a plug-in -----------------------------------------------------------------------------


def owner(plugin: Strategy | Evaluator) -> str:
    """How messages call a plug-in: by its registered name, or by its class."""
    kind = "strategy" if isinstance(plugin, Strategy) else "evaluator"
    if isinstance(plugin, Benchmark):
        kind = "benchmark"
    adapted = isinstance(plugin, _AdaptedStrategy | _AdaptedEvaluator)
    return registry.owner(kind, plugin.given if adapted else plugin)  # type: ignore[union-attr]


def checked_metrics(evaluator: Evaluator) -> tuple[Metric, ...]:
    """The metrics that an evaluator declares.

    Raises:
        PluginError: They are none, or one comes twice; names the evaluator.
    """
    whose = owner(evaluator)
    with plugin_code(whose, "does not tell its `metrics`"):
        metrics = tuple(evaluator.metrics)
    for metric in metrics:
        if not isinstance(metric, Metric):
            raise PluginError(f"{whose}: `metrics` must be `Metric`s, got {shown(metric)}")
        if not isinstance(metric.name, str) or writable(metric.name) != metric.name:
            raise PluginError(f"{whose}: a metric's name must be text, got {shown(metric.name)}")
        if metric.direction not in ("min", "max"):
            raise PluginError(
                f"{whose}: `direction` of metric {metric.name!r} must be 'min' or 'max', "
                f"got {shown(metric.direction)}"
            )
    names = [metric.name for metric in metrics]
    if twice := {name for name in names if names.count(name) > 1}:
        raise PluginError(f"{whose} declares metric {min(twice)!r} twice")
    return metrics


def measured(
    evaluator: Evaluator, architectures: Sequence[Architecture]
) -> list[dict[str, float]]:
    """What an evaluator returns, one dictionary of numbers per architecture.

    Whoever asks an evaluator asks this. What is missing or NaN is the caller's to judge.

    Raises:
        PluginError: It returns anything else, or ends the process; names the evaluator.
        Exception: Of the evaluator.
    """
    whose = partial(owner, evaluator)
    with plugin_code(whose, "fails to evaluate", passing=Exception):
        rows: object = evaluator.evaluate(architectures)
    if not isinstance(rows, Sequence) or isinstance(rows, str | bytes):
        raise PluginError(f"{whose()}: `evaluate` must return a list, got {shown(rows)}")
    if len(rows) != len(architectures):
        raise PluginError(
            f"{whose()}: `evaluate` must return one dictionary per architecture, got {len(rows)} "
            f"for {len(architectures)}"
        )
    for row in rows:
        _refuse_rubbish(whose, row)
    return list(rows)


def measured_reporting(
    evaluator: Evaluator, architecture: Architecture, report: Report
) -> dict[str, float]:
    """The same for one architecture, reporting on the way.

    Raises:
        PluginError: As `measured`.
        Exception: Of the evaluator, or of `report`.
    """
    whose = partial(owner, evaluator)
    with plugin_code(whose, "fails to evaluate", passing=Exception):
        values = evaluator.evaluate_reporting(architecture, report)
    _refuse_rubbish(whose, values)
    return values


def _refuse_rubbish(whose: Callable[[], str], row: object) -> None:
    """Refuses what is no dictionary of numbers by name."""
    if not isinstance(row, Mapping):
        raise PluginError(f"{whose()} must return dictionaries of metrics, got {shown(row)}")
    for name, value in row.items():
        if not isinstance(name, str) or writable(name) != name:
            raise PluginError(f"{whose()}: a metric's name must be text, got {shown(name)}")
        if type(value) is not float and not _is_number(value):
            raise PluginError(f"{whose()}: metric {name!r} must be a number, got {shown(value)}")


def _is_number(value: Any) -> bool:
    """NumPy's and PyTorch's scalars are numbers too; a text that reads like one is not."""
    if not hasattr(type(value), "__float__") or getattr(value, "shape", ()) != ():
        return False
    try:
        float(value)
    except Exception:  # whatever a third party's number raises
        return False
    return True


def as_benchmark(given: Any) -> Benchmark:
    """The benchmark as it is, or an object with the members that have no default made one.

    Raises:
        TypeError: It lacks one of them.
    """
    if isinstance(given, Benchmark):
        return given
    for member in ("name", "space", "metrics", "evaluate"):
        if not hasattr(given, member):
            raise TypeError(f"a benchmark must have `{member}`, got {shown(given)}")
    return _AdaptedBenchmark(given)


def as_strategy(given: Any) -> Strategy:
    """The strategy as it is, or an object with a method `propose` made one.

    Raises:
        TypeError: It has no `propose`, or is a class.
    """
    if isinstance(given, Strategy):
        return given
    if not callable(getattr(given, "propose", None)):
        raise TypeError(f"`strategy` must have a method `propose`, got {shown(given)}")
    if isinstance(given, type):
        raise TypeError(f"`strategy` must be an object, got the class {given.__name__}")
    return _AdaptedStrategy(given)


def class_name(strategy: Strategy) -> str:
    """Name of a strategy's class; of another's object, that of its own."""
    given = strategy.given if isinstance(strategy, _AdaptedStrategy) else strategy
    return type(given).__name__


def as_evaluator(given: Any) -> Evaluator:
    """The evaluator as it is, or an object with `metrics` and `evaluate` made one.

    Raises:
        TypeError: It lacks one of them.
    """
    if isinstance(given, Evaluator):
        return given
    if not (hasattr(given, "metrics") and callable(getattr(given, "evaluate", None))):
        raise TypeError(
            f"`evaluator` must have `metrics` and a method `evaluate`, got {shown(given)}"
        )
    return _AdaptedEvaluator(given)


# The only places that look a member up by name: what another's object has without our classes.


@dataclass(frozen=True, repr=False)
class _AdaptedStrategy(Strategy):
    given: Any

    @property
    def avoid_duplicates(self) -> bool:
        return bool(getattr(self.given, "avoid_duplicates", True))

    def prepare(self, space: SearchSpace) -> None:
        if hasattr(self.given, "prepare"):
            self.given.prepare(space)

    def propose(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        proposals: list[Proposal] = self.given.propose(history, n, rng)
        return proposals

    def __repr__(self) -> str:
        return shown(self.given)


@dataclass(frozen=True, repr=False)
class _AdaptedEvaluator(Evaluator):
    given: Any

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return tuple(self.given.metrics)

    @property
    def source(self) -> str:
        return str(getattr(self.given, "source", None) or shown(self.given))

    @property
    def space(self) -> SearchSpace | None:
        space: SearchSpace | None = getattr(self.given, "space", None)
        return space

    @property
    def data_shape(self) -> tuple[int, ...] | None:
        shape: tuple[int, ...] | None = getattr(self.given, "data_shape", None)
        return shape

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        shape: tuple[int, ...] | None = getattr(self.given, "input_shape", None)
        return shape

    def for_data(self, shape: tuple[int, ...]) -> Evaluator:
        if not hasattr(self.given, "for_data"):
            return self
        return as_evaluator(self.given.for_data(shape))

    @property
    def measured_rows(self) -> Rows | None:
        rows: Rows | None = getattr(self.given, "measured_rows", None)
        return rows

    @property
    def reports(self) -> bool:
        return hasattr(self.given, "evaluate_reporting")

    def evaluate(self, architectures: Sequence[Architecture]) -> list[dict[str, float]]:
        values: list[dict[str, float]] = self.given.evaluate(architectures)
        return values

    def evaluate_reporting(self, architecture: Architecture, report: Report) -> dict[str, float]:
        if not self.reports:
            return measured(self, [architecture])[0]
        values: dict[str, float] = self.given.evaluate_reporting(architecture, report)
        return values

    def __repr__(self) -> str:
        return shown(self.given)


class _AdaptedBenchmark(_AdaptedEvaluator, Benchmark):
    @property
    def name(self) -> str:
        return str(self.given.name)

    @property
    def space(self) -> SearchSpace:
        space: SearchSpace = self.given.space
        return space

    def front(self, objectives: Sequence[Objective]) -> npt.NDArray[np.float64] | None:
        front = getattr(self.given, "front", super().front)
        values: npt.NDArray[np.float64] | None = front(objectives)
        return values

    def column(self, metric: str) -> npt.NDArray[np.float64] | None:
        column = getattr(self.given, "column", super().column)
        values: npt.NDArray[np.float64] | None = column(metric)
        return values
