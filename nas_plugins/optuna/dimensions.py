"""Optuna's distributions: which of them are decisions, and drawing from the others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from nas_plugins import _public
from nas_plugins.spaces.base import Choice, SearchSpace
from nas_plugins.spaces.categorical import CategoricalSpace

MAX_INTEGERS = 16
"""An integer range of at most so many values counts as a decision."""


_HUGE = 2**53


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """The open decisions of a space as Optuna sees them; a fresh dictionary."""
    return {
        decision.name: CategoricalDistribution(decision.choices)
        for decision in space.decisions
        if len(decision.choices) > 1
    }


def as_space(space: SearchSpace | str | Mapping[str, Sequence[Choice]]) -> SearchSpace:
    """A space given as it is, by its registered name, or by the choices of its decisions.

    Raises:
        UnknownNameError: The name is not registered; the message suggests the nearest.
        TypeError: It is none of these.
    """
    if isinstance(space, str):
        return _public.space(space)
    if isinstance(space, Mapping):
        return CategoricalSpace(space)
    if not isinstance(space, SearchSpace):
        raise TypeError(
            f"`space` must be a space, its name or a dictionary of choices, got {space!r}"
        )
    return space


def check(space: SearchSpace) -> SearchSpace:
    """Returns a space whose choices Optuna can keep.

    Raises:
        ValueError: Two choices of a decision are equal in Python, such as 1 and True. Optuna
            would record both as the first.
    """
    for decision in space.decisions:
        known: dict[Choice, Choice] = {}
        for choice in decision.choices:
            if choice in known:
                raise ValueError(
                    f"`space` must have choices that Optuna can tell apart; those of "
                    f"{decision.name!r} hold {known[choice]!r} and {choice!r}, which are equal: "
                    f"write one of them as text"
                )
            known[choice] = choice
    return space


def space_of(search_space: Mapping[str, BaseDistribution]) -> CategoricalSpace | None:
    """The space of all parameters that are decisions, in order of their names.

    Returns:
        ``None`` where no parameter is a decision.
    """
    decisions = {name: choices(search_space[name]) for name in sorted(search_space)}
    found = {name: values for name, values in decisions.items() if values}
    return CategoricalSpace(found) if found else None


class Parameters:
    """All parameters of a study, kept up to date at the cost of what is new.

    Those of the complete trials, also where some trials have others than the rest: an objective
    may ask for a parameter only if another has a certain value. While no trial that has
    parameters is complete, those of all trials in any state. Parameters whose distributions
    differ are left out.
    """

    def __init__(self) -> None:
        self._looked = 0
        self._open: set[int] = set()
        self._complete = _Union()

    def of(self, trials: Sequence[FrozenTrial]) -> dict[str, BaseDistribution]:
        """The parameters; a fresh dictionary.

        Args:
            trials: All trials of the study, in order of number.
        """
        while self._looked < len(trials) and trials[self._looked].number == self._looked:
            self._open.add(self._looked)
            self._looked += 1
        for number in sorted(self._open):
            trial = trials[number] if number < len(trials) else None
            if trial is not None and trial.state.is_finished():
                self._open.remove(number)
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
            if self.found.setdefault(name, distribution) != distribution:
                self._differ.add(name)
                del self.found[name]


def choices(distribution: BaseDistribution) -> tuple[Choice, ...]:
    """The choices of a parameter that is a decision; empty for any other parameter.

    Categorical parameters are decisions when their choices are different plain values, and
    integers when their range is short and linear. Where there is one value only, there is
    nothing to decide.
    """
    if distribution.single():
        return ()
    if isinstance(distribution, IntDistribution) and not distribution.log:
        low, high, step = distribution.low, distribution.high, distribution.step
        few = (high - low) // step < MAX_INTEGERS
        return tuple(range(low, high + 1, step)) if few else ()
    if isinstance(distribution, CategoricalDistribution):
        found = distribution.choices
        # Optuna itself does not tell 1 from True or 1.0, and NaN equals nothing.
        plain = all(c is None or isinstance(c, (bool, int, float, str)) for c in found)
        if plain and not any(map(_is_nan, found)) and len(set(found)) == len(found):
            return found
    return ()


def _is_nan(choice: Choice) -> bool:
    return isinstance(choice, float) and math.isnan(choice)


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
