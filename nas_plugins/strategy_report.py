"""What a search's strategy says of it: the hooks of `nas_plugins.protocols.Strategy`, asked.

The strategy that the settings name is asked first; where it has nothing to say, or none is named
(a plain Optuna study), every registered strategy is asked whether the history is its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from nas_plugins import registry
from nas_plugins._frozen import FrozenDict
from nas_plugins._plugin_code import shown
from nas_plugins.history import History, Trial
from nas_plugins.protocols import Strategy
from nas_plugins.results import SearchResult
from nas_plugins.sections import Facts, Section, StrategySummary

_logger = logging.getLogger(__name__)

T = TypeVar("T")


def summary_of(
    history: History, settings: Mapping[str, Any], *, only: type[Strategy] | None = None
) -> StrategySummary | None:
    """What the strategy adds to the result of a search; ``None`` where it adds nothing.

    Args:
        history: The search.
        settings: What was asked for.
        only: The strategy, where that is known, so that no other is imported and asked.
    """
    return _first(settings, lambda s: _only(StrategySummary, s.summary(history, settings)), only)


def sections_of(history: History, settings: Mapping[str, Any]) -> tuple[Section, ...]:
    """The strategy's own part of a report; empty where it has none."""
    return _first(settings, lambda s: _sections(s.sections(history, settings))) or ()


def facts_of(history: History, settings: Mapping[str, Any]) -> dict[int, Mapping[str, Facts]]:
    """What the notes of trials say in words: by the trial's number, then the note's name."""
    return _first(settings, lambda strategy: _facts(strategy, history.trials)) or {}


def with_summary(result: SearchResult, *, only: type[Strategy] | None = None) -> SearchResult:
    """The result with the strategy's summary, as of `summary_of`, among its details."""
    summary = summary_of(result.history, result.settings, only=only)
    if summary is None:
        return result
    return replace(result, details=FrozenDict({**result.details, summary.name: summary.data}))


def _only(kind: type[T], found: T | None) -> T | None:
    if not isinstance(found, kind | None):
        raise TypeError(f"expected a {kind.__name__}, got {shown(found)}")
    return found


def _sections(found: tuple[Section, ...]) -> tuple[Section, ...]:
    for section in found:
        _only(Section, section)
    return tuple(found)


def _facts(strategy: type[Strategy], trials: tuple[Trial, ...]) -> dict[int, Mapping[str, Facts]]:
    found = ((trial.number, strategy.facts(trial)) for trial in trials if trial.notes)
    return {number: facts for number, facts in found if facts}


def _first(
    settings: Mapping[str, Any],
    ask: Callable[[type[Strategy]], T],
    only: type[Strategy] | None = None,
) -> T | None:
    """What the first strategy says that has something to say; a broken one is passed over."""
    for name, strategy in _strategies(settings) if only is None else [(only.__name__, only)]:
        try:
            found = ask(strategy)
        except (Exception, SystemExit):  # a report of the trials must not fail for what it adds
            _logger.warning("strategy %r cannot tell of its search", name, exc_info=True)
            continue
        if found:
            return found
    return None


def _strategies(settings: Mapping[str, Any]) -> Iterator[tuple[str, type[Strategy]]]:
    """The registered classes that declare the hooks, the named one first."""
    known = registry.names("strategy")
    named = [name for name in known if name == settings.get("strategy")]
    for name in [*named, *(name for name in known if name not in named)]:
        try:
            strategy = registry.load("strategy", name)
        except Exception:
            _logger.warning("strategy %r cannot be imported", name, exc_info=True)
            continue
        if isinstance(strategy, type) and issubclass(strategy, Strategy):
            yield name, strategy
