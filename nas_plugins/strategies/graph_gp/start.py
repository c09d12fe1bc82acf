"""What a search starts from: the top of a pool by zero-cost proxies, or random trials.

Synflow and zen see no data, so that the values of one data set do for all of a space.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from nas_plugins import _public
from nas_plugins.errors import DataError, MissingDependencyError, unknown_name
from nas_plugins.numerics.ranks import normal_scores
from nas_plugins.protocols import Evaluator
from nas_plugins.ranked_pool import RankedPool
from nas_plugins.spaces.base import SearchSpace

STARTS = ("auto", "proxies", "random")
RANKED = 3
"""Trials of the start that come from the ranking; more of them spread too little."""

PROXIES = ("synflow", "zen")
POOL = 500
LIVE_POOL = 100
"""Candidates that ``"auto"`` scores live: a network costs 0.2 to 1.3 s, so this takes a minute
or two. A number rather than seconds, as the same seed is to give the same search everywhere.
"""

_logger = logging.getLogger(__name__)


def check_start(start: str) -> None:
    """Whether there is such a start.

    Raises:
        UnknownNameError: There is none; suggests the nearest.
    """
    if start not in STARTS:
        raise unknown_name("`start` of graph-gp", start, STARTS)


def pool_of(
    space: SearchSpace, start: str, size: int | None, task: Mapping[str, Any]
) -> RankedPool | None:
    """What ranks a pool of the space; ``None`` where the start is random.

    With ``"auto"`` networks are scored only where no table answers in their place: an evaluation
    that is looked up costs less than what a proxy would save.

    Args:
        space: The space.
        start: One of `STARTS`.
        size: Candidates; ``None`` for what suits.
        task: What the search is of, as of `Strategy.takes_task`.

    Raises:
        ValueError: ``"proxies"``, but the space has neither published ones nor networks.
        MissingDependencyError: ``"proxies"``, which have to be computed, without PyTorch.
    """
    if start == "random":
        return None
    published = _published(space)
    if published is not None:
        return _pool(published, size or POOL)
    if start == "proxies":
        space.check_network()
        return _pool(_live(), size or POOL)
    if task.get("benchmark") or not _has_networks(space):
        return None
    try:
        return _pool(_live(), size or LIVE_POOL)
    except MissingDependencyError:
        _say_what_is_missing()
        return None


def _pool(evaluator: Evaluator, size: int) -> RankedPool:
    return RankedPool(evaluator, PROXIES, size, "the start of graph-gp", normal_scores)


def _live() -> Evaluator:
    return _public.measuring("zero-cost", "ranking", PROXIES)


def _published(space: SearchSpace) -> Evaluator | None:
    """The table with the proxies of a space, where it is installed."""
    if not space.proxy_table:
        return None
    try:
        return _public.benchmark(space.proxy_table)
    except DataError:
        return None  # its file has not been loaded; proxies can be computed


def _has_networks(space: SearchSpace) -> bool:
    try:
        space.check_network()
    except ValueError:
        return False
    return True


@lru_cache(maxsize=1)  # once in a process
def _say_what_is_missing() -> None:
    _logger.warning(
        "graph-gp starts at random, as PyTorch is not installed; a start by zero-cost proxies "
        "has better architectures among its first ten trials: pip install 'nas-plugins[torch]'"
    )
