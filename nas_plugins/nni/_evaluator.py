"""Any of our evaluators as an NNI evaluator, without a network where it needs none."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import nni
from nni.nas.evaluator import Evaluator as NNIEvaluator

from nas_plugins import _public
from nas_plugins._secrets import learn_from, learn_from_environment, masked, without_passwords
from nas_plugins.errors import EvaluationError, NasPluginsError, unknown_name
from nas_plugins.history import Objective, objectives_of
from nas_plugins.nni._samples import adapted
from nas_plugins.nni.secret_options import put_aside, put_back
from nas_plugins.protocols import Benchmark, Evaluator, Metric, as_evaluator

DEFAULT = "default"
"""The metric that NNI sorts by and maximises."""

REASON = "nas_plugins:reason"
"""In the last intermediate result of a model that failed: one sentence that tells why."""

_FAVOURITE = "val_accuracy"


def evaluator(
    target: str | Evaluator,
    *,
    objectives: Sequence[Objective | str] | None = None,
    on_network: bool | None = None,
    **options: Any,
) -> ArchitectureEvaluator:
    """Makes an NNI evaluator of a benchmark or an evaluator of ours.

    A table, a closed form or a surrogate is asked about the architecture that the sample stands
    for, and no network is built. Zero-cost proxies, training and measured latency get the network
    that NNI builds from the model space.

    It reports all metrics as plain floats by name, and as ``"default"`` the first objective,
    negated if it is minimised. An architecture that cannot be evaluated fails with an error that
    says why. Our strategies go on; for NNI's own in the sequential engine set
    ``config.execution_engine.continue_on_failure = True``.

    Args:
        target: Name of a benchmark (``"nasbench201/cifar10"``) or of a registered evaluator
            (``"zero-cost"``), or an object.
        objectives: Metrics such as ``"latency_ms:min"``, or ``"latency_ms"`` for the better
            direction, for a strategy that is not told its own; by default ``val_accuracy``, or
            else the first metric unless that is measured on test data.
        on_network: Whether `target` judges the network that NNI builds rather than the
            architecture. ``None`` knows it of the evaluators of this package; say it of your own.
        **options: Options of the benchmark or evaluator, for a name only. ``zero-cost`` keeps no
            scores on disk unless ``cache=True``.

    Raises:
        UnknownNameError: A name or metric is not known; suggests the nearest.
        TypeError: Options are given beside an object, or `target` cannot evaluate.
        ValueError: An objective is malformed or comes twice.
        DataError: A table is absent or not intact; says what to download and where.
    """
    return ArchitectureEvaluator(
        target, objectives=objectives, on_network=on_network, options=options
    )


class ArchitectureEvaluator(NNIEvaluator):  # type: ignore[misc]
    """What `evaluator` makes; the arguments are described there.

    For the training service it is written as its arguments, so that a trial process opens the
    table or evaluator anew. Options whose names tell a secret are written as names of environment
    variables (``NAS_PLUGINS_SECRET_API_KEY``), which this sets and local trial processes inherit;
    set them yourself where trials run on other machines. An object is written as its name if it
    is a benchmark, otherwise pickled, which NNI limits to 4,096 bytes: prefer names.
    """

    def __init__(
        self,
        target: str | Evaluator,
        *,
        objectives: Sequence[Objective | str] | None = None,
        on_network: bool | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self._target, self._on_network = target, on_network
        self._options = dict(options or {})
        learn_from_environment()
        learn_from(self._options)
        put_aside(self._options)  # now, as an experiment may begin before this is written
        self._evaluator = _opened(target, self._options)
        known = {metric.name: metric for metric in self._evaluator.metrics}
        if DEFAULT in known:
            raise ValueError(f"`target` must not have a metric named {DEFAULT!r}, which is NNI's")
        self._objectives = _objectives(objectives, known)
        self._adapted = adapted(self._evaluator, on_network)

    @property
    def evaluator(self) -> Evaluator:
        """The evaluator that is asked."""
        return self._evaluator

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What a strategy optimises that has no objectives of its own."""
        return self._objectives

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What is reported beside ``"default"``."""
        return self._evaluator.metrics

    @property
    def source(self) -> str:
        """Where the numbers come from, for reports."""
        return self._evaluator.source

    def evaluate(self, model: Any) -> dict[str, float]:
        """Refuses: a network alone does not tell which architecture it is.

        Raises:
            TypeError: Always. What NNI executes are frozen executable models, which do tell.
        """
        raise TypeError(
            "`model` must be a frozen executable model, as a network alone does not tell which "
            "architecture it is: SimplifiedModelSpace.from_model(space, evaluator)"
            ".freeze(sample).execute()"
        )

    def _execute(self, model: Any) -> dict[str, float]:
        """Evaluates a frozen executable model space and reports the metrics to NNI."""
        try:
            values = self._adapted.evaluate_reporting(model, self._report)
            metrics = self._reported(values)
        except Exception as error:
            # Nothing else than a metric travels from a trial process to the strategy.
            nni.report_intermediate_result({DEFAULT: 0.0, REASON: _reason(error)})
            if without_passwords(str(error)) != str(error):  # NNI writes what is raised to files
                raise EvaluationError(_reason(error)) from None
            raise
        nni.report_final_result(metrics)
        return metrics

    def _report(self, step: int, metrics: Mapping[str, float]) -> None:
        if math.isfinite(float(metrics.get(self._objectives[0].name, math.nan))):
            nni.report_intermediate_result(self._with_default(_floats(metrics)))

    def _reported(self, values: Mapping[str, float]) -> dict[str, float]:
        for objective in self._objectives:
            try:
                value = float(values[objective.name])
            except KeyError:
                raise EvaluationError(
                    f"the evaluator returned no metric {objective.name!r}; it returned "
                    f"{sorted(values)}"
                ) from None
            if not math.isfinite(value):
                raise EvaluationError(f"metric {objective.name!r} is {value}")
        return self._with_default(_floats(values))

    def _with_default(self, metrics: dict[str, float]) -> dict[str, float]:
        first = self._objectives[0]
        # Adding zero turns -0.0 into 0.0.
        return {DEFAULT: -first.sign * metrics[first.name] + 0.0, **metrics}

    # -- serialisation ---------------------------------------------------------------------

    def _dump(self) -> dict[str, Any]:
        return {
            "target": self._written,
            "objectives": [str(objective) for objective in self._objectives],
            "on_network": self._on_network,
            "options": put_aside(self._options),
        }

    @classmethod
    def _load(cls, **written: Any) -> ArchitectureEvaluator:
        return cls(written.pop("target"), options=put_back(written.pop("options")), **written)

    @property
    def _written(self) -> str | Evaluator:
        """The name of a benchmark, otherwise what was given."""
        return self._target.name if isinstance(self._target, Benchmark) else self._target

    def __reduce__(self) -> tuple[Callable[..., ArchitectureEvaluator], tuple[Any, ...]]:
        return _read, (type(self), self._dump())

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._dump() == other._dump()

    def __hash__(self) -> int:
        return hash((type(self), self._objectives, repr(self._options)))

    def extra_repr(self) -> str:
        """Target, objectives and options, for NNI's ``repr``."""
        options = "".join(f", {name}={value!r}" for name, value in masked(self._options).items())
        return f"{self._written!r}, objectives={list(map(str, self._objectives))}{options}"


def _read(cls: type[ArchitectureEvaluator], written: dict[str, Any]) -> ArchitectureEvaluator:
    return cls._load(**written)


# -- opening ------------------------------------------------------------------------------------


def _opened(target: str | Evaluator, options: Mapping[str, Any]) -> Evaluator:
    if not isinstance(target, str):
        if options:
            raise TypeError(f"an evaluator object takes no options, got {sorted(options)}")
        try:
            return as_evaluator(target)
        except TypeError:
            raise TypeError(
                "`target` must be a name, or an evaluator with `metrics` and `evaluate`, got "
                f"{type(target).__name__}; NNI's own evaluators are used as they are"
            ) from None
    # A model space may change without a new name, and what is kept would not notice.
    return _public.measuring(target, "model space", **options)


def _objectives(
    given: Sequence[Objective | str] | None, known: Mapping[str, Metric]
) -> tuple[Objective, ...]:
    words = [_default(known)] if given is None else given
    found = objectives_of([_completed(word, known) for word in words])
    for objective in found:
        if objective.name not in known:
            raise unknown_name("metric", objective.name, known)
    return found


def _completed(word: Objective | str, known: Mapping[str, Metric]) -> Objective | str:
    """An objective of a metric's own direction, where a name alone is given."""
    if isinstance(word, str) and ":" not in word:
        if word not in known:
            raise unknown_name("metric", word, known)
        return Objective(word, known[word].direction)
    return word


def _default(known: Mapping[str, Metric]) -> str:
    name = _FAVOURITE if _FAVOURITE in known else next(iter(known), "")
    if not name or "test" in name.split("_"):
        offered = ", ".join(f"{metric.name}:{metric.direction}" for metric in known.values())
        raise ValueError(
            "`objectives` must be given, as nothing is chosen by test data unless you say so; "
            f"there are {offered or 'no metrics'}"
        )
    return name


def _reason(error: Exception) -> str:
    text = without_passwords(" ".join(str(error).split()))
    return text if isinstance(error, NasPluginsError) else f"{type(error).__name__}: {text}"


def _floats(values: Mapping[str, float]) -> dict[str, float]:
    """Finite values as plain floats: NNI takes no others, and JSON has no others."""
    plain = {str(name): float(value) for name, value in values.items()}
    return {name: value for name, value in plain.items() if math.isfinite(value)}
