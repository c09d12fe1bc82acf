"""Who competes: one line per arm, with its options as plain data.

To add an arm or to tune one, edit the tables below; runs are kept by options, so that what has
not changed is not run again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nas_plugins._frozen import FrozenDict

ASKED = "asked"
"""Stands for the language model that was asked for with ``--llm``."""

NULL, OFF = "null", "off"
UNPAID = (NULL, OFF)
"""Values of ``llm`` that ask no model of language."""

TABLE, SURROGATE = "table", "surrogate"
_COEVOLUTION = "llm-coevolution"


@dataclass(frozen=True)
class Arm:
    """One competitor.

    Attributes:
        name: In tables; ``{llm}`` stands for the model's name.
        strategy: Registered name, or that of one of Optuna's samplers.
        options: Its options, JSON values.
        llm: Of a co-evolution: `ASKED`, a model's name or ``"off"``; empty otherwise.
        evaluator: What it searches on: ``"table"``, the true validation accuracy, or
            ``"surrogate"``, a predicted one.
        stock: Whether it is a sampler of Optuna's own.
    """

    name: str
    strategy: str
    options: Mapping[str, Any] = field(default_factory=FrozenDict)
    llm: str = ""
    evaluator: str = TABLE
    stock: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", FrozenDict(self.options))

    @property
    def asks(self) -> bool:
        """Whether it asks a model of language."""
        return bool(self.llm) and self.llm not in UNPAID

    def with_llm(self, llm: str) -> Arm:
        """The arm with the model that was asked for."""
        model = llm if self.llm == ASKED else self.llm
        return replace(self, name=self.name.replace("{llm}", spoken(model)), llm=model)


def spoken(llm: str) -> str:
    """A model's name as tables say it."""
    return {NULL: "null LLM", OFF: "no LLM"}.get(llm, llm)


def _ours(name: str, llm: str = ASKED, evaluator: str = TABLE, **options: Any) -> Arm:
    return Arm(name, _COEVOLUTION, options, llm, evaluator)


RANDOM = Arm("random", "random")
ARCHIVE = Arm("archive evolution", "archive-evolution")

BASELINES = (
    RANDOM,
    ARCHIVE,
    Arm("NSGA-II", "nsga2", {"population_size": 20}, stock=True),
    Arm("TPE", "tpe", stock=True),
)
"""Tables 2 to 4: whom the paper leaves out."""

_HYBRID: dict[str, Any] = {"classical_share": 0.8, "n_initial": 2}
"""Tuned on CIFAR-10, with the null LLM and seeds from 1000 on."""

FULL = _ours("co-evolution, {llm}")

OURS = (
    FULL,
    _ours("co-evolution, null LLM", NULL),
    _ours("operators alone, no LLM", OFF),
    _ours("hybrid, {llm}", **_HYBRID),
    _ours("hybrid, null LLM", NULL, **_HYBRID),
    _ours("hybrid, no LLM", OFF, **_HYBRID),
)
"""Tables 2 to 4: ours."""

ABLATIONS = (
    FULL,
    _ours("no partition", partition="none"),
    _ours("random partition", partition="random"),
    _ours("partition by FLOPs", axis="flops"),
    _ours("no knowledge base", knowledge="off"),
    _ours("rules by statistics", knowledge="statistics"),
    _ours("null LLM", NULL),
    _ours("operators alone, no LLM", OFF),
    _ours("unscreened operators", OFF, candidates=1),
    _ours("hybrid", **_HYBRID),
    ARCHIVE,
    RANDOM,
)
"""Table 5, on the true validation accuracy."""

ON_SURROGATE = (
    _ours("co-evolution, {llm}", evaluator=SURROGATE),
    _ours("no partition", evaluator=SURROGATE, partition="none"),
    replace(ARCHIVE, evaluator=SURROGATE),
    replace(RANDOM, evaluator=SURROGATE),
)
"""Table 5, on the predicted validation accuracy, as the paper searches."""


def chosen(arms: Sequence[Arm], llm: str) -> tuple[Arm, ...]:
    """The arms with the model that was asked for, each only once."""
    found: dict[Arm, Arm] = {}
    for arm in arms:
        resolved = arm.with_llm(llm)
        found.setdefault(replace(resolved, name=""), resolved)
    return tuple(found.values())
