"""One proposal from a strategy: checked, fitted to what is fixed, and new where it can be.

What the engines share. With the same seed and the same history every engine draws the same
random numbers for a trial, and so gets the same proposal.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from nas_plugins._frozen import FrozenDict
from nas_plugins._plugin_code import named_reason, plugin_code, shown, writable
from nas_plugins.errors import (
    InvalidArchitectureError,
    MissingDependencyError,
    PluginError,
    UnknownNameError,
)
from nas_plugins.history import History, Proposal
from nas_plugins.llm.errors import ChatSetupError
from nas_plugins.protocols import Strategy, class_name, owner
from nas_plugins.results import STRATEGY_FAILED
from nas_plugins.sampling import Known, unseen
from nas_plugins.spaces.base import Architecture, Key, SearchSpace

_logger = logging.getLogger(__name__)

FALLBACK_NOTE = "fallback"
"""Name of the note that tells why an architecture is random rather than the strategy's."""

NOTHING_NEW = "the strategy proposed nothing new"
CANNOT_HEAL = (
    ImportError,
    MissingDependencyError,
    NotImplementedError,
    PluginError,
    UnknownNameError,
    ChatSetupError,
)
"""Failures of a strategy that no other trial would be spared of."""

_MAX_FITS = 4
_MAX_ASKED = 4
_MAX_CANDIDATES = 8
_MOST_PROPOSALS = 1000  # so that a generator without an end is none
_MAX_COMPLETIONS = 64
_MAX_LISTED_COMPLETIONS = 2**20


@dataclass(frozen=True)
class Chosen:
    """What to evaluate next.

    Attributes:
        proposal: The architecture and its notes.
        exhausted: Whether it is a repetition because nothing new was left to choose.
        others: Further candidates of the strategy, in its order.
    """

    proposal: Proposal
    exhausted: bool = False
    others: tuple[Proposal, ...] = ()


def fresh_entropy() -> int:
    """A seed from the system's entropy, for a search that was given none."""
    return secrets.randbits(128)


def trial_rng(entropy: int, number: int, *stream: int) -> np.random.Generator:
    """The random numbers of one trial, the same in every engine, process and at every call.

    Args:
        entropy: Seed of the search, >= 0.
        number: Number of the trial, from 0.
        *stream: Distinguishes further uses within the trial.
    """
    return np.random.default_rng([entropy, number, *stream])


def choose(
    strategy: Strategy,
    history: History,
    rng: np.random.Generator,
    *,
    candidates: int = 1,
    told: set[str] | None = None,
) -> Chosen:
    """Asks the strategy for one architecture.

    Where the strategy fails for a reason that may pass (its language model is away), a random
    architecture takes its place, with a note that says why.

    Args:
        strategy: The strategy.
        history: What has been seen; its `fixed` choices hold in the result.
        rng: Source of randomness.
        candidates: How many to ask for; all but the first are the result's `others`.
        told: Failures that have been logged, which grows: each is logged once, with its cause.

    Raises:
        ImportError: A package is missing.
        PluginError: The strategy returns what is no proposal, or ends the process; names it.
        Exception: Of `CANNOT_HEAL`.
    """
    taken: Set[Key] = history.seen if strategy.avoid_duplicates else frozenset()
    reason = NOTHING_NEW
    told = set() if told is None else told
    try:
        asked = history
        for n in [
            candidates,
            *[_MAX_CANDIDATES] * (_MAX_ASKED if isinstance(taken, Known) else 0),
        ]:
            found: list[Proposal] = []
            new: list[Proposal] = []
            for proposal in _fitted(strategy, asked, rng, n):
                found.append(proposal)
                if proposal.architecture.key not in taken:
                    new.append(proposal)
                if len(new) == n:
                    break
            if new:
                return Chosen(new[0], others=tuple(new[1:]))
            if not found:
                break
            asked = asked.avoiding(asked.seen | {p.architecture.key for p in found})
    except CANNOT_HEAL:
        raise
    except Exception as error:
        reason = f"{STRATEGY_FAILED}{named_reason(error)}"
        if reason not in told:
            told.add(reason)
            _logger.exception(
                "%s failed; random architectures stand in while it does", class_name(strategy)
            )
    return choose_at_random(history, rng, taken, reason=reason)


def choose_at_random(
    history: History,
    rng: np.random.Generator,
    taken: Set[Key],
    *,
    reason: str,
) -> Chosen:
    """Draws an architecture that is not taken, or any where none is left.

    Args:
        history: Space and fixed choices.
        rng: Source of randomness.
        taken: Canonical keys to avoid.
        reason: Why the strategy does not decide; becomes a note.
    """
    space, fixed = history.space, history.fixed
    notes = FrozenDict({FALLBACK_NOTE: f"random, as {reason}"})
    found = _new_completion(history, rng, taken) if fixed else unseen(space, 1, rng, taken=taken)
    if found:
        return Chosen(Proposal(found[0], notes))
    try:
        anything = space.complete(fixed, rng)
    except InvalidArchitectureError as error:
        _logger.warning("the fixed parameters admit no architecture and are not met: %s", error)
        anything = space.sample(rng)
    return Chosen(Proposal(anything, notes), exhausted=True)


def _fitted(
    strategy: Strategy, history: History, rng: np.random.Generator, n: int
) -> Iterator[Proposal]:
    """Proposals with the fixed choices put in; several are asked for if there are any."""
    for _ in range(_MAX_FITS if history.fixed else 1):
        proposals = _proposed(strategy, history, rng, n)
        for proposal in proposals:
            fitted = _fit(proposal.architecture, history)
            if fitted is not None:
                yield Proposal(fitted, proposal.notes)
        if not proposals:
            return


def _proposed(
    strategy: Strategy, history: History, rng: np.random.Generator, n: int
) -> list[Proposal]:
    """What the strategy proposes, with notes that can be kept; refuses what is no proposal."""
    with plugin_code(partial(owner, strategy), "fails to propose", passing=Exception):
        found: object = strategy.propose(history, n, rng)
        if isinstance(found, Iterable):
            found = list(islice(found, _MOST_PROPOSALS))
    if not isinstance(found, list):
        raise PluginError(f"{owner(strategy)}: `propose` must return a list, got {shown(found)}")
    return [_checked(strategy, proposal, history.space) for proposal in found]


def _checked(strategy: Strategy, proposal: object, space: SearchSpace) -> Proposal:
    if not isinstance(proposal, Proposal) or not isinstance(proposal.architecture, Architecture):
        raise PluginError(
            f"{owner(strategy)}: `propose` must return proposals, got {shown(proposal)}"
        )
    if proposal.architecture.space != space:
        other = proposal.architecture.space
        raise PluginError(
            f"{owner(strategy)}: `propose` must return architectures of {shown(space)}, "
            f"got one of {shown(other)}"
        )
    given: Mapping[Any, Any] = proposal.notes
    for name, note in given.items():
        if not (isinstance(name, str) and isinstance(note, str)):
            raise PluginError(
                f"{owner(strategy)}: notes must be text by name, got {shown(name)}: {shown(note)}"
            )
    # A language model may return half a surrogate pair, which no storage would take.
    kept = {writable(name): writable(note) for name, note in proposal.notes.items()}
    return (
        proposal if kept == proposal.notes else Proposal(proposal.architecture, FrozenDict(kept))
    )


def _fit(architecture: Architecture, history: History) -> Architecture | None:
    """The architecture with the fixed choices put in; ``None`` where that is not valid."""
    space = history.space
    if not history.fixed:
        return architecture
    try:
        return space.architecture({**architecture.choices, **history.fixed})
    except InvalidArchitectureError:
        return None


def _new_completion(
    history: History, rng: np.random.Generator, taken: Set[Key]
) -> list[Architecture]:
    """At most one architecture that meets the fixed choices and is not taken."""
    space, fixed = history.space, history.fixed
    try:
        for _ in range(_MAX_COMPLETIONS):
            architecture = space.complete(fixed, rng)
            if architecture.key not in taken:
                return [architecture]
    except InvalidArchitectureError:
        return []
    rest = [a for a in _completions(space, history) if a.key not in taken]
    return [rest[rng.integers(len(rest))]] if rest else []


def _completions(space: SearchSpace, history: History) -> Iterator[Architecture]:
    """Every architecture with the fixed choices; none where there are too many to look at."""
    grid = [
        np.array([d.index(history.fixed[d.name])] if d.name in history.fixed else range(n))
        for d, n in zip(space.decisions, space.cardinalities.tolist(), strict=True)
    ]
    if np.prod([float(len(column)) for column in grid]) > _MAX_LISTED_COMPLETIONS:
        return
    rows = np.stack([axis.ravel() for axis in np.meshgrid(*grid, indexing="ij")], axis=1)
    rows = rows.astype(space.row_type)
    for row in rows[space.valid(rows)].tolist():
        yield Architecture(space, tuple(row))
