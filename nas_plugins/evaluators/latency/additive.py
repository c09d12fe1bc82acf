"""An additive latency model of one device: a constant plus a cost per choice.

Latency of a network that runs layer after layer is a sum over its layers (FBNet, Wu et al.,
CVPR 2019, section 3.2; HW-NAS-Bench's look-up tables). A device that runs branches in parallel
takes the longest path instead, so there the model is a first approximation whose error grows
with the width of the cells: the stated error says how good it is.

The prediction is ``max(c + sum_p w_p x_p, 0)``, with columns x of `features`, and weights w of a
ridge regression on few measurements (`nas_plugins.numerics.ridge`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins._files import write_text
from nas_plugins._reading import json_file, refusing
from nas_plugins.benchmarks.base import check_spaces
from nas_plugins.errors import DataError, unknown_name
from nas_plugins.evaluators.latency.design import some_of, unseen
from nas_plugins.evaluators.latency.features import (
    COUNTED,
    FeatureRecipe,
    Floats,
    Ingredients,
    ingredients,
)
from nas_plugins.evaluators.latency.quality import Quality
from nas_plugins.numerics import ridge
from nas_plugins.spaces.base import Architecture, SearchSpace
from nas_plugins.spaces.values import space_from_json

_LARGEST_FILE = 1 << 24
FORMAT = 1
FOLDS = 10
_PENALTIES = (1.0, 10.0, 100.0, 1e4)
_BETTER = 0.98
_LEAST = 4


@dataclass(frozen=True, eq=False)
class LatencyModel:
    """Latency (or another cost) as a constant plus what each choice costs.

    `fit` makes one. Predictions are never below 0.

    Attributes:
        space: The space whose architectures it predicts.
        metric: Name of what is predicted, e.g. ``"latency_ms"``.
        unit: Its unit.
        source: Where the values it was fitted on come from: device, library, settings.
        n: Number of architectures fitted on.
        quality: Held-out error, by cross-validation within these.
        recipe: The columns in use.
        function: Constant and weights.
        shape: Channels, height and width of the inputs that were measured; ``None`` where that
            is not known.
    """

    space: SearchSpace
    metric: str
    unit: str
    source: str
    n: int
    quality: Quality
    recipe: FeatureRecipe
    function: ridge.LinearFunction
    shape: tuple[int, ...] | None = None

    @classmethod
    def fit(
        cls,
        architectures: Sequence[Architecture],
        latencies: Sequence[float],
        *,
        metric: str = "latency_ms",
        unit: str = "ms",
        source: str = "",
        counted: str = "auto",
        shape: tuple[int, ...] | None = None,
    ) -> LatencyModel:
        """Fits the model and states its error.

        The columns (see `nas_plugins.evaluators.latency.features`) and the strength of the
        ridge penalty are those with the least leave-one-out error. The stated error repeats
        this choice in each of ten folds, or leaves one out where there are fewer than ten
        architectures, so it is of architectures the fit has not seen.

        Args:
            architectures: At least four, of one space; every choice must occur in one of them.
            latencies: One finite value >= 0 per architecture.
            metric: Name of the values.
            unit: Unit of the values.
            source: Where they come from, for reports.
            counted: What costs: ``"flops"`` alone, ``"all"`` operations, ``"live"`` ones
                (those with no path from input to output cost nothing), ``"both"`` readings, or
                ``"auto"`` for what fits best.
            shape: Of the inputs that were measured, where it is known.

        Raises:
            ValueError: Too few architectures, a value that is not a latency, or a choice that
                occurs nowhere.
            InvalidArchitectureError: The architectures are of different spaces.
            UnknownNameError: `counted` is not known.
        """
        values = _checked(architectures, latencies)
        space = architectures[0].space
        parts = ingredients(space, architectures)
        recipes = _recipes(parts, counted)
        held_out = np.empty(len(values))
        fold = folds(len(values))
        for k in range(fold.max() + 1):
            recipe, function = _best(parts, values, recipes, fold != k)
            held_out[fold == k] = function(parts.columns(recipe)[0][fold == k])
        recipe, function = _best(parts, values, recipes, np.ones(len(values), dtype=bool))
        quality = Quality.of(np.maximum(held_out, 0.0), values)
        return cls(space, metric, unit, source, len(values), quality, recipe, function, shape)

    def predict(self, architectures: Sequence[Architecture]) -> Floats:
        """Predicts `(B,)` values in the order of `architectures`.

        Raises:
            TypeError: Not an `Architecture`.
            InvalidArchitectureError: One belongs to another space.
        """
        if not architectures:
            return np.zeros(0)
        check_spaces(architectures, self.space, owner="the model")
        columns, _ = ingredients(self.space, architectures).columns(self.recipe)
        return np.maximum(self.function(columns), 0.0)

    @property
    def description(self) -> str:
        """What was fitted and how well, one sentence without a full stop."""
        return (
            f"{self.metric} predicted by an additive model of {self.n} architectures; held-out "
            f"error {self.quality.words(self.unit)}; fitted on: {self.source or 'unknown source'}"
        )

    def to_json(self) -> dict[str, Any]:
        """Returns plain data that `from_json` reads back."""
        return {
            "format": FORMAT,
            "space": self.space.to_json(),
            "metric": self.metric,
            "unit": self.unit,
            "source": self.source,
            "n": self.n,
            "quality": self.quality.to_json(),
            "recipe": vars(self.recipe),
            "constant": self.function.constant,
            "weights": self.function.weights.tolist(),
            "loo": self.function.loo,
            **({} if self.shape is None else {"shape": list(self.shape)}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LatencyModel:
        """Reads what `to_json` wrote.

        Raises:
            DataError: It is not such a model, or its numbers do not fit its space.
        """
        found = data.get("format") if isinstance(data, Mapping) else type(data).__name__
        if found != FORMAT:
            raise DataError(f"`format` of a latency model must be {FORMAT}, got {found}")
        weights = np.array(data["weights"], dtype=np.float64)
        constant = float(data["constant"])
        shape = data.get("shape")
        model = cls(
            space=space_from_json(data["space"]),
            metric=str(data["metric"]),
            unit=str(data["unit"]),
            source=str(data["source"]),
            n=int(data["n"]),
            quality=Quality.from_json(data["quality"]),
            recipe=FeatureRecipe(**data["recipe"]),
            function=ridge.LinearFunction(constant, weights, float(data["loo"])),
            shape=None if shape is None else tuple(map(int, shape)),
        )
        one = [model.space.sample(np.random.default_rng(0))]
        columns, _ = ingredients(model.space, one).columns(model.recipe)
        if weights.shape != columns.shape[1:] or not np.isfinite([constant, *weights]).all():
            raise DataError(
                f"a latency model of {model.space.name!r} needs {columns.shape[1]} finite weights"
            )
        return model

    def save(self, path: Path) -> None:
        """Writes the model as one JSON file, replacing an old one only when complete."""
        write_text(path, json.dumps(self.to_json(), indent=1, allow_nan=False))

    @classmethod
    def load(cls, path: Path) -> LatencyModel:
        """Reads a file that `save` wrote.

        Raises:
            DataError: The file is absent, torn or of another kind.
        """
        what = "a readable latency model"
        with refusing(path, what):
            return cls.from_json(json_file(path, what, most=_LARGEST_FILE))


def folds(n: int) -> npt.NDArray[np.int64]:
    """The fold that each of `n` architectures is held out in, `(n,)`, always the same."""
    return np.random.default_rng(0).permutation(n) % min(FOLDS, n)


def _checked(architectures: Sequence[Architecture], latencies: Sequence[float]) -> Floats:
    if len(architectures) != len(latencies):
        raise ValueError(
            f"`latencies` must have one value per architecture, {len(architectures)}, "
            f"got {len(latencies)}"
        )
    if len(architectures) < _LEAST:
        raise ValueError(f"`architectures` must be at least {_LEAST}, got {len(architectures)}")
    space = architectures[0].space
    check_spaces(architectures, space, owner="the first one")
    for position, value in enumerate(latencies):
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"`latencies[{position}]` must be finite and >= 0, got {value}")
    missing = unseen(space, space.rows(architectures))
    if missing:
        raise ValueError(
            f"every choice of {space.name!r} must occur in `architectures`, missing are "
            f"{some_of(missing)}; "
            "nas_plugins.evaluators.latency.design.balanced draws such a sample"
        )
    return np.array(latencies, dtype=np.float64)


def _recipes(parts: Ingredients, counted: str) -> list[FeatureRecipe]:
    """The candidates, from small to large."""
    if counted not in ("auto", *COUNTED):
        raise unknown_name("`counted`", counted, ("auto", *COUNTED))
    readings: Sequence[str] = COUNTED if counted == "auto" else (counted,)
    if counted == "auto" and parts.flops is None:
        readings = [reading for reading in readings if reading != "flops"]
    if counted == "auto" and parts.nothing_dead:
        readings = [reading for reading in readings if reading in ("flops", "all")]
    line = [FeatureRecipe("flops", True)] if "flops" in readings else []
    return line + [
        FeatureRecipe(reading, flops, penalty)
        for reading in readings
        if reading != "flops"
        for flops in ((False, True) if parts.flops is not None else (False,))
        for penalty in _PENALTIES
    ]


def _best(
    parts: Ingredients, values: Floats, recipes: Sequence[FeatureRecipe], kept: Any
) -> tuple[FeatureRecipe, ridge.LinearFunction]:
    best: tuple[FeatureRecipe, ridge.LinearFunction] | None = None
    for recipe in recipes:
        columns, penalties = parts.columns(recipe)
        function = ridge.fit(columns[kept], values[kept], penalties)
        # A larger model must earn its place: few measurements make a lucky error likely.
        if best is None or function.loo < _BETTER * best[1].loo:
            best = recipe, function
    if best is None:
        raise ValueError("`recipes` must not be empty")
    return best
