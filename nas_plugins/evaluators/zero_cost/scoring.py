"""One architecture scored: built under its own seed, on one thread, in whatever process."""

from __future__ import annotations

import math
import pickle
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from nas_plugins._frozen import FrozenDict
from nas_plugins._torch import nn, torch
from nas_plugins.errors import MissingDependencyError
from nas_plugins.evaluators.zero_cost.batch import Batch
from nas_plugins.evaluators.zero_cost.engine import Scores, score_network
from nas_plugins.evaluators.zero_cost.networks import built_under_seed, weight_seed
from nas_plugins.evaluators.zero_cost.proxy import Proxy
from nas_plugins.evaluators.zero_cost.settings import Settings
from nas_plugins.spaces.base import Architecture, SearchSpace


@dataclass(frozen=True, eq=False)
class Scorer:
    """What stays the same from one architecture to the next; pickles if its proxies do.

    Attributes:
        settings: Seed, device, precision and layout count.
        batch: Shown to every network.
        proxies: By name.
        options: Arguments of ``space.network``.
    """

    settings: Settings
    batch: Batch
    proxies: Mapping[str, Proxy]
    options: Mapping[str, Any]

    def score(self, architecture: Architecture, proxies: Sequence[str]) -> Scores:
        """Scores the network of a representative; whatever goes wrong there is a reason."""
        return self.score_built(
            lambda: architecture.space.network(architecture, **self.options),
            weight_seed(self.settings.seed, architecture),
            proxies,
        )

    def score_built(
        self, build: Callable[[], nn.Module], seed: int, proxies: Sequence[str]
    ) -> Scores:
        """As `score`, for anything that builds a network."""
        begun = time.perf_counter()
        with one_thread(self.settings.device):
            try:
                network = built_under_seed(build, seed)
                if not isinstance(network, nn.Module):
                    raise TypeError(f"got {type(network).__name__} instead of a torch.nn.Module")
            except MissingDependencyError:
                raise
            except Exception as error:
                reason = f"the network cannot be built: {type(error).__name__}: {error}"
                return self.failed(proxies, reason)
            scores = self.score_module(network, seed, proxies)
        return replace(scores, seconds=time.perf_counter() - begun)

    def score_module(self, network: nn.Module, seed: int, proxies: Sequence[str]) -> Scores:
        """Scores a network as it is."""
        settings = self.settings
        with one_thread(settings.device):
            return score_network(
                network,
                self.batch,
                [self.proxies[name] for name in proxies],
                seed=seed,
                device=settings.device,
                precision=settings.precision,
                channels_last=settings.channels_last,
            )

    def failed(self, proxies: Sequence[str], reason: str) -> Scores:
        """Scores that have the same reason for every proxy."""
        reason = " ".join(reason.split())
        values, reasons = dict.fromkeys(proxies, math.nan), dict.fromkeys(proxies, reason)
        return Scores(FrozenDict(values), FrozenDict(reasons), 0.0)

    def travels(self, space: SearchSpace) -> bool:
        """Whether another process can be sent this, and architectures of `space`."""
        homes = [proxy.compute.__module__ for proxy in self.proxies.values()]
        if "__main__" in [*homes, type(space).__module__]:
            return False
        try:
            pickle.dumps((self, space))
        except Exception:  # whatever a third party's object raises
            return False
        return True


@contextmanager
def one_thread(device: str) -> Iterator[None]:
    """One thread on the CPU: sums in another order would give other last digits."""
    before = torch.get_num_threads()
    if device == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
