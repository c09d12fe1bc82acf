"""Optuna's distributions: which of them are decisions, and drawing from the others."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, Trial, TrialState

from nas_plugins import _public
from nas_plugins._wording import excerpt
from nas_plugins.errors import EngineError, InvalidArchitectureError
from nas_plugins.optuna import compat
from nas_plugins.spaces.base import Choice, Decision, SearchSpace
from nas_plugins.spaces.categorical import CategoricalSpace
from nas_plugins.spaces.values import identity, is_plain, plain

MAX_VALUES = 4096
"""A range of at most so many values counts as a decision."""

_HUGE = 2**53
_MANY_CHOICES = 1000
"""Optuna compares the choices of distributions one by one, several times per trial."""

_OTHER_CHOICES = (
    "study {0!r} has {1!r} with the choices {2}, not {3}, and Optuna lets none change; "
    "`nas_plugins.optuna.continue_study` goes on with its trials in another space"
)


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """The open decisions that Optuna can be told of; a fresh dictionary.

    An objective may ask for the others in several ways: numbers in order as a range or one by
    one, tuples as they are or, from a file, as lists. They are handed out by their index.
    """
    return {
        decision.name: CategoricalDistribution(decision.choices)
        for decision in space.decisions
        if len(decision.choices) > 1 and not _by_index(decision)
    }


def _by_index(decision: Decision) -> bool:
    in_order = decision.ordered and not any(isinstance(c, str) for c in decision.choices)
    return not decision.is_plain or in_order or len(decision.choices) > _MANY_CHOICES


def is_relative(distribution: BaseDistribution) -> bool:
    """Whether a decision's distribution stays what it is in every storage."""
    if not isinstance(distribution, CategoricalDistribution):
        return True
    found = distribution.choices
    return len(found) <= _MANY_CHOICES and all(is_its_label(c) for c in found)


def as_space(
    space: SearchSpace | str | Mapping[str, Sequence[Choice] | BaseDistribution],
) -> SearchSpace:
    """A space given as it is, by its registered name, or by the choices of its decisions.

    The choices of a decision may be given as a distribution of Optuna's, e.g. an integer range.

    Raises:
        UnknownNameError: The name is not registered; the message suggests the nearest.
        TypeError: It is none of these.
        ValueError: A distribution is continuous, or a range of more than 4,096 values.
    """
    if isinstance(space, str):
        return _public.space(space)
    if isinstance(space, Mapping):
        given = {name: _given(name, values) for name, values in space.items()}
        ranged = [n for n, v in space.items() if isinstance(v, (range, *_RANGES))]
        return CategoricalSpace(given, ordered=ranged)
    if not isinstance(space, SearchSpace):
        raise TypeError(
            f"`space` must be a space, its name or a dictionary of choices, got {space!r}"
        )
    return space


_RANGES = (IntDistribution, FloatDistribution)


def _given(name: str, values: Sequence[Choice] | BaseDistribution) -> Sequence[Choice]:
    if not isinstance(values, BaseDistribution):
        return values
    if isinstance(values, CategoricalDistribution):
        return values.choices
    found = _values(values)
    if not found:
        raise ValueError(
            f"`space` must give decision {name!r} at most {MAX_VALUES:,} values, got {values}; "
            "leave it out of `space`, and it is sampled beside the architecture"
        )
    return found


def check(space: SearchSpace) -> SearchSpace:
    """Returns a space whose choices Optuna can keep.

    Raises:
        ValueError: Two choices of a decision are equal in Python, such as 1 and True. Optuna
            would record both as the first.
    """
    for decision in space.decisions:
        known: dict[Choice, Choice] = {}
        for choice in decision.labels:
            if choice in known:
                raise ValueError(
                    f"`space` must have choices that Optuna can tell apart; those of "
                    f"{decision.name!r} of {space!r} hold {known[choice]!r} and {choice!r}, "
                    "which are equal: write one of them as text"
                )
            known[choice] = choice
    return space


def suggest(trial: Trial, decision: Decision) -> Any:
    """Asks a trial for a choice of a decision, or its label where storages cannot keep it."""
    asked = asked_as(decision)
    if isinstance(asked, IntDistribution):
        return trial.suggest_int(decision.name, asked.low, asked.high, step=asked.step)
    return trial.suggest_categorical(decision.name, decision.labels)


def asked_as(decision: Decision) -> IntDistribution | CategoricalDistribution:
    """How `suggest` asks: for whole numbers in order, at equal distances, as a range."""
    found = decision.choices
    if decision.ordered and len(found) > 1 and all(type(c) is int for c in found):
        step = found[1] - found[0]
        if step > 0 and found == tuple(range(found[0], found[-1] + 1, step)):
            return IntDistribution(found[0], found[-1], step=step)
    return CategoricalDistribution(decision.labels)


def is_its_label(choice: Choice) -> bool:
    """Whether every storage keeps a choice as it is."""
    return is_plain(choice) and not isinstance(choice, np.generic)


def space_of(search_space: Mapping[str, BaseDistribution]) -> CategoricalSpace | None:
    """The space of all parameters that are decisions, in order of their names.

    Returns:
        ``None`` where no parameter is a decision.
    """
    found = [decision_of(name, search_space[name]) for name in sorted(search_space)]
    decisions = [decision for decision in found if decision is not None]
    return CategoricalSpace(decisions) if decisions else None


class Parameters:
    """All parameters of a study, kept up to date at the cost of what is new.

    Those of the complete trials, also where some trials have others than the rest: an objective
    may ask for a parameter only if another has a certain value. While no trial that has
    parameters is complete, those of all trials in any state. Parameters whose distributions
    differ are left out.
    """

    def __init__(self) -> None:
        self._looked = 0
        self._open: list[int] = []
        self._complete = _Union()

    def of(self, trials: Sequence[FrozenTrial]) -> dict[str, BaseDistribution]:
        """The parameters; a fresh dictionary.

        Args:
            trials: All trials of the study, in order of number.
        """
        while self._looked < len(trials) and trials[self._looked].number == self._looked:
            self._open.append(self._looked)
            self._looked += 1
        there = self._open[: bisect_left(self._open, len(trials))]
        for trial in compat.apart(map(trials.__getitem__, there))[0]:
            if trial.state.is_finished():
                self._open.remove(trial.number)
                if trial.state == TrialState.COMPLETE:
                    self._complete.add(trial.distributions)
        if self._complete.found:
            return dict(self._complete.found)
        every = _Union()
        for trial in trials:
            every.add(trial.distributions)
        return every.found


class _Union:
    """Distributions by name, without those that contradict each other."""

    def __init__(self) -> None:
        self.found: dict[str, BaseDistribution] = {}
        self._differ: set[str] = set()

    def add(self, distributions: Mapping[str, BaseDistribution]) -> None:
        for name, distribution in distributions.items():
            if name in self._differ:
                continue
            if not same(self.found.setdefault(name, distribution), distribution):
                self._differ.add(name)
                del self.found[name]


def same(first: BaseDistribution, second: BaseDistribution) -> bool:
    """Whether distributions are equal; Optuna's own comparison takes 0.15 s for 70,000 choices."""
    if first is second:
        return True
    if isinstance(first, CategoricalDistribution) and isinstance(second, CategoricalDistribution):
        if len(first.choices) != len(second.choices):
            return False
        if first.choices == second.choices:
            return True
    return bool(first == second)


def decision_of(name: str, distribution: BaseDistribution) -> Decision | None:
    """A parameter as a decision; ``None`` for a continuous one, a long range or a single value.

    Categorical parameters are decisions, and ranges of at most 4,096 values, whose order counts.
    """
    found = choices(distribution)
    return Decision(name, found, isinstance(distribution, _RANGES)) if found else None


def is_decision(distribution: BaseDistribution) -> bool:
    """Whether `decision_of` a parameter is one."""
    if isinstance(distribution, CategoricalDistribution):
        first = _recorded_as(distribution.choices[0])
        return any(_recorded_as(choice) != first for choice in distribution.choices[1:])
    return not distribution.single() and 0 < _length(distribution) <= MAX_VALUES


def choices(distribution: BaseDistribution) -> tuple[Choice, ...]:
    """The choices of a parameter that is a decision; empty for any other parameter.

    Of choices that Optuna records as the same, such as 1 and True, the first alone.
    """
    if distribution.single():
        return ()
    if isinstance(distribution, CategoricalDistribution):
        found = tuple(distribution.choices[i] for i in _recorded(distribution))
        return found if len(found) > 1 else ()
    return _values(distribution)


def mistaken(distribution: BaseDistribution) -> list[tuple[Choice, Choice]]:
    """Choices that Optuna records as another, which is not the same to a reader: 1 and True."""
    if not isinstance(distribution, CategoricalDistribution):
        return []
    first: dict[Any, Choice] = {}
    pairs = []
    for choice in distribution.choices:
        if is_plain(choice):
            kept = first.setdefault(choice, choice)
            if identity(plain(kept)) != identity(plain(choice)):
                pairs.append((kept, choice))
    return pairs


def value(distribution: BaseDistribution, decision: Decision, index: int) -> Any:
    """What a distribution calls a choice of a decision, in the type that it has there.

    Raises:
        InvalidArchitectureError: The distribution does not have it.
    """
    choice = decision.choices[index]
    if isinstance(distribution, CategoricalDistribution):
        same_place = distribution.choices[index : index + 1]
        if same_place and identity(plain(same_place[0])) == identity(choice):
            return same_place[0]
        offered = Decision(decision.name, choices(distribution) or distribution.choices[:1])
        try:
            at = offered.index(choice)
        except InvalidArchitectureError:
            at = offered.index(decision.labels[index])
        return distribution.choices[_recorded(distribution)[at]]
    if isinstance(distribution, _RANGES) and isinstance(choice, (int, float)):
        number = int(choice) if isinstance(distribution, IntDistribution) else float(choice)
        if number == choice and distribution._contains(number):
            return number
    raise InvalidArchitectureError(f"decision {decision.name!r} has no choice {choice!r}")


def _recorded(distribution: CategoricalDistribution) -> list[int]:
    """Positions of the choices that Optuna records as themselves, not as one before them."""
    first: dict[Any, int] = {}
    for i, choice in enumerate(distribution.choices):
        first.setdefault(_recorded_as(choice), i)
    return list(first.values())


def _recorded_as(choice: Choice) -> Any:
    """What is equal for choices that Optuna records as the same: 1 and True are equal."""
    return choice if is_plain(choice) else identity(plain(choice))


def _length(distribution: BaseDistribution) -> int:
    """How many values a range has; 0 for one that is continuous or none."""
    if isinstance(distribution, IntDistribution):
        return (distribution.high - distribution.low) // distribution.step + 1
    if isinstance(distribution, FloatDistribution) and distribution.step is not None:
        return round((distribution.high - distribution.low) / distribution.step) + 1
    return 0


def _values(distribution: BaseDistribution) -> tuple[Choice, ...]:
    """The values of a range in order; empty where it has too many."""
    length = _length(distribution)
    if not 0 < length <= MAX_VALUES:
        return ()
    if isinstance(distribution, IntDistribution):
        return tuple(range(distribution.low, distribution.high + 1, distribution.step))
    assert isinstance(distribution, FloatDistribution)
    # In decimals, as 0.1 + 0.2 is not 0.3.
    low, step = Decimal(str(distribution.low)), Decimal(str(distribution.step))
    return tuple(float(low + i * step) for i in range(length))


def draw(distribution: BaseDistribution, rng: np.random.Generator) -> Any:
    """Draws a value uniformly (log-uniformly where the distribution says so).

    Returns:
        A plain Python value, in range and on the distribution's step.
    """
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[_below(len(distribution.choices), rng)]
    if isinstance(distribution, IntDistribution):
        return _draw_int(distribution, rng)
    if isinstance(distribution, FloatDistribution):
        return _draw_float(distribution, rng)
    raise TypeError(f"unknown distribution {type(distribution).__name__}")


def huge(distribution: BaseDistribution) -> bool:
    """Whether a range has more integers than Optuna's own samplers can draw from."""
    if not isinstance(distribution, IntDistribution):
        return False
    return max(abs(distribution.low), abs(distribution.high)) >= _HUGE


def _draw_int(distribution: IntDistribution, rng: np.random.Generator) -> int:
    low, high = distribution.low, distribution.high
    if distribution.log:
        value = round(math.exp(rng.uniform(math.log(low - 0.5), math.log(high + 0.5))))
        return min(max(value, low), high)
    return low + distribution.step * _below((high - low) // distribution.step + 1, rng)


def _draw_float(distribution: FloatDistribution, rng: np.random.Generator) -> float:
    low, high, step = distribution.low, distribution.high, distribution.step
    if step is not None:
        return min(low + step * _below(round((high - low) / step) + 1, rng), high)
    if distribution.log:
        value = math.exp(rng.uniform(math.log(low), math.log(high)))
    else:
        share = rng.random()
        value = low * (1 - share) + high * share  # `high - low` may overflow
    return float(min(max(value, low), high))


def _below(n: int, rng: np.random.Generator) -> int:
    """A uniform integer in 0..n-1, for `n` of any size."""
    if n < 2**63:
        return int(rng.integers(n))
    return int.from_bytes(rng.bytes(n.bit_length() // 8 + 16), "little") % n


def refuse_other_choices(
    study: str, known: Mapping[str, BaseDistribution], wanted: Mapping[str, BaseDistribution]
) -> None:
    """Refuses decisions that the trials of a study have with other choices than the space.

    Optuna would raise as soon as the objective asks, and name neither.

    Args:
        study: Its name.
        known: The parameters of its trials.
        wanted: Those of the space.

    Raises:
        EngineError: Names the first, both lists, and what to do.
    """
    for name in known.keys() & wanted.keys():
        found, asked = known[name], wanted[name]
        if (
            isinstance(found, CategoricalDistribution)
            and isinstance(asked, CategoricalDistribution)
            and not same(found, asked)
        ):
            choices = [excerpt(list(one.choices), quotes=False) for one in (found, asked)]
            raise EngineError(_OTHER_CHOICES.format(study, name, *choices))
