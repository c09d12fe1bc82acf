"""Who takes part: our search, the baselines, and how many seeds each can afford."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import nas_plugins as nap
from nas_plugins.reproduction.comparison import StrategySpec
from nas_plugins.strategies.warm_start import WarmStart

from . import peers, tables

PROXIES = "graph-gp, published proxies"
LIVE = "graph-gp, live proxies"
PLAIN = "graph-gp, random start"
KNOWN = "graph-gp, latency known"

RANDOM = "random"
LOCAL = "local search"
REGULARISED = "regularised evolution"
ARCHIVE = "archive evolution"
TPE = "TPE"
TPE_OTHER, TPE_JOINT = "TPE, independent", "TPE, multivariate"
"""What is not Optuna's default: that is joint for one objective, independent for several."""

NSGA2 = "NSGA-II"

_FROM_PROXIES = 3
_POOL = 500
_METRICS = ("synflow", "zen")


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        name: In the table.
        make: Gives what `nap.compare` takes as a strategy, when it is needed: it may read files.
        most: Seeds that it can afford; ``None`` for any number.
        ours: Whether it is the search that is measured against the others.
        quick: Whether it takes part in the short form.
    """

    name: str
    make: Callable[[], StrategySpec]
    most: int | None = None
    ours: bool = False
    quick: bool = False


def plain(name: str, strategy: str, **options: Any) -> Row:
    """A row of a registered strategy, or of one of Optuna's samplers."""
    return Row(name, lambda: (strategy, options))


ONE = (
    replace(plain(RANDOM, "random"), quick=True),
    replace(plain(LOCAL, "local-search"), quick=True),
    plain(REGULARISED, "regularized-evolution"),
    plain(ARCHIVE, "archive-evolution"),
    plain("Arch-VQ, no model", "arch-vq", model="none"),
    replace(plain(TPE, "optuna:tpe"), quick=True),
    plain(TPE_OTHER, "optuna:tpe", multivariate=False),
    plain(NSGA2, "optuna:nsga2"),
)
"""Baselines for one objective."""

SEVERAL = tuple(
    plain(TPE_JOINT, "optuna:tpe", multivariate=True) if row.name == TPE_OTHER else row
    for row in ONE
)
"""Baselines for several objectives, for which Optuna's TPE has the other default."""

FEW = (replace(plain("Optuna's GP", "optuna:gp"), most=5),)
"""Baselines with few seeds, as they are slow; for one objective and at most 100 trials."""


def random_start(**options: Any) -> Row:
    """Our search without proxies."""
    return Row(PLAIN, lambda: ("graph-gp", {"start": "random", **options}), ours=True, quick=True)


def from_scores(name: str, scores: Callable[[], nap.Evaluator], **options: Any) -> Row:
    """Our search, begun with the best of a pool of 500 by scores, and two at random.

    Args:
        name: Of the row.
        scores: Opens what has them.
        **options: Of the strategy.
    """

    def make() -> StrategySpec:
        strategy = nap.strategy("graph-gp", **options)
        return WarmStart(strategy, scores(), n=_FROM_PROXIES, pool=_POOL)

    return Row(name, make, ours=True, quick=True)


def from_published(dataset: str, **options: Any) -> Row:
    """The same with the published proxies of a data set of NAS-Bench-201."""
    return from_scores(PROXIES, partial(tables.published_proxies, dataset), **options)


def from_live(**options: Any) -> Row:
    """The same with proxies computed in the search, whose seconds count."""

    def make() -> StrategySpec:
        strategy = nap.strategy("graph-gp", **options)
        return WarmStart(strategy, "zero-cost", n=_FROM_PROXIES, pool=_POOL, metrics=_METRICS)

    return Row(LIVE, make, most=2, ours=True)


def of_peers(trials: int) -> tuple[Row, ...]:
    """Those of other people that are installed.

    Args:
        trials: Of a search.
    """
    found: Mapping[str, peers.Peer] = peers.installed(trials)
    return tuple(Row(name, partial(_given, peer), most=10) for name, peer in found.items())


def _given(peer: peers.Peer) -> StrategySpec:
    return peer
