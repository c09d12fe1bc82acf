"""Who takes part: our search, the baselines, and how many seeds each can afford."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import nas_plugins as nap
from nas_plugins.reproduction.comparison import StrategySpec
from nas_plugins.strategies.warm_start import WarmStart

from . import controls, peers, tables

PROXIES = "graph-gp, published proxies"
LIVE = "graph-gp, live proxies"
PLAIN = "graph-gp, random start"
KNOWN = "graph-gp, latency known"

RANDOM = "random"
LOCAL = "local search"
REGULARISED = "regularised evolution"
ARCHIVE = "archive evolution"
TPE = "TPE"
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


BASELINES = (
    replace(plain(RANDOM, "random"), quick=True),
    replace(plain(LOCAL, "local-search"), quick=True),
    plain(REGULARISED, "regularized-evolution"),
    plain(ARCHIVE, "archive-evolution"),
    plain("Arch-VQ, no model", "arch-vq", model="none"),
    replace(plain(TPE, "optuna:tpe"), quick=True),
    plain("TPE, multivariate", "optuna:tpe", multivariate=True),
    plain(NSGA2, "optuna:nsga2"),
)
FEW = (replace(plain("Optuna's GP", "optuna:gp"), most=5),)
"""Baselines with few seeds, as they are slow; for one objective and at most 100 trials."""


def random_start(**options: Any) -> Row:
    """Our search without proxies."""
    return Row(PLAIN, lambda: ("graph-gp", options), ours=True, quick=True)


def from_published(dataset: str, how: str = "", **options: Any) -> Row:
    """Our search, begun with the best of a pool of 500 by published proxies, and two at random.

    Args:
        dataset: Of NAS-Bench-201.
        how: Of `controls.MISLEADING`, where the proxies shall mislead.
        **options: Of the strategy.
    """

    def make() -> StrategySpec:
        scores = tables.published_proxies(dataset)
        return WarmStart(
            nap.strategy("graph-gp", **options),
            controls.misleading(scores, how) if how else scores,
            n=_FROM_PROXIES,
            pool=_POOL,
        )

    name = f"graph-gp, {how} proxies" if how else PROXIES
    return Row(name, make, ours=True, quick=True)


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
    return tuple(Row(name, lambda peer=peer: peer, most=10) for name, peer in found.items())
