"""Limits on metrics, such as ``latency_ms<=5``."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

_RELATIONS = ("<=", ">=")
_TEXT = re.compile(r"\s*(?P<name>.+?)\s*(?P<relation><=|>=)\s*(?P<bound>[^<>=]+?)\s*")


@dataclass(frozen=True)
class Constraint:
    """A limit on a metric; written ``name<=bound`` or ``name>=bound``.

    Attributes:
        name: Name of the metric, as evaluators return it.
        relation: ``"<="`` or ``">="``.
        bound: The limit, in the metric's unit.
    """

    name: str
    relation: str
    bound: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "bound", float(self.bound))
        if not self.name:
            raise ValueError("`name` of a constraint must not be empty")
        if self.relation not in _RELATIONS:
            raise ValueError(f"`relation` must be '<=' or '>=', got {self.relation!r}")
        if not math.isfinite(self.bound):
            raise ValueError(f"`bound` of constraint {self.name!r} must be finite")

    def __str__(self) -> str:
        return f"{self.name}{self.relation}{str(self.bound).removesuffix('.0')}"

    @classmethod
    def parse(cls, text: str) -> Constraint:
        """Reads ``name<=bound`` or ``name>=bound``."""
        match = _TEXT.fullmatch(text)
        try:
            if match is not None:
                return cls(match["name"], match["relation"], float(match["bound"]))
        except ValueError as error:
            raise ValueError(f"`constraint` {text!r}: {error}") from error
        raise ValueError(
            f"`constraint` must be written name<=number or name>=number, got {text!r}"
        )

    def excess(self, value: float) -> float:
        """How far `value` is beyond the limit, in the metric's unit; met where <= 0."""
        return value - self.bound if self.relation == "<=" else self.bound - value


def constraints_of(specs: Sequence[Constraint | str]) -> tuple[Constraint, ...]:
    """Reads constraints given as values or as text.

    Raises:
        ValueError: One is malformed or comes twice.
    """
    constraints = tuple(s if isinstance(s, Constraint) else Constraint.parse(s) for s in specs)
    texts = [str(constraint) for constraint in constraints]
    if len(set(texts)) < len(texts):
        raise ValueError(f"`constraints` must differ, got {texts}")
    return constraints
