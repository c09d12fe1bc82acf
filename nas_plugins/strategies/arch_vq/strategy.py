"""`ArchVQ`: search in the latent space of a model, with a predictor that learns from the trials.

The space is that of Poddenige et al., "Arch-VQ: Discrete Architecture Representation Learning
with Autoregressive Priors", arXiv 2503.22063v2. The search is Bayesian optimisation over
architectures that the prior and its fills suggest; the paper itself only ranks samples.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins._checks import at_least, integers, positive
from nas_plugins.errors import unknown_name
from nas_plugins.history import History, Proposal
from nas_plugins.protocols import Strategy
from nas_plugins.sampling import new_rows, new_to, started, unseen
from nas_plugins.sections import Section, Text
from nas_plugins.spaces.base import Rows, SearchSpace
from nas_plugins.strategies.arch_vq import acquisition
from nas_plugins.strategies.arch_vq.candidates import propose_rows
from nas_plugins.strategies.arch_vq.features import describer
from nas_plugins.strategies.arch_vq.latent import LatentSpace
from nas_plugins.strategies.arch_vq.loading import NO_MODEL, latent_for
from nas_plugins.strategies.arch_vq.predictors import (
    PREDICTORS,
    Beliefs,
    Labelled,
    beliefs,
)
from nas_plugins.strategies.arch_vq.shipped import shipped_for
from nas_plugins.training_set import (
    complete_rows,
    elite,
    informative,
    objective_scores,
    running_rows,
    settled_size,
)

Floats = npt.NDArray[np.float64]

_NAME = "arch-vq"
_MAX_KNOWN = 300
_MAX_SETTLED = 150
_FIRST_FIT = 8
_FIT_GROWTH = 1.25


@dataclass(frozen=True)
class ArchVQ(Strategy):
    """Samples of a learned prior, then Bayesian optimisation in its latent space.

    The first trials are distinct samples of the prior. After them a predictor per objective is
    fitted to the normal scores of the trials, and the acquisition picks among candidates: samples
    of the prior, good trials with some nodes drawn anew by the model, draws of the prior that
    keep what two good trials share, and single changes of good trials. Of several proposals at
    once each takes the former, and all running trials, for evaluated at their predicted value.

    With two objectives the acquisition is the gain of hypervolume, with more a random
    scalarisation. Infeasible trials score behind all feasible ones, by their violation. Failed
    trials are avoided but not learned from. Beyond 300 trials the predictor sees the best 150
    and 150 of the others, spread evenly.

    Attributes:
        n_initial: Samples of the prior before the predictor takes over.
        predictor: ``"gp"``: Gaussian process over live operations, their neighbourhoods and code
            vectors. ``"ridge"``: Bayesian ridge regression on operations and code vectors.
            ``"lstm"``: four of the paper's LSTMs over code vectors; slow.
        acquisition: ``"ei"``: expected improvement. ``"ucb"``: optimistic by one standard
            deviation. ``"thompson"``: one random draw per candidate.
        n_candidates: Candidates per proposal, about.
        temperature: Of the prior; above 1 its samples are more even.
        model: Folder of a checkpoint, the name of a shipped one, or ``"none"`` for a uniform
            prior over the decisions. By default the shipped model of the space or of its
            core, no model for spaces of at most 1,024 combinations, and otherwise one that is
            trained on the space's first use and kept in the user's cache.
    """

    n_initial: int = 10
    predictor: str = "gp"
    acquisition: str = "ei"
    n_candidates: int = 1024
    temperature: float = 1.0
    model: str | None = None

    def __post_init__(self) -> None:
        integers(n_initial=self.n_initial, n_candidates=self.n_candidates)
        at_least(1, n_initial=self.n_initial)
        at_least(8, n_candidates=self.n_candidates)
        positive(temperature=self.temperature)
        if self.predictor not in PREDICTORS:
            raise unknown_name("predictor", self.predictor, PREDICTORS)
        if self.acquisition not in acquisition.ACQUISITIONS:
            raise unknown_name("acquisition", self.acquisition, acquisition.ACQUISITIONS)

    def prepare(self, space: SearchSpace) -> None:
        """Loads the model of a space, or trains it; otherwise the first proposal does so.

        Raises:
            MissingDependencyError: PyTorch is not installed.
            DataError: The checkpoint is torn, foreign, or of another space.
            ValueError: There is no model of the space and none can be trained on the fly.
        """
        latent_for(space, self.model)

    def propose(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Returns `n` proposals; fewer when the space is exhausted."""
        latent = latent_for(history.space, self.model)
        missing = self.n_initial - started(history, up_to=self.n_initial)
        if len(history.complete) < 2:
            missing = n
        found = self._samples(latent, history, min(n, max(missing, 0)), rng)
        if len(found) < n and len(history.complete) >= 2:
            chosen = self._chosen(latent, history, found, n - len(found), rng)
            found = np.concatenate([found, chosen])
        architectures = history.space.architectures(found)
        if len(architectures) < n:
            taken = history.seen | {a.key for a in architectures}
            architectures += unseen(history.space, n - len(architectures), rng, taken=taken)
        return [Proposal(architecture) for architecture in architectures]

    @classmethod
    def sections(cls, history: History, settings: Mapping[str, Any]) -> tuple[Section, ...]:
        """How to look into the latent space, for a search whose model has a name or a folder."""
        if settings.get("strategy") != _NAME:
            return ()
        model = (settings.get("strategy_options") or {}).get("model")
        if model is None:
            model = shipped_for(history.space)
        if model in (None, NO_MODEL):
            return ()
        words = ["nas-plugins", "report", "--latent", str(model), "--out", "latent.html"]
        heading = Text("Look into the latent space that it searched", "heading")
        blocks = heading, Text(shlex.join(words), "command")
        return (Section("settings", "Settings and versions", blocks),)

    def _samples(
        self, latent: LatentSpace, history: History, n: int, rng: np.random.Generator
    ) -> Rows:
        """Up to `n` new samples of the prior `(m, D)`."""
        if n < 1:
            return np.empty((0, len(history.space.decisions)), dtype=np.int16)
        rows = latent.distinct(n, rng, temperature=self.temperature, exclude=history.seen)
        return new_to(history, rows)

    def _chosen(
        self, latent: LatentSpace, history: History, taken: Rows, n: int, rng: np.random.Generator
    ) -> Rows:
        """Up to `n` candidates of greatest utility `(m, D)`; `taken` counts as running."""
        rows = complete_rows(history)
        candidates = self._candidates(latent, history, rows, rng)
        pending = np.concatenate([taken, running_rows(history)])
        keys = set(history.space.keys(taken).tolist())
        candidates = new_rows(history.space, candidates, keys) if keys else candidates
        if not len(candidates):
            return candidates
        scores = objective_scores(history)
        known = informative(scores, _MAX_KNOWN)
        settled = settled_size(len(rows), _FIRST_FIT, _FIT_GROWTH)
        features = describer(latent)(np.concatenate([candidates, pending]))
        prefix = objective_scores(history, settled)
        found = beliefs(
            self.predictor,
            describer(latent),
            settled=[_selected(rows[:settled], column, _MAX_SETTLED) for column in prefix.T],
            rows=rows[known],
            scores=scores[known],
            candidates=features,
        )
        for one in found:
            for j in range(len(candidates), len(features)):
                one.believe(j)
        chosen = self._greedy(history, found, scores, most=len(candidates), n=n, rng=rng)
        return candidates[chosen]

    def _greedy(
        self,
        history: History,
        found: list[Beliefs],
        scores: Floats,
        *,
        most: int,
        n: int,
        rng: np.random.Generator,
    ) -> list[int]:
        """Positions below `most` of the greatest utility, one after the other."""
        usable = np.isfinite(history.losses) & (history.violations[:, None] <= 0)
        losses = np.where(usable, history.losses, np.nan)
        chosen: list[int] = []
        while len(chosen) < min(n, most):
            if len(found) == 1:
                utility = acquisition.single(self.acquisition, found[0], float(scores.min()), rng)
            else:
                utility = acquisition.several(self.acquisition, found, scores, losses, rng)
            utility = utility[:most].copy()
            utility[chosen] = -np.inf
            best = np.flatnonzero(utility == utility.max())
            chosen.append(int(best[rng.integers(len(best))]))
            if len(chosen) < n:
                for one in found:
                    one.believe(chosen[-1])
        return chosen

    def _candidates(
        self, latent: LatentSpace, history: History, rows: Rows, rng: np.random.Generator
    ) -> Rows:
        """New, distinct candidates `(m, D)`."""
        space = history.space
        if np.prod(space.cardinalities.astype(float)) <= self.n_candidates:
            return new_to(history, np.concatenate(list(space.enumerate())))
        found = propose_rows(
            latent,
            rows[elite(history)],
            self.n_candidates,
            n_trials=len(history),
            temperature=self.temperature,
            rng=rng,
        )
        return new_to(history, found)


def _selected(rows: Rows, scores: Floats, limit: int) -> Labelled:
    index = informative(scores[:, None], limit)
    return Labelled(np.ascontiguousarray(rows[index]), np.ascontiguousarray(scores[index]))
