"""What every table has in common: metrics, look-up by canonical key, true fronts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins import pareto
from nas_plugins.errors import InvalidArchitectureError, unknown_name
from nas_plugins.history import Objective
from nas_plugins.protocols import Benchmark, Metric, MetricValues
from nas_plugins.spaces.base import Architecture, Rows, SearchSpace
from nas_plugins.spaces.values import sortable

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """The numbers behind a benchmark: one row per architecture, NaN where not measured.

    Attributes:
        rows: `(n, D)` choice indices of the architectures.
        columns: `(n,)` values by metric name.
        metrics: Unit, direction and meaning of each column, in the order to report.
        source: Where the numbers come from, one sentence for reports.
        gaps: Why NaN occurs in a column, by metric name, to be put behind "because".
    """

    rows: Rows
    columns: Mapping[str, Floats]
    metrics: tuple[Metric, ...]
    source: str
    gaps: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [metric.name for metric in self.metrics]
        if names != list(self.columns):
            raise ValueError(f"`columns` must be those of `metrics`, got {list(self.columns)}")
        for name, column in self.columns.items():
            if column.shape != (len(self.rows),):
                raise ValueError(
                    f"column {name!r} must have shape ({len(self.rows)},), got {column.shape}"
                )
            column.setflags(write=False)
        self.rows.setflags(write=False)


class TabularBenchmark(Benchmark):
    """A benchmark whose every value is in a table that is held in memory.

    `evaluate` leaves out what was not measured for an architecture: the dictionaries are
    `MetricValues`, so reading such a metric raises `MetricUnavailableError`.

    Args:
        name: Full name, e.g. ``"nasbench201/cifar10"``.
        space: The space whose architectures the table holds.
        table: The numbers.
        keys: ``space.keys(table.rows)``, where a benchmark knows them more cheaply.
    """

    def __init__(
        self,
        name: str,
        space: SearchSpace,
        table: Table,
        *,
        keys: npt.NDArray[Any] | None = None,
    ) -> None:
        self._name = name
        self._space = space
        self._table = table
        keys = sortable(space.keys(table.rows) if keys is None else keys)
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]

    @property
    def name(self) -> str:
        """Full name, e.g. ``"nasbench201/cifar10"``."""
        return self._name

    @property
    def space(self) -> SearchSpace:
        """The space whose architectures it can evaluate."""
        return self._space

    @property
    def source(self) -> str:
        """Where the numbers come from."""
        return self._table.source

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics that `evaluate` returns, where measured."""
        return self._table.metrics

    @property
    def rows(self) -> Rows:
        """Choice indices of all architectures in the table's order, `(n, D)`."""
        return self._table.rows

    @property
    def measured_rows(self) -> Rows:
        """Those of all architectures in the table."""
        return self._table.rows

    def __len__(self) -> int:
        return len(self._table.rows)

    def __repr__(self) -> str:
        names = ", ".join(metric.name for metric in self.metrics)
        return f"{type(self).__name__}({self.name!r}, {len(self):,} architectures, {names})"

    def column(self, metric: str) -> Floats:
        """All values of one metric in the table's order, `(n,)`; NaN where not measured.

        Raises:
            UnknownNameError: The benchmark has no such metric.
        """
        if metric not in self._table.columns:
            raise unknown_name(f"metric of {self._owner}", metric, self._table.columns)
        return self._table.columns[metric]

    def evaluate(self, architectures: Sequence[Architecture]) -> list[dict[str, float]]:
        """Looks architectures up.

        Args:
            architectures: Of `space`.

        Returns:
            One `MetricValues` per architecture, in order, in the units of `metrics`.

        Raises:
            InvalidArchitectureError: One belongs to another space.
        """
        indices = self.indices(architectures).tolist()
        return [self._values(a, i) for a, i in zip(architectures, indices, strict=True)]

    def indices(self, architectures: Sequence[Architecture]) -> npt.NDArray[np.intp]:
        """Row of each architecture in the table's order, -1 where it is not in the table.

        Raises:
            InvalidArchitectureError: One belongs to another space.
        """
        if not architectures:
            return np.zeros(0, dtype=np.intp)
        check_spaces(architectures, self._space, owner=self._owner)
        keys = sortable(self._space.keys(self._space.rows(architectures)))
        places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[places] == keys, self._order[places], -1).astype(np.intp)

    def front(self, objectives: Sequence[Objective]) -> Floats | None:
        """Values of the true Pareto front over the whole table.

        Architectures that lack one of the metrics are not part of it.

        Args:
            objectives: One or more, by metric name.

        Returns:
            `(k, m)` distinct points in the metrics' own units and the order of `objectives`,
            sorted by the first objective.

        Raises:
            UnknownNameError: The benchmark has no such metric.
        """
        values = np.stack([self.column(objective.name) for objective in objectives], axis=1)
        values = values[np.isfinite(values).all(axis=1)]
        signs = np.array([objective.sign for objective in objectives])
        return np.unique(values[pareto.front_mask(values * signs)], axis=0)

    def optimum(self, objective: Objective) -> tuple[Architecture, float]:
        """The best architecture for one objective and its value; the first of equal ones.

        Raises:
            UnknownNameError: The benchmark has no such metric.
        """
        column = self.column(objective.name)
        losses = np.where(np.isfinite(column), column * objective.sign, np.inf)
        best = int(np.argmin(losses))
        return self.architecture(best), float(column[best])

    def architecture(self, index: int) -> Architecture:
        """The architecture in row `index` of the table."""
        return self._space.architectures(self._table.rows[index : index + 1])[0]

    @property
    def _owner(self) -> str:
        return f"benchmark {self._name!r}"

    def _values(self, architecture: Architecture, index: int) -> MetricValues:
        columns = self._table.columns
        values = {name: float(column[index]) for name, column in columns.items()}
        if index < 0:
            values = dict.fromkeys(columns, float("nan"))
        gaps = {
            name: self._gap(name, architecture, in_table=index >= 0)
            for name, value in values.items()
            if np.isnan(value)
        }
        measured = {name: value for name, value in values.items() if name not in gaps}
        return MetricValues(measured, gaps=gaps, known=tuple(columns), owner=self._owner)

    def _gap(self, metric: str, architecture: Architecture, *, in_table: bool) -> str:
        reason = self._table.gaps.get(metric, "it was not measured")
        if not in_table:
            reason = f"the table holds {len(self):,} architectures and not this one"
        return f"{self._owner} has no {metric!r} for {architecture}: {reason}"


def check_spaces(architectures: Sequence[object], space: SearchSpace, *, owner: str) -> None:
    """Refuses what is not an architecture of `space`.

    Raises:
        TypeError: One is no `Architecture`.
        InvalidArchitectureError: One is an architecture of another space.
    """
    for position, architecture in enumerate(architectures):
        if not isinstance(architecture, Architecture):
            raise TypeError(
                f"`architectures[{position}]` must be an Architecture, got "
                f"{type(architecture).__name__}; read text with space.parse"
            )
        if architecture.space != space:
            raise InvalidArchitectureError(
                f"`architectures[{position}]` must be of space {space.name!r}, which {owner} "
                f"measures, got one of {architecture.space.name!r}"
            )


def table_name(family: str, parts: Sequence[str], known: Sequence[str]) -> str:
    """Joins and checks the parts of a benchmark's name.

    Args:
        family: Registered name, e.g. ``"nasbench201"``.
        parts: What follows in the name, e.g. ``("cifar10",)``.
        known: All full names of the family.

    Raises:
        UnknownNameError: The full name is not known; suggests the nearest.
    """
    name = "/".join((family, *parts))
    if name not in known:
        raise unknown_name("benchmark", name, known)
    return name
