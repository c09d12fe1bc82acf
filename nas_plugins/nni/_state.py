"""The trials of one search in an NNI experiment: what strategies see and checkpoints keep.

Knows nothing of NNI. `NNIStrategy` and the tuner both stand on it.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nas_plugins._frozen import FrozenDict
from nas_plugins._plugin_code import shown
from nas_plugins._reading import reason
from nas_plugins._secrets import without_passwords, without_secrets
from nas_plugins.constraints import Constraint
from nas_plugins.engine import proposals
from nas_plugins.errors import EngineError, NasPluginsError
from nas_plugins.history import REASON_NOTE, History, Objective, Trial, TrialState
from nas_plugins.protocols import Strategy
from nas_plugins.spaces.base import Architecture, SearchSpace

_logger = logging.getLogger(__name__)

DEFAULT = "default"
"""The metric that NNI itself looks at, always maximised."""

_FORMAT = 1
_MAX_TAIL = 512
_UNREADABLE = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    OverflowError,
    RecursionError,
    NasPluginsError,
)


@dataclass(frozen=True)
class FrontEntry:
    """One architecture of the Pareto front.

    Attributes:
        trial: The trial, with its architecture, number and notes.
        values: The objectives' values by name, as they were reported.
        metrics: Everything the trial reported.
        sample: The choices as NNI takes them, e.g. for ``ModelSpace.freeze``.
    """

    trial: Trial
    values: FrozenDict[float]
    metrics: FrozenDict[float]
    sample: dict[str, Any] = field(hash=False)

    @property
    def architecture(self) -> Architecture:
        """The architecture."""
        return self.trial.architecture


@dataclass(frozen=True)
class TrialReport:
    """What one trial reported.

    Attributes:
        metrics: The final result by name.
        intermediates: Values of ``default`` that were reported on the way.
    """

    metrics: FrozenDict[float] = field(default_factory=FrozenDict)
    intermediates: tuple[float, ...] = ()

    @property
    def default(self) -> float | None:
        """What NNI sorts by, if it is a number."""
        value = self.metrics.get(DEFAULT)
        return None if value is None or math.isnan(value) else value


class ExperimentLog:
    """All trials of a search, in order of number; safe to use from several threads.

    Args:
        strategy: Proposes.
        space: The space searched.
        objectives: Names and directions.
        constraints: Limits on metrics.
        entropy: Seed. If ``None`` it is drawn, and a restored one is kept.
    """

    def __init__(
        self,
        strategy: Strategy,
        space: SearchSpace,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint] = (),
        *,
        entropy: int | None = None,
    ) -> None:
        self.strategy = strategy
        self.objectives = tuple(objectives)
        self.constraints = tuple(constraints)
        self._given_entropy = entropy
        self.entropy = proposals.fresh_entropy() if entropy is None else entropy
        self._told: set[str] = set()
        self._lock = threading.RLock()
        self._base = History(space, self.objectives)
        self._settled = 0
        self._hanging: set[int] = set()
        self._trials: list[Trial] = []
        self._reports: list[TrialReport] = []

    def __len__(self) -> int:
        return len(self._trials)

    @property
    def space(self) -> SearchSpace:
        """The space searched."""
        return self._base.space

    # -- asking and telling ----------------------------------------------------------------

    def ask(self) -> Trial | None:
        """Lets the strategy choose the next architecture and adds it as a running trial.

        Returns:
            ``None`` where nothing new is left to evaluate.
        """
        number, history = len(self), self.history
        rng = proposals.trial_rng(self.entropy, number)
        choice = proposals.choose(self.strategy, history, rng, told=self._told)
        if choice.exhausted:
            return None
        return self.add(choice.proposal.architecture, notes=choice.proposal.notes)

    def add(self, architecture: Architecture, *, notes: Mapping[str, str] | None = None) -> Trial:
        """Adds a running trial."""
        with self._lock:
            number = len(self._trials)
            clean = {name: without_secrets(text) for name, text in (notes or {}).items()}
            trial = Trial(number, architecture, TrialState.RUNNING, notes=FrozenDict(clean))
            self._trials.append(trial)
            self._reports.append(TrialReport())
            return trial

    def tell(
        self,
        number: int,
        metric: Any,
        *,
        intermediates: Sequence[Any] = (),
        failure: str | None = None,
    ) -> Trial:
        """Ends a running trial; a result that cannot be used makes it a failed one.

        Args:
            number: Number of the trial.
            metric: The final result as it was reported; ``None`` where there was none.
            intermediates: What was reported on the way.
            failure: Why the evaluation failed, if it did.
        """
        metrics: dict[str, float] = {}
        values: tuple[float, ...] = ()
        excess: dict[str, float] = {}
        try:
            if metric is not None:
                metrics = numbers(metric)
            if failure is None:
                if metric is None:
                    raise ValueError("the evaluation reported no final result")
                values = tuple(_value(metrics, o.name) for o in self.objectives)
                excess = {str(c): c.excess(_value(metrics, c.name)) for c in self.constraints}
        except ValueError as error:
            failure = failure or str(error)
        if failure is not None:
            failure = without_passwords(failure)
        state = TrialState.COMPLETE if failure is None else TrialState.FAILED
        with self._lock:
            trial = self._trials[number]
            if trial.state is not TrialState.RUNNING:
                return trial
            notes = dict(trial.notes)
            if failure is not None:
                notes[REASON_NOTE] = failure
                values, excess = (), {}
            ended = replace(
                trial,
                state=state,
                values=values,
                constraints=FrozenDict(excess),
                notes=FrozenDict(notes),
            )
            self._trials[number] = ended
            if number in self._hanging:
                self._unsettle()
            self._reports[number] = TrialReport(FrozenDict(metrics), _on_the_way(intermediates))
        if failure is not None:
            _logger.warning("trial %d (%s) failed: %s", number, trial.architecture, failure)
        return ended

    # -- what there is ---------------------------------------------------------------------

    @property
    def history(self) -> History:
        """All trials; what follows from the finished ones is kept up to date, not made anew.

        Trials that run on far behind the others count as finished, until they end.
        """
        with self._lock:
            forced = len(self._trials) - _MAX_TAIL
            settled: list[Trial] = []
            for trial in self._trials[self._settled :]:
                if trial.state is TrialState.RUNNING:
                    if trial.number >= forced:
                        break
                    self._hanging.add(trial.number)
                settled.append(trial)
            if settled:
                self._settled += len(settled)
                self._base = self._base.extend(settled).derived()
            tail = self._trials[self._settled :]
            return self._base.extend(tail) if tail else self._base

    def _unsettle(self) -> None:
        """Starts over with what follows from the trials."""
        self._base = History(self.space, self.objectives)
        self._settled = 0
        self._hanging.clear()

    def report(self, number: int) -> TrialReport:
        """What a trial reported; empty while it runs."""
        with self._lock:
            return self._reports[number]

    def unfinished(self) -> list[Trial]:
        """The running trials."""
        with self._lock:
            hanging = [self._trials[number] for number in sorted(self._hanging)]
            tail = self._trials[self._settled :]
            return [t for t in (*hanging, *tail) if t.state is TrialState.RUNNING]

    def front(self, sample_of: Callable[[Architecture], dict[str, Any]]) -> list[FrontEntry]:
        """The best trials, in order.

        Args:
            sample_of: The choices of an architecture as NNI takes them.
        """
        names = [objective.name for objective in self.objectives]
        return [
            FrontEntry(
                trial,
                values=FrozenDict(zip(names, trial.values, strict=True)),
                metrics=self.report(trial.number).metrics,
                sample=sample_of(trial.architecture),
            )
            for trial in self.history.front
        ]

    # -- checkpoints -----------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """Returns plain data that `restore` reads back."""
        with self._lock:
            history = History(self.space, self.objectives, tuple(self._trials))
            return {
                "format": _FORMAT,
                "entropy": str(self.entropy),
                "strategy": without_secrets(shown(self.strategy)),
                "history": plain(history.to_json()),
                "metrics": [dict(report.metrics) for report in self._reports],
                "intermediates": [list(report.intermediates) for report in self._reports],
            }

    def restore(self, data: Mapping[str, Any]) -> None:
        """Takes over the trials that `to_json` wrote.

        The recorded seed holds unless one was given. Another strategy may go on with the trials.

        Raises:
            EngineError: The trials are of another space or have other objectives.
        """
        if data.get("format") != _FORMAT:
            raise EngineError(
                f"`format` of a checkpoint must be {_FORMAT}, got {data.get('format')!r}"
            )
        recorded, rows = _recorded(data)
        expected = plain(History(self.space, self.objectives).to_json())
        for key in ("space", "objectives"):
            if recorded.get(key) != expected[key]:
                raise EngineError(
                    f"the checkpoint searches {_short(recorded.get(key))} as `{key}`, "
                    f"not {_short(expected[key])}"
                )
        entropy = _seed(data.get("entropy")) if self._given_entropy is None else self.entropy
        trials, reports = self._read(rows)
        with self._lock:
            self.entropy = entropy
            self._unsettle()
            self._trials, self._reports = trials, reports

    def _read(self, rows: Sequence[tuple[Any, Any, Any]]) -> tuple[list[Trial], list[TrialReport]]:
        """The trials of a checkpoint; those that are none are left out, with one warning."""
        trials: list[Trial] = []
        reports: list[TrialReport] = []
        wrong: list[str] = []
        for written, metrics, intermediates in rows:
            try:
                trial = Trial.from_json(written, self.space, self.objectives)
                report = TrialReport(FrozenDict(numbers(metrics)), _on_the_way(intermediates))
            except _UNREADABLE as error:
                wrong.append(f"trial {len(trials) + len(wrong)}: {reason(error)}")
                continue
            trials.append(replace(trial, number=len(trials)))
            reports.append(report)
        if wrong:
            _logger.warning(
                "%d of %d trials of the checkpoint are left out: %s",
                len(wrong),
                len(rows),
                wrong[0],
            )
        return trials, reports


def _recorded(data: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[tuple[Any, Any, Any]]]:
    """What a checkpoint tells of the whole search; and each trial, its metrics and reports.

    Raises:
        EngineError: It has another form.
    """
    recorded = data.get("history")
    if isinstance(recorded, Mapping):
        columns = recorded.get("trials"), data.get("metrics"), data.get("intermediates")
        lists = [column for column in columns if isinstance(column, list)]
        if len(lists) == len(columns) and len({len(column) for column in lists}) == 1:
            return recorded, list(zip(*lists, strict=True))
    raise EngineError(
        "the checkpoint is damaged: it does not tell of every trial what it reported"
    )


def _seed(written: Any) -> int:
    try:
        seed = int(written)
    except (TypeError, ValueError):
        seed = -1
    if seed < 0:
        raise EngineError(f"the checkpoint is damaged: its seed is {_short(written)}")
    return seed


def numbers(metric: Any) -> dict[str, float]:
    """A reported result as numbers by name; a bare number is called ``default``.

    Entries of a dictionary that are no numbers are left out.

    Raises:
        ValueError: It is neither a number nor a dictionary.
    """
    if isinstance(metric, Mapping):
        found = {str(name): _number(value) for name, value in metric.items()}
        return {name: value for name, value in found.items() if value is not None}
    value = _number(metric)
    if value is None:
        raise ValueError(
            f"the final result must be a number or a dictionary of numbers, got {_short(metric)}"
        )
    return {DEFAULT: value}


def _number(value: Any) -> float | None:
    # NumPy's and PyTorch's scalars are numbers too; a text that reads like one is not.
    if not hasattr(type(value), "__float__"):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):  # an array of several values
        return None


def _value(metrics: Mapping[str, float], name: str) -> float:
    if name not in metrics:
        raise ValueError(
            f"the evaluation reported no metric {name!r}; it reported {sorted(metrics)}"
        )
    if math.isnan(metrics[name]):
        raise ValueError(f"metric {name!r} is not a number")
    return metrics[name]


def _on_the_way(reported: Sequence[Any]) -> tuple[float, ...]:
    values = []
    for metric in reported:
        try:
            found = numbers(metric)
        except ValueError:
            continue
        if DEFAULT in found:
            values.append(found[DEFAULT])
    return tuple(values)


def plain(value: Any) -> Any:
    """Rebuilds nested data from plain types: NNI's labels are a subclass of ``str``.

    Raises:
        TypeError: Something is no plain data.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    raise TypeError(f"`value` must be plain data, got {type(value).__name__}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
