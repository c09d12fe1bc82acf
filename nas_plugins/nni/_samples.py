"""Evaluators of architectures that take NNI's frozen models instead."""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from collections.abc import Sequence
from typing import Any

from nas_plugins._frozen import FrozenDict
from nas_plugins.composition import Combined
from nas_plugins.errors import InvalidArchitectureError
from nas_plugins.nni._translate import Translator, translator
from nas_plugins.protocols import Evaluator, Metric, Report, measured, measured_reporting
from nas_plugins.spaces.base import Architecture, Decision, SearchSpace
from nas_plugins.spaces.categorical import CategoricalSpace


class OnSamples(Evaluator):
    """An evaluator that takes frozen executable model spaces in place of architectures.

    Args:
        evaluator: Of architectures. If it tells its space, it gets architectures of that.
        on_network: Whether it gets `FrozenModelSpace` architectures.
    """

    def __init__(self, evaluator: Evaluator, *, on_network: bool) -> None:
        self._evaluator, self._on_network = evaluator, on_network
        self._kept: tuple[Any, Translator] | None = None

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Those of the evaluator."""
        return self._evaluator.metrics

    def evaluate(self, models: Sequence[Any]) -> list[dict[str, float]]:
        """Evaluates the architectures of models.

        Raises:
            InvalidArchitectureError: A model is no architecture that the evaluator knows.
        """
        return measured(self._evaluator, [self._architecture(model) for model in models])

    @property
    def reports(self) -> bool:
        """Whether the evaluator does."""
        return self._evaluator.reports

    def evaluate_reporting(self, model: Any, report: Report) -> dict[str, float]:
        """Evaluates the architecture of a model, reporting on the way."""
        return measured_reporting(self._evaluator, self._architecture(model), report)

    def _architecture(self, model: Any) -> Architecture:
        if self._on_network:
            return FrozenModelSpace(model).architectures([[0]])[0]
        architecture = self._translator(model).architecture(model.sample)
        space = self._evaluator.space
        return architecture if space is None else _within(space, architecture)

    def _translator(self, model: Any) -> Translator:
        mutables = _mutables(model)
        if self._kept is None or self._kept[0] is not mutables:
            self._kept = (mutables, translator(_unfrozen(model)))
        return self._kept[1]


def adapted(evaluator: Evaluator, on_network: bool | None) -> Evaluator:
    """The same evaluator, taking models.

    Args:
        evaluator: Of architectures; of a combination every source gets what it needs.
        on_network: Whether it judges the network that NNI builds; ``None`` asks the evaluator.
    """
    if isinstance(evaluator, Combined) and on_network is None:
        sources = {name: adapted(one, None) for name, one in evaluator.sources.items()}
        return Combined(FrozenDict(sources), evaluator.wanted)
    if on_network is None:
        on_network = evaluator.judges_networks
    return OnSamples(evaluator, on_network=on_network)


def _mutables(model: Any) -> Any:
    """What stays the same object from model to model of one search in one process."""
    return getattr(model, "mutables", None) or getattr(model, "model_space", None) or model.model


def _unfrozen(model: Any) -> Any:
    """A model space with the choices that `model` was frozen from."""
    if getattr(model, "mutables", None) is not None and not model.simplify():
        # A model that was sent to a trial process comes without them.
        return model.model.trace_copy().get(traceable=False)
    return model


def _within(space: SearchSpace, architecture: Architecture) -> Architecture:
    """The same architecture in the space that an evaluator knows.

    Raises:
        InvalidArchitectureError: The model space decides more, or other things.
    """
    if architecture.space == space:
        return architecture
    names = {decision.name for decision in space.decisions}
    more = [
        d.name for d in architecture.space.decisions if d.name not in names and len(d.choices) > 1
    ]
    if more:
        raise InvalidArchitectureError(
            f"the evaluator knows the space {space.name!r}, and the model space also decides "
            f"{more[:8]}; fix these, or take an evaluator that judges networks"
        )
    choices = {name: c for name, c in architecture.choices.items() if name in names}
    return space.architecture(choices)


class FrozenModelSpace(CategoricalSpace):
    """The one architecture that a model was frozen to, with the network that NNI builds.

    For evaluators that ask an architecture for its network and nothing else.

    Args:
        model: A frozen executable model space.
    """

    def __init__(self, model: Any) -> None:
        sample = {str(label): value for label, value in model.sample.items()}
        text = json.dumps(sample, sort_keys=True, default=repr)
        SearchSpace.__init__(self, "nni-model", [Decision("sample", (text,))])
        self._model = model

    def to_json(self) -> dict[str, Any]:
        """What tells this model space from others where scores or weights are kept."""
        return {"name": self.name, "options": {"model": _identity(self._model)}}

    def format(self, architecture: Architecture) -> str:
        """The sample as JSON."""
        return str(self.decisions[0].choices[0])

    # Evaluators read off the signature that this network has no settings.
    def network(self, architecture: Architecture) -> Any:  # type: ignore[override]
        """The frozen model as a ``torch.nn.Module``, with fresh weights."""
        return self._model.executable_model()


def _identity(model: Any) -> str:
    """Class and arguments of a model space, and a digest of the module that defines it."""
    origin = getattr(model, "model", None) or getattr(model, "model_space", None)
    symbol = getattr(origin, "trace_symbol", type(origin))
    args = [getattr(origin, name, None) for name in ("trace_args", "trace_kwargs")]
    digest = _DIGESTS.get(symbol.__module__) or _digest(symbol.__module__)
    return f"{symbol.__module__}.{symbol.__qualname__} {args!r} {digest}"


def _digest(module: str) -> str:
    try:
        source = inspect.getsource(sys.modules[module])
    except (KeyError, OSError, TypeError):
        source = ""
    return hashlib.sha256(source.encode()).hexdigest()[:16]


_DIGESTS = {"nas_plugins.nni._space": "202ffad859ba6b9a"}
"""Of the first version of our own module: its words may change, the networks do not.

Change it with the networks, or scores and weights that were kept stand for the old ones.
"""
