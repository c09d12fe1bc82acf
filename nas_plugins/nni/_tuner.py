"""Any strategy as a tuner of NNI's hyperparameter search, where all parameters are choices."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import nni
from nni.tuner import Tuner
from nni.utils import ClassArgsValidator

from nas_plugins import _public
from nas_plugins._checks import at_least
from nas_plugins.constraints import Constraint, constraints_of
from nas_plugins.engine.adapters import Named, named
from nas_plugins.errors import EngineError, InvalidArchitectureError
from nas_plugins.history import History, Objective, objectives_of
from nas_plugins.nni._state import DEFAULT, ExperimentLog, FrontEntry
from nas_plugins.protocols import Strategy
from nas_plugins.spaces.base import Architecture, Choice
from nas_plugins.spaces.categorical import CategoricalSpace
from nas_plugins.strategies.arch_vq.strategy import ArchVQ

_logger = logging.getLogger(__name__)

MAX_INTEGERS = 16
"""A ``randint`` of at most so many values counts as a choice, as under Optuna."""

_DIRECTIONS = {"maximize": "max", "minimize": "min"}


class StrategyTuner(Tuner):  # type: ignore[misc]
    """Tuner of NNI that lets a strategy choose all parameters of a trial jointly.

    Takes search spaces of ``choice``, and of ``randint`` with at most 16 values. A trial may
    report a dictionary: with `objectives` the search is for the Pareto front of these metrics;
    NNI itself shows ``default``. A resumed experiment hands its finished trials back, and the
    search goes on from them.

    Args:
        strategy: Registered name of the strategy, or the strategy.
        optimize_mode: ``"maximize"`` or ``"minimize"``, for ``default``.
        objectives: Metrics as text such as ``"latency_ms:min"``, instead of `optimize_mode`.
        constraints: Limits on metrics as text such as ``"latency_ms<=5"``.
        seed: Seed, a non-negative integer; drawn if ``None``.

    Raises:
        ValueError: An option is out of range.
        UnknownNameError: The name is not registered; the message suggests the nearest.
    """

    def __init__(
        self,
        strategy: Strategy | str = "archive-evolution",
        *,
        optimize_mode: str = "maximize",
        objectives: Sequence[Objective | str] | None = None,
        constraints: Sequence[Constraint | str] = (),
        seed: int | None = None,
    ) -> None:
        super().__init__()
        if optimize_mode not in _DIRECTIONS:
            raise ValueError(
                f"`optimize_mode` must be 'maximize' or 'minimize', got {optimize_mode!r}"
            )
        at_least(0, seed=seed)
        if objectives is None:
            objectives = [Objective(DEFAULT, _DIRECTIONS[optimize_mode])]
        self._strategy = _public.strategy(strategy) if isinstance(strategy, str) else strategy
        self._objectives = objectives_of(objectives)
        self._constraints = constraints_of(constraints)
        self._seed = seed
        self._lock = threading.Lock()
        self._parameters: dict[str, _Parameter] = {}
        self._log: ExperimentLog | None = None
        self._numbers: dict[int, int] = {}
        self._failed: set[int] = set()

    @property
    def history(self) -> History:
        """All trials so far."""
        return self._started.history

    def pareto_front(self) -> list[FrontEntry]:
        """The best parameters so far, as `NNIStrategy.pareto_front` gives them."""
        return self._started.front(self._values)

    # -- what NNI calls --------------------------------------------------------------------

    def update_search_space(self, search_space: Mapping[str, Any]) -> None:
        """Takes the search space; a later one must be the same.

        Raises:
            ValueError: A parameter is neither a ``choice`` nor a short ``randint``.
            EngineError: The space differs from an earlier one.
        """
        parameters = {str(name): _parameter(name, spec) for name, spec in search_space.items()}
        space = CategoricalSpace({name: p.choices for name, p in sorted(parameters.items())})
        with self._lock:
            if self._log is not None:
                if self._log.space != space:
                    raise EngineError("the search space of a running experiment cannot change")
                return
            self._strategy.prepare(space)
            self._parameters = parameters
            self._log = ExperimentLog(
                self._strategy, space, self._objectives, self._constraints, entropy=self._seed
            )

    def generate_parameters(self, parameter_id: int, **kwargs: Any) -> dict[str, Any]:
        """Chooses the parameters of one trial.

        Raises:
            NoMoreTrialError: Nothing new is left.
        """
        log = self._started
        with self._lock:
            trial = log.ask()
            if trial is None:
                raise nni.NoMoreTrialError("every combination has been tried")
            self._numbers[parameter_id] = trial.number
        return self._values(trial.architecture)

    def receive_trial_result(
        self, parameter_id: int, parameters: Mapping[str, Any], value: Any, **kwargs: Any
    ) -> None:
        """Takes a trial's final result, a number or a dictionary of numbers."""
        with self._lock:
            number = self._numbers.get(parameter_id)
        if number is not None:
            self._started.tell(number, value)

    def trial_end(self, parameter_id: int, success: bool, **kwargs: Any) -> None:
        """Marks a trial without a result as failed."""
        with self._lock:
            number = self._numbers.pop(parameter_id, None)
        if number is not None:
            why = None if success else "the trial failed; see its log"
            self._started.tell(number, None, failure=why)

    def import_data(self, data: Sequence[Mapping[str, Any]]) -> None:
        """Takes over finished trials, of a resumed experiment or another one."""
        log = self._started
        taken = 0
        for record in data:
            try:
                architecture = self._architecture(record["parameter"])
            except (InvalidArchitectureError, KeyError, TypeError) as error:
                _logger.warning("an imported trial is left out: %s", error)
                continue
            with self._lock:
                number = log.add(architecture).number
            log.tell(number, record.get("value"))
            taken += 1
        _logger.info("%d trials were imported", taken)

    # -- parts -----------------------------------------------------------------------------

    @property
    def _started(self) -> ExperimentLog:
        if self._log is None:
            raise EngineError("the tuner has no search space yet")
        return self._log

    def _values(self, architecture: Architecture) -> dict[str, Any]:
        choices = architecture.choices
        return {name: p.value(choices[name]) for name, p in self._parameters.items()}

    def _architecture(self, values: Mapping[str, Any] | str) -> Architecture:
        given = json.loads(values) if isinstance(values, str) else values
        chosen = {name: p.choice(given[name]) for name, p in self._parameters.items()}
        return self._started.space.architecture(chosen)


@named(ArchVQ, StrategyTuner)
class ArchVQTuner(Named, StrategyTuner):
    """Tuner that searches the latent space of a learned model with a predictor.

    Known to NNI as ``ArchVQ`` once registered, see `algo_meta`; without registration
    ``CustomAlgorithmConfig(class_name="nas_plugins.nni.ArchVQTuner", class_args={...})``.
    """


class ArchVQTunerOptions(ClassArgsValidator):  # type: ignore[misc]
    """Tells mistakes in the tuner's ``class_args`` before the experiment starts."""

    def validate_class_args(self, **class_args: Any) -> None:
        """Raises what `ArchVQTuner` would."""
        ArchVQTuner(**class_args)


class _Parameter:
    """One parameter: its values as choices of a space.

    Choices are the values themselves where these are plain and differ, their JSON otherwise.
    """

    def __init__(self, values: Sequence[Any]) -> None:
        plain = all(v is None or isinstance(v, (bool, int, float, str)) for v in values)
        write: Callable[[Any], Any] = (lambda value: value) if plain else json.dumps
        self.choices: tuple[Choice, ...] = tuple(write(value) for value in values)
        self._written = {
            (type(c), c): value for c, value in zip(self.choices, values, strict=True)
        }
        self._plain = plain

    def value(self, choice: Choice) -> Any:
        """The value that a trial gets."""
        return self._written[type(choice), choice]

    def choice(self, value: Any) -> Choice:
        """The choice that stands for a value."""
        return value if self._plain else json.dumps(value)


def _parameter(name: str, spec: Any) -> _Parameter:
    kind = spec.get("_type") if isinstance(spec, Mapping) else None
    values = spec.get("_value") if isinstance(spec, Mapping) else None
    if kind == "choice" and isinstance(values, Sequence) and values:
        if any(isinstance(value, Mapping) for value in values):
            raise ValueError(
                f"parameter {name!r}: nested choices are not supported; name every parameter "
                "at the top of the search space"
            )
        return _Parameter(values)
    if kind == "randint" and isinstance(values, Sequence) and len(values) == 2:
        integers = range(int(values[0]), int(values[1]))
        if 1 <= len(integers) <= MAX_INTEGERS:
            return _Parameter(integers)
    raise ValueError(
        f"parameter {name!r} must be a `choice`, or a `randint` of at most {MAX_INTEGERS} "
        f"values, got {spec!r}"
    )
