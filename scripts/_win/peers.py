"""Other people's optimisers in the same harness: they are asked for a trial and told its value.

Install them with ``pip install -r scripts/peers.txt``. Both take one objective, and spaces in
which every combination is an architecture. Where an ordered decision's choices are numbers they
are told so. They keep a state, so each begins anew when the history is empty, and is for a search
in one process from its first trial to its last.
"""

from __future__ import annotations

import contextlib
import tempfile
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from nas_plugins.history import History, Proposal, Trial, TrialState
from nas_plugins.protocols import Strategy
from nas_plugins.sampling import unseen
from nas_plugins.spaces.base import Architecture, SearchSpace

_SEEDS = 2**31


@dataclass
class Peer(Strategy):
    """An optimiser that is asked and told.

    Attributes:
        trials: Of the search, which some optimisers plan by.
        version: Of the package, so that no kept run outlives it.
    """

    trials: int
    version: str
    _told: int = field(default=0, init=False, repr=False)

    def propose(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """One proposal, whatever `n` is."""
        if not history.trials:
            self._told = 0
            self.begin(history.space, int(rng.integers(_SEEDS)))
        for trial in history.trials[self._told :]:
            self.tell(trial, _loss(trial, history))
        self._told = len(history.trials)
        return [Proposal(self.ask(history, rng))]

    @abstractmethod
    def begin(self, space: SearchSpace, seed: int) -> None:
        """Starts a search."""

    @abstractmethod
    def ask(self, history: History, rng: np.random.Generator) -> Architecture:
        """The next architecture."""

    def tell(self, trial: Trial, loss: float | None) -> None:
        """Hears of a trial that is over; `loss` is ``None`` where it failed."""


@dataclass
class SMAC(Peer):
    """SMAC3's facade for hyperparameters: a random forest with expected improvement."""

    _folder: Any = field(default=None, init=False, repr=False)
    _facade: Any = field(default=None, init=False, repr=False)
    _asked: Any = field(default=None, init=False, repr=False)

    def begin(self, space: SearchSpace, seed: int) -> None:
        from ConfigSpace import Categorical, ConfigurationSpace, OrdinalHyperparameter
        from smac import HyperparameterOptimizationFacade, Scenario

        parameters = [
            OrdinalHyperparameter(d.name, list(range(len(d.choices))))
            if d.ordered
            else Categorical(d.name, list(range(len(d.choices))))
            for d in space.decisions
        ]
        self._folder = tempfile.TemporaryDirectory(prefix="smac")
        scenario = Scenario(
            ConfigurationSpace(space={p.name: p for p in parameters}),
            deterministic=True,
            n_trials=self.trials,
            output_directory=self._folder.name,
            seed=seed,
        )
        self._facade = HyperparameterOptimizationFacade(
            scenario, lambda config, seed=0: 0.0, overwrite=True, logging_level=40
        )

    def ask(self, history: History, rng: np.random.Generator) -> Architecture:
        self._asked = self._facade.ask()
        chosen = self._asked.config
        return Architecture(
            history.space, tuple(int(chosen[d.name]) for d in history.space.decisions)
        )

    def tell(self, trial: Trial, loss: float | None) -> None:
        from smac.runhistory.dataclasses import TrialValue
        from smac.runhistory.enumerations import StatusType

        status = StatusType.SUCCESS if loss is not None else StatusType.CRASHED
        value = TrialValue(cost=np.inf if loss is None else loss, status=status)
        self._facade.tell(self._asked, value, save=False)


@dataclass
class BoTorch(Peer):
    """BoTorch's mixed Gaussian process with the logarithm of expected improvement.

    Ten random trials first; the acquisition is optimised by BoTorch's own local search over
    choices.
    """

    _seed: int = field(default=0, init=False, repr=False)

    def begin(self, space: SearchSpace, seed: int) -> None:
        self._seed = seed

    def ask(self, history: History, rng: np.random.Generator) -> Architecture:
        if len(history.trials) < _RANDOM or len(history.complete) < 2:
            return unseen(history.space, 1, rng, taken=history.seen)[0]
        import torch

        torch.manual_seed(self._seed + len(history.trials))
        row = _best_of_model(history)
        indices = tuple(int(i) for i in row)
        return Architecture(history.space, indices)


_RANDOM = 10

_PEERS: Mapping[str, tuple[type[Peer], str]] = {
    "SMAC3": (SMAC, "smac"),
    "BoTorch mixed GP": (BoTorch, "botorch"),
}


def installed(trials: int) -> dict[str, Peer]:
    """Those that are installed, by their name in the tables.

    Args:
        trials: Of the search.
    """
    found: dict[str, Peer] = {}
    for name, (kind, package) in _PEERS.items():
        with contextlib.suppress(PackageNotFoundError):
            found[name] = kind(trials, version(package))
    return found


def _loss(trial: Trial, history: History) -> float | None:
    if trial.state is not TrialState.COMPLETE:
        return None
    return trial.values[0] * history.objectives[0].sign


def _best_of_model(history: History) -> Any:
    """Choice indices of the greatest acquisition, `(D,)`."""
    import torch
    from botorch.acquisition import LogExpectedImprovement
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import MixedSingleTaskGP, SingleTaskGP
    from botorch.optim import optimize_acqf_discrete_local_search
    from gpytorch.mlls import ExactMarginalLogLikelihood

    space, kind = history.space, torch.float64
    # Ordered decisions run from 0 to 1, the others are numbers of their choices.
    scale = torch.tensor(
        [len(d.choices) - 1 if d.ordered and len(d.choices) > 1 else 1 for d in space.decisions],
        dtype=kind,
    )

    def inputs(trials: tuple[Trial, ...]) -> Any:
        rows = space.rows([trial.architecture for trial in trials])
        return torch.as_tensor(np.asarray(rows), dtype=kind) / scale

    x, y = inputs(history.complete), torch.as_tensor(-history.losses, dtype=kind)
    unordered = [i for i, d in enumerate(space.decisions) if not d.ordered]
    model = MixedSingleTaskGP(x, y, cat_dims=unordered) if unordered else SingleTaskGP(x, y)
    fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    choices = [
        torch.arange(len(d.choices), dtype=kind) / s
        for d, s in zip(space.decisions, scale, strict=True)
    ]
    found, _ = optimize_acqf_discrete_local_search(
        LogExpectedImprovement(model, best_f=y.max()),
        discrete_choices=choices,
        q=1,
        num_restarts=8,
        raw_samples=1024,
        X_avoid=inputs(history.trials),
    )
    return (found[0] * scale).round().to(torch.int64)
