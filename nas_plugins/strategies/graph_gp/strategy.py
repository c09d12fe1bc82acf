"""`GraphGP`: a Gaussian process over graph features picks the next architecture.

Graph features of cells: Kadlecová et al., "Surprisingly Strong Performance Prediction with Neural
Graph Features", ICML 2024; the space declares which it has. See `docs/graph-gp.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from nas_plugins import _public
from nas_plugins._checks import at_least, integers
from nas_plugins._frozen import FrozenDict
from nas_plugins.errors import MetricUnavailableError, unknown_name
from nas_plugins.history import History, Proposal
from nas_plugins.protocols import Evaluator, Strategy
from nas_plugins.ranked_pool import RankedPool, begun
from nas_plugins.sampling import started, unseen
from nas_plugins.spaces.base import Architecture, SearchSpace
from nas_plugins.strategies.graph_gp.acquisition import ExactOutcome
from nas_plugins.strategies.graph_gp.candidates import candidates
from nas_plugins.strategies.graph_gp.known import known_losses
from nas_plugins.strategies.graph_gp.model import Learner
from nas_plugins.strategies.graph_gp.objectives import Models, log_success
from nas_plugins.strategies.graph_gp.start import RANKED, check_start, pool_of
from nas_plugins.training_set import complete_rows, running_rows

NOTE = "graph-gp"
"""Name of the note of a trial that the model has not chosen."""

_UNTRUSTED = FrozenDict({NOTE: "local search, as the model predicts its own trials badly"})


@dataclass(frozen=True)
class GraphGP(Strategy):
    """Bayesian optimisation with a Gaussian process over the features of a space.

    The first trials are the best of a pool by zero-cost proxies, where the space has them, and
    random ones. Then a Gaussian process per objective learns the normal scores of the
    trials from features that the space declares (of the graph where it has one), and the
    candidate of greatest expected improvement comes next: of all architectures where the space
    has at most 50,000, else of a reservoir and of what is near the best.

    With several objectives, half of the proposals improve the first of them (the first that is
    not known beforehand) within random budgets of the others, and with two objectives the other
    half gain hypervolume. So name first what matters most, and is hardest to know. Constraints
    and failures count by their probability. Several proposals at once, and running trials, are
    taken for evaluated at their predicted value. As long as the model predicts its own trials
    badly when each is left out, local search proposes instead.

    Example:

        >>> import nas_plugins as nap
        >>> strategy = nap.strategy("graph-gp")
        >>> result = nap.search("nasbench201/cifar10", strategy=strategy, trials=20, seed=0)
        >>> len(result.trials)
        20

    Attributes:
        n_initial: Trials before the model takes over, those of others included.
        start: What these are: ``"proxies"``, at most three of them the best of a pool by synflow
            and zen, the others random; ``"random"``; or ``"auto"``, proxies where there is one
            objective and they are published, or where the space builds networks, PyTorch is
            installed and no benchmark answers in their place.
        pool: How many architectures the proxies rank. By default 500; 100 where ``"auto"`` has
            to compute them.
        task: What the search is of, if known: ``benchmark``, ``dataset`` and ``device``.
        known: Objectives that need no model, as they are known before an architecture is
            evaluated: by the objective's name the evaluator or benchmark that has it, or its
            name, such as ``{"params": "complexity"}``.
        functional_duplicates: Whether to evaluate also what does the same as a trial: whose
            graph differs only in nodes that nothing reaches.

    Raises:
        TypeError: `n_initial` or `pool` is not an integer.
        ValueError: `n_initial` is less than 2, or `pool` less than 3.
        UnknownNameError: There is no such `start`; suggests the nearest.
    """

    takes_task = True

    n_initial: int = 5
    start: str = "auto"
    pool: int | None = None
    task: Mapping[str, Any] = field(default=FrozenDict(), hash=False)
    known: Mapping[str, Evaluator | str] = field(default=FrozenDict(), hash=False)
    functional_duplicates: bool = True

    def __post_init__(self) -> None:
        integers(n_initial=self.n_initial, pool=RANKED if self.pool is None else self.pool)
        at_least(2, n_initial=self.n_initial)
        at_least(RANKED, pool=self.pool)
        check_start(self.start)
        object.__setattr__(self, "task", FrozenDict(self.task))
        object.__setattr__(self, "known", FrozenDict(self.known))

    def propose(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Returns `n` proposals; fewer when the space is exhausted.

        Raises:
            UnknownNameError: `known` names no objective, or no evaluator with such a metric.
        """
        known = self._known(history)
        missing = self.n_initial - started(history, up_to=self.n_initial)
        if len(history.complete) < 2:
            missing = n
        missing = min(n, max(missing, 0))
        proposals = self._first(history, missing, rng)
        if len(proposals) < missing or len(proposals) == n:
            return proposals
        history = history.with_running(proposals)
        found = self._chosen(history, known, n - len(proposals), rng)
        if found is None:
            local = _public.strategy("local-search")
            near = local.propose(history, n - len(proposals), rng)
            return proposals + [
                replace(p, notes=FrozenDict({**p.notes, **_UNTRUSTED})) for p in near
            ]
        proposals += [Proposal(architecture) for architecture in found]
        seen = history.seen | {architecture.key for architecture in found}
        rest = unseen(history.space, n - len(proposals), rng, taken=seen)
        return proposals + [Proposal(architecture) for architecture in rest]

    def __getstate__(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def _first(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Up to `n` trials for the model to begin with."""
        proposals = self._ranked(history, min(n, RANKED - begun(history).n), rng)
        taken = history.seen | {proposal.architecture.key for proposal in proposals}
        drawn = unseen(history.space, n - len(proposals), rng, taken=taken)
        return proposals + [Proposal(architecture) for architecture in drawn]

    def _ranked(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Up to `n` trials from the top of the pool."""
        if n <= 0 or (self.start == "auto" and len(history.objectives) > 1):
            return []
        space = history.space
        if space not in self._pools:
            self._pools[space] = pool_of(space, self.start, self.pool, self.task)
        pool = self._pools[space]
        try:
            return [] if pool is None else pool.best(history, n, rng)
        except MetricUnavailableError:
            if self.start == "proxies":
                raise
            self._pools[space] = None  # nothing that can be scored here
            return []

    @cached_property
    def _pools(self) -> dict[SearchSpace, RankedPool | None]:
        """What ranks the start, by space; follows from the options and what is installed."""
        return {}

    def _known(self, history: History) -> dict[int, Evaluator | str]:
        """Who knows an objective beforehand, by the objective's position."""
        names = [objective.name for objective in history.objectives]
        for name in self.known:
            if name not in names:
                raise unknown_name("objective that `known` names", name, names)
        return {j: self.known[name] for j, name in enumerate(names) if name in self.known}

    def _chosen(
        self,
        history: History,
        known: Mapping[int, Evaluator | str],
        n: int,
        rng: np.random.Generator,
    ) -> list[Architecture] | None:
        """Up to `n` candidates; ``None`` where the model is not to be trusted."""
        space = history.space
        found = candidates(history, rng, functional_duplicates=self.functional_duplicates)
        if not len(found):
            return []
        exact = {}
        for j, who in known.items():
            losses = known_losses(space, history.objectives[j], who)(found.rows)
            exact[j] = ExactOutcome(losses[:, 0])
        rows, running = complete_rows(history), running_rows(history)
        chosen: list[int] = []
        while len(chosen) < min(n, len(found)):
            pending = np.concatenate([running, found.rows[chosen]])
            models = Models(history, Learner(space, rows, pending, found), exact)
            if not chosen and not models.trusted:
                return None
            weights = log_success(history, pending, found) + models.log_feasible()
            weights[chosen] = -np.inf
            chosen.append(models.best(weights, rng))
        return space.architectures(found.rows[chosen])
