"""``--warm-start``: a strategy whose first proposals are ranked by cheap scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nas_plugins._frozen import FrozenDict
from nas_plugins.composition import SEPARATOR
from nas_plugins.errors import unknown_name
from nas_plugins.protocols import Strategy
from nas_plugins.runner.options import as_usage, options_by_source, options_of
from nas_plugins.strategies.warm_start import WarmStart, kind_of

OPTION = "--warm-start-option"
_OWN = ("metrics", "pool")


@dataclass(frozen=True)
class WarmStartPlan:
    """What a warm start was asked for; plain data.

    Attributes:
        evaluator: Name of an evaluator, or of a benchmark.
        trials: How many trials come from it; ``None`` for the usual number.
        options: ``metrics``, ``pool``, and options of the evaluator as ``<name>.<key>``.
    """

    evaluator: str
    trials: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """What resumed runs must share."""
        return {"evaluator": self.evaluator, "trials": self.trials, **self.options}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> WarmStartPlan:
        """Reads what `to_json` wrote."""
        options = {k: v for k, v in data.items() if k not in ("evaluator", "trials")}
        return cls(data["evaluator"], data["trials"], options)

    def around(self, strategy: Strategy) -> WarmStart:
        """The strategy with the warm start before it.

        Raises:
            NasPluginsError: A name or option is unknown, a value is wrong, a file is absent.
        """
        family = self.evaluator.partition("/")[0]
        own = {key: value for key, value in self.options.items() if SEPARATOR not in key}
        for key in own:
            if key not in _OWN:
                raise unknown_name("option of --warm-start", key, [*_OWN, f"{family}.{key}"])
        theirs = {key: value for key, value in self.options.items() if key not in own}
        options = options_by_source(theirs, [family], OPTION)[family]
        if isinstance(own.get("metrics"), str):
            own["metrics"] = own["metrics"].split(",")
        if self.trials is not None:
            own["n"] = self.trials
        wrong = (TypeError, ValueError)
        with options_of(kind_of(self.evaluator), family, options), as_usage("--warm-start", wrong):
            return WarmStart(strategy, self.evaluator, options=FrozenDict(options), **own)


__all__ = ["OPTION", "WarmStartPlan"]
