"""Architectures as rows of numbers: proxies, decisions and the graph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins.errors import unknown_name
from nas_plugins.protocols import Evaluator
from nas_plugins.spaces.base import Architecture, SearchSpace
from nas_plugins.spaces.graph_features import graph_features, node_features

Floats = npt.NDArray[np.float64]

FEATURES = ("proxies", "one-hot", "graph", "nodes")

_KEPT = 2**16


class Encoder:
    """Turns architectures of one space into features, and keeps the proxies it has computed.

    Args:
        space: The space.
        features: Any of ``"proxies"`` (the metrics of `proxies`), ``"one-hot"`` (the
            decisions), ``"graph"`` (`graph_features`) and ``"nodes"`` (`node_features`: one-hot
            operations with those that are cut off left out).
        proxies: What measures the proxies. Without it ``"proxies"`` is left out.
        columns: Names of the metrics of `proxies` to use; all by default.

    Raises:
        UnknownNameError: A feature or column is not known.
        ValueError: Nothing is left to describe an architecture with.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        features: Sequence[str] = ("proxies", "graph"),
        proxies: Evaluator | None = None,
        columns: Sequence[str] | None = None,
    ) -> None:
        for name in features:
            if name not in FEATURES:
                raise unknown_name("kind of features", name, FEATURES)
        self.space, self.proxies = space, proxies
        self.features = tuple(f for f in features if f != "proxies" or proxies is not None)
        if not self.features:
            raise ValueError("`features` must hold more than 'proxies' where there are no proxies")
        known = [metric.name for metric in proxies.metrics] if proxies is not None else []
        for name in columns or ():
            if name not in known:
                raise unknown_name("proxy", name, known)
        self.columns = tuple(known if columns is None else columns)
        self._kept: dict[Any, Floats] = {}

    @property
    def groups(self) -> tuple[str, ...]:
        """The kind of each column, in order."""
        return self._named[0]

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each column, in order."""
        return self._named[1]

    @cached_property
    def _named(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        row = self.space.random(1, np.random.default_rng(0))
        groups: list[str] = []
        names: list[str] = []
        for kind in self.features:
            found = self.columns if kind == "proxies" else self._structure(kind, row)[1]
            groups += [kind] * len(found)
            names += found
        return tuple(groups), tuple(names)

    def __call__(self, architectures: Sequence[Architecture]) -> Floats:
        """Features `(B, F)`; NaN where a proxy has no value for an architecture."""
        rows = self.space.rows(architectures)
        parts = [np.zeros((len(rows), 0))]
        for kind in self.features:
            if kind == "proxies":
                parts.append(self._proxies(architectures))
            else:
                parts.append(self._structure(kind, rows)[0])
        return np.concatenate(parts, axis=1)

    def _structure(
        self, kind: str, rows: npt.NDArray[np.integer[Any]]
    ) -> tuple[Floats, tuple[str, ...]]:
        if kind == "graph":
            return graph_features(self.space, rows)
        if kind == "nodes":
            return node_features(self.space, rows)
        parts, names = [], []
        for position, decision in enumerate(self.space.decisions):
            parts.append(np.eye(len(decision.choices))[np.asarray(rows)[:, position]])
            names += [f"{decision.name}={label}" for label in decision.labels]
        return np.concatenate(parts, axis=1), tuple(names)

    def _proxies(self, architectures: Sequence[Architecture]) -> Floats:
        # Never emptied but replaced, as another thread may be reading it.
        kept = self._kept = self._kept if len(self._kept) < _KEPT else {}
        new = {a.indices: a for a in architectures if a.indices not in kept}
        if new and self.proxies is not None:
            found = self.proxies.evaluate(list(new.values()))
            for indices, values in zip(new, found, strict=True):
                kept[indices] = np.array([values.get(n, math.nan) for n in self.columns])
        rows = [kept[a.indices] for a in architectures]
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(self.columns))
