"""Zero-cost proxies as an evaluator of any space that builds networks, and of one's own."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas_plugins import registry
from nas_plugins._checks import at_least
from nas_plugins._frozen import FrozenDict
from nas_plugins._images import shape_text
from nas_plugins.evaluators.zero_cost.cache import CachedScore, ScoreCache
from nas_plugins.evaluators.zero_cost.networks import (
    network_options,
)
from nas_plugins.evaluators.zero_cost.pool import LOST, ScoringTask, in_processes
from nas_plugins.evaluators.zero_cost.settings import FEATURES, RANKING, Settings
from nas_plugins.protocols import Evaluator, Metric, MetricValues
from nas_plugins.spaces.base import Architecture, SearchSpace

if TYPE_CHECKING:
    from torch import nn

    from nas_plugins.evaluators.zero_cost.engine import Scores
    from nas_plugins.evaluators.zero_cost.proxy import Proxy
    from nas_plugins.evaluators.zero_cost.scoring import Scorer

# Fewer architectures are scored sooner than other processes have loaded PyTorch.
_WORTH_PROCESSES = 12
_UNITS = {"params": "M", "flops": "M"}
# Reasons that may not hold the next time.
_PASSING = ("out of memory", "memoryerror", "can't allocate memory", LOST)


@dataclass(frozen=True)
class Row:
    """What became of one architecture.

    Attributes:
        text: The architecture, or what was given as one.
        values: Score by proxy, where there is one.
        reasons: Why there is none, by proxy.
        seconds: What scoring took now; 0 for what was cached.
        cached: Whether everything was in the cache.
        architecture: ``None`` if the text is not one.
    """

    text: str
    values: FrozenDict[float]
    reasons: FrozenDict[str]
    seconds: float = 0.0
    cached: bool = False
    architecture: Architecture | None = None

    @property
    def failed(self) -> bool:
        """Whether no proxy has a value."""
        return not self.values


class ZeroCostEvaluator(Evaluator):
    """Scores architectures by zero-cost proxies: one batch, no training.

    All architectures see the same images, and the weights are drawn from the seed and the
    architecture's name, so that results depend neither on the order nor on the process.

    Args:
        proxies: ``"default"``, ``"all"``, names, or `Proxy` objects.
        preset: A key of `nas_plugins.evaluators.zero_cost.settings.PRESETS`.
        cache: Whether to keep scores on disk; a path for another folder than the user's
            cache. Proxies that are not installed as entry points are not kept, as their code
            may change under the same name.
        workers: Processes; ``None`` for one per CPU when there are many architectures. On
            other devices than the CPU, and for proxies or spaces that no other process can
            import, ``None`` is 1.
        batch: Images, or a pair of images and labels, instead of the input of the settings.
        **overrides: Fields of `Settings`. Where another evaluator of the search trains on a data
            set, the input has the shape of its images unless `resolution` is given.

    Raises:
        UnknownNameError: A proxy, preset, input or setting is not known; suggests the nearest.
        ValueError: A setting is out of range, or the batch has a wrong shape.
        MissingDependencyError: PyTorch, or scikit-learn for the digits, is not installed.
    """

    judges_networks = True

    @classmethod
    def options_for(cls, use: str, metrics: Sequence[str] = ()) -> Mapping[str, Any]:
        """The proxies that are asked for, else those that suit the use.

        For NNI's model spaces nothing is kept: what is kept goes by the name of a space.
        """
        if use == "ranking":
            return {"proxies": tuple(metrics) or RANKING}
        if use == "features":
            return {"proxies": FEATURES}
        return {"cache": False} if use == "model space" else {}

    def __init__(
        self,
        proxies: str | Sequence[str | Proxy] = "default",
        *,
        preset: str = "fast",
        cache: bool | str | Path = True,
        workers: int | None = None,
        batch: Any = None,
        **overrides: Any,
    ) -> None:
        if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int)):
            raise TypeError(f"`workers` must be an integer or None, got {workers!r}")
        at_least(1, workers=workers)
        from nas_plugins._torch import usable_device
        from nas_plugins.evaluators.zero_cost.inputs import make_batch
        from nas_plugins.evaluators.zero_cost.proxy import resolve

        self._settings = Settings.of(preset, **overrides)
        usable_device(self._settings.device)
        self._proxies = resolve(proxies)
        installed = registry.names("proxy")
        self._versions = {one.name: one.version for one in self._proxies if one.name in installed}
        self._batch = make_batch(self._settings, batch)
        self._given = batch is not None
        self._told = "resolution" in overrides
        self._cache = cache
        self._workers = workers

    @property
    def settings(self) -> Settings:
        """How architectures are scored."""
        return self._settings

    @property
    def proxies(self) -> tuple[Proxy, ...]:
        """The proxies, sorted by name."""
        return self._proxies

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """One metric per proxy, under its name."""
        return tuple(
            Metric(one.name, _UNITS.get(one.name, ""), one.direction, one.description)
            for one in self._proxies
        )

    @property
    def source(self) -> str:
        """Where the numbers come from."""
        shape = "x".join(map(str, self._batch.inputs.shape))
        what = "a batch of the user's" if self._given else self._settings.input
        return f"zero-cost proxies on {what} {shape}, seed {self._settings.seed}"

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Channels, height and width of the images that the networks see."""
        return tuple(self._batch.inputs.shape[1:])

    def for_data(self, shape: tuple[int, ...]) -> ZeroCostEvaluator:
        """Scores networks for images of this shape, unless other images were given.

        Raises:
            ValueError: Others were given, by `batch` or `resolution`.
        """
        if self.input_shape == shape:
            return self
        other = self._told and any(side != self._settings.resolution for side in shape[1:])
        if self._given or other:
            argument = "batch" if self._given else "resolution"
            raise ValueError(
                f"`{argument}` of zero-cost gives images of {shape_text(self.input_shape)}, and "
                f"the search trains on images of {shape_text(shape)}; leave it out"
            )
        from nas_plugins.evaluators.zero_cost.inputs import make_batch

        fitted = copy.copy(self)
        fitted._batch = make_batch(self._settings, shape=shape)
        return fitted

    def check(self, space: SearchSpace) -> None:
        """Refuses a space that has no networks.

        Raises:
            ValueError: It has none.
        """
        space.check_network()

    def evaluate(self, architectures: Sequence[Architecture]) -> list[dict[str, float]]:
        """Scores architectures.

        Returns:
            One `MetricValues` per architecture, in order: reading a
            proxy that has no value for it raises `MetricUnavailableError` with the reason.

        Raises:
            TypeError: Something else than an `Architecture` is among them.
            UnknownNameError: No network builder is registered for the space.
        """
        known = tuple(one.name for one in self._proxies)
        return [
            MetricValues(
                row.values,
                gaps={
                    name: f"zero-cost has no {name!r} for {row.text}: {reason}"
                    for name, reason in row.reasons.items()
                },
                known=known,
                owner="zero-cost",
            )
            for row in self.rows(architectures)
        ]

    def rows(
        self,
        architectures: Sequence[Architecture],
        *,
        on_row: Callable[[Row], None] | None = None,
    ) -> list[Row]:
        """Scores architectures and says what became of each.

        Args:
            architectures: Of any spaces that build networks.
            on_row: Called with each row as soon as it is known, in any order.

        Returns:
            One row per architecture, in order.

        Raises:
            TypeError: Something else than an `Architecture` is among them.
            UnknownNameError: No network builder is registered for a space.
            ValueError: The settings do not fit the network of a space.
        """
        for position, architecture in enumerate(architectures):
            if not isinstance(architecture, Architecture):
                raise TypeError(
                    f"`architectures[{position}]` must be an Architecture, got "
                    f"{type(architecture).__name__}; read text with space.parse"
                )
        rows: list[Row | None] = [None] * len(architectures)
        positions: dict[SearchSpace, dict[Architecture, list[int]]] = {}
        for position, architecture in enumerate(architectures):
            space = architecture.space
            group = positions.setdefault(space, {})
            group.setdefault(space.canonical(architecture), []).append(position)
        for space, group in positions.items():
            with closing(self._scored(space, list(group))) as scored:
                for chosen, row in scored:
                    for position in group[chosen]:
                        mine = architectures[position]
                        rows[position] = found = replace(row, text=str(mine), architecture=mine)
                        if on_row is not None:
                            on_row(found)
        return [row for row in rows if row is not None]

    def score(self, network: nn.Module | Callable[[], nn.Module]) -> Scores:
        """Scores a network of one's own.

        Args:
            network: A module, scored with the weights it has and left as it was; or what
                builds one, called under the seed.

        Returns:
            Values, NaN with a reason where there is none. Nothing about the network raises.
        """
        from nas_plugins._torch import nn

        scorer, names = self._scorer({}), [one.name for one in self._proxies]
        if isinstance(network, nn.Module):
            return scorer.score_module(network, self._settings.seed, names)
        if not callable(network):
            raise TypeError(
                f"`network` must be a torch.nn.Module or build one, got {type(network).__name__}"
            )
        return scorer.score_built(network, self._settings.seed, names)

    def __repr__(self) -> str:
        names = ", ".join(one.name for one in self._proxies)
        return f"{type(self).__name__}({names}; {self.source})"

    # -- one space ---------------------------------------------------------------------------

    def _scored(
        self, space: SearchSpace, architectures: Sequence[Architecture]
    ) -> Generator[tuple[Architecture, Row], None, None]:
        """Rows of different representatives as they come, the cached ones first."""
        if self._batch.inputs.ndim != 4:
            raise ValueError(
                f"`batch` must be images (B, C, H, W) for the networks of {space.name!r}, got the "
                f"shape {tuple(self._batch.inputs.shape)}"
            )
        scorer = self._scorer(network_options(space, self._settings, self._batch.inputs.shape[1]))
        names = [str(a) for a in architectures]
        tasks: list[ScoringTask] = []
        with self._opened(space, scorer) as cache:
            known = cache.get(names) if cache is not None else {}
            for architecture, name in zip(architectures, names, strict=True):
                entries = known.get(name, {})
                missing = tuple(one.name for one in self._proxies if one.name not in entries)
                if missing:
                    tasks.append((architecture, missing))
                else:
                    yield architecture, self._row(name, entries, cached=True)
            with closing(self._computed(space, scorer, tasks)) as computed:
                for position, scores in computed:
                    architecture = tasks[position][0]
                    name = str(architecture)
                    new = _entries(scores)
                    if cache is not None:
                        cache.put(name, _lasting(new))
                    entries = {**known.get(name, {}), **new}
                    yield architecture, self._row(name, entries, seconds=scores.seconds)

    def _computed(
        self, space: SearchSpace, scorer: Scorer, tasks: Sequence[ScoringTask]
    ) -> Generator[tuple[int, Scores], None, None]:
        workers = self._workers
        if workers is None:
            many = len(tasks) >= _WORTH_PROCESSES and self._settings.device == "cpu"
            workers = _cpus() if many and scorer.travels(space) else 1
        elif workers > 1 and not scorer.travels(space):
            raise ValueError(
                f"`workers` must be 1 here, got {workers}: the space or a proxy is defined in "
                "the main script or cannot be pickled; move it to a module"
            )
        if workers > 1 and tasks:
            yield from in_processes(scorer, tasks, workers)
            return
        for position, task in enumerate(tasks):
            yield position, scorer.score(*task)

    def _scorer(self, options: Mapping[str, Any]) -> Scorer:
        from nas_plugins.evaluators.zero_cost.scoring import Scorer

        proxies = {one.name: one for one in self._proxies}
        return Scorer(self._settings, self._batch, proxies, options)

    def _opened(
        self, space: SearchSpace, scorer: Scorer
    ) -> AbstractContextManager[ScoreCache | None]:
        if self._cache is False:
            return nullcontext()
        from nas_plugins.evaluators.zero_cost.inputs import batch_digest

        digest = self._settings.digest(
            batch=batch_digest(self._batch), network=repr(sorted(scorer.options.items()))
        )
        folder = None if self._cache is True else Path(self._cache)
        return ScoreCache(ScoreCache.path_for(folder, space, digest), self._versions)

    def _row(
        self,
        text: str,
        entries: Mapping[str, CachedScore],
        *,
        seconds: float = 0.0,
        cached: bool = False,
    ) -> Row:
        order = [one.name for one in self._proxies]
        values = {name: entries[name].value for name in order if not entries[name].reason}
        reasons = {name: entries[name].reason for name in order if entries[name].reason}
        return Row(text, FrozenDict(values), FrozenDict(reasons), seconds, cached)


def score(
    network: nn.Module | Callable[[], nn.Module],
    proxies: str | Sequence[str | Proxy] = "default",
    *,
    preset: str = "fast",
    batch: Any = None,
    **overrides: Any,
) -> Scores:
    """Scores a network of one's own: any ``nn.Module``, or what builds one.

    A module is scored with the weights it has and left exactly as it was.

    Args:
        network: Maps images, sequences, rows or token ids to logits.
        proxies: As of `ZeroCostEvaluator`.
        preset: As of `ZeroCostEvaluator`.
        batch: Where three channels of noise do not fit: images `(B, C, H, W)`, sequences
            `(B, L, C)`, rows `(B, N)` or token ids `(B, L)`, or a pair of these and labels.
        **overrides: Fields of `Settings`; ``classes`` must not exceed the network's outputs.

    Returns:
        ``values`` by proxy, NaN where ``reasons`` says why, and ``seconds``.

    Raises:
        UnknownNameError: A proxy, preset or setting is not known; suggests the nearest.
        ValueError: A setting is out of range, or the batch has a wrong shape.
    """
    evaluator = ZeroCostEvaluator(proxies, preset=preset, batch=batch, cache=False, **overrides)
    return evaluator.score(network)


def _entries(scores: Scores) -> dict[str, CachedScore]:
    """Scores as cache entries; what is NaN has a reason."""
    found = {}
    for name, value in scores.values.items():
        reason = scores.reasons.get(name, "")
        if math.isnan(value) and not reason:
            reason = "the value is not a number"
        found[name] = CachedScore(math.nan, reason) if reason else CachedScore(float(value))
    return found


def _lasting(entries: Mapping[str, CachedScore]) -> dict[str, CachedScore]:
    """Without the reasons that may not hold the next time."""
    return {
        name: entry
        for name, entry in entries.items()
        if not any(word in entry.reason.lower() for word in _PASSING)
    }


def _cpus() -> int:
    """CPUs that this process may use, which a container may limit."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
