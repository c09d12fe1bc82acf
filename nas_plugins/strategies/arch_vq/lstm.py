"""The latent predictor: an LSTM over node vectors, pooled by attention; and Kendall's tau.

The paper names "a one-layer LSTM, hidden 64, 4 heads"; an LSTM has no heads. Here the outputs of a
one-layer LSTM of width 64 are pooled by attention with 4 heads, followed by a linear layer. The
target is the normal score of the accuracy's rank among the labelled architectures, as NAS-Bench
accuracies have a long tail of failures that would dominate a squared error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins._torch import Tensor, functional, nn, torch
from nas_plugins.numerics.ranks import normal_quantiles

Floats = npt.NDArray[np.floating[Any]]
_CHUNK = 4096


@dataclass(frozen=True)
class PredictorConfig:
    """Settings of the predictor.

    Attributes:
        hidden: Width of the LSTM.
        heads: Heads of the pooling.
        steps: Training steps.
        batch_size: Architectures per step, all of them where there are fewer.
        learning_rate: Peak of a one-cycle schedule.
        weight_decay: Decoupled weight decay.
    """

    hidden: int = 64
    heads: int = 4
    steps: int = 400
    batch_size: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2


class LatentPredictor(nn.Module):
    """Node vectors to a score.

    Args:
        latent: Dimension D of a vector.
        config: Widths.
    """

    def __init__(self, latent: int, config: PredictorConfig) -> None:
        super().__init__()
        self.lstm = nn.LSTM(latent, config.hidden, batch_first=True)
        self.attention = nn.Linear(config.hidden, config.heads)
        self.head = nn.Linear(config.hidden * config.heads, 1)

    def forward(self, vectors: Tensor) -> Tensor:
        """`(B, N, D)` to `(B,)`."""
        hidden, _ = self.lstm(vectors)
        weights = self.attention(hidden).softmax(dim=1)
        pooled = torch.einsum("bnh,bnc->bhc", weights, hidden).flatten(1)
        score: Tensor = self.head(pooled)[:, 0]
        return score


class Predictor:
    """A predictor that has been trained on labelled architectures.

    Args:
        vectors: Their node vectors `(B, N, D)`.
        values: What is to be ranked, greater being better, `(B,)`.
        seed: Seed of the weights and the batches.
        config: Settings.

    Raises:
        ValueError: Fewer than 2 architectures, or not as many values.
    """

    def __init__(
        self,
        vectors: Floats,
        values: Floats,
        *,
        seed: int,
        config: PredictorConfig = PredictorConfig(),
    ) -> None:
        if len(vectors) != len(values) or len(values) < 2:
            raise ValueError(
                "`values` must have one entry for each of at least 2 architectures, "
                f"got {len(values)} for {len(vectors)}"
            )
        flat = np.asarray(vectors, dtype=np.float32)
        self._mean, self._scale = flat.mean((0, 1)), flat.std((0, 1)) + 1e-3
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._model = LatentPredictor(flat.shape[2], config)
            self._fit(self._tensor(flat), torch.from_numpy(ordinal_scores(values)), config)

    def __call__(self, vectors: Floats) -> npt.NDArray[np.float32]:
        """Scores of architectures, greater being better; `(B, N, D)` to `(B,)`."""
        whole = self._tensor(vectors)
        with torch.no_grad():
            parts = [
                self._model(whole[i : i + _CHUNK]).numpy() for i in range(0, len(whole), _CHUNK)
            ]
        return np.concatenate(parts)

    def _tensor(self, vectors: Floats) -> Tensor:
        standard = (np.asarray(vectors, dtype=np.float32) - self._mean) / self._scale
        return torch.from_numpy(standard)

    def _fit(self, vectors: Tensor, target: Tensor, config: PredictorConfig) -> None:
        optimizer = torch.optim.AdamW(
            self._model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        annealing = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, config.learning_rate, total_steps=config.steps + 1
        )
        order = torch.empty(0, dtype=torch.long)
        batch = min(config.batch_size, len(target))
        for _ in range(config.steps):
            if len(order) < batch:
                order = torch.randperm(len(target))
            index, order = order[:batch], order[batch:]
            loss = functional.mse_loss(self._model(vectors[index]), target[index])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            annealing.step()
        self._model.eval()


def ordinal_scores(values: Floats) -> npt.NDArray[np.float32]:
    """Standard normal quantiles of the ranks, ties by order; `(B,)` to `(B,)`."""
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return normal_quantiles(len(values))[ranks].astype(np.float32)


def kendall_tau(first: Floats, second: Floats) -> float:
    """Kendall's tau-b of two rankings, in n log n; NaN where one of them is constant.

    Raises:
        ValueError: They differ in length.
    """
    if len(first) != len(second):
        raise ValueError(f"`second` must have {len(first)} values, got {len(second)}")
    n = len(first)
    x = np.unique(np.asarray(first), return_inverse=True)[1]
    y = np.unique(np.asarray(second), return_inverse=True)[1]
    pairs, joint = n * (n - 1) // 2, x.astype(np.int64) * n + y
    tied_x, tied_y, tied_both = (_tied(values) for values in (x, y, joint))
    discordant = _inversions(y[np.lexsort((y, x))])
    difference = pairs - tied_x - tied_y + tied_both - 2 * discordant
    scale = float(pairs - tied_x) * float(pairs - tied_y)
    return difference / scale**0.5 if scale > 0 else float("nan")


def _tied(values: npt.NDArray[np.integer[Any]]) -> int:
    counts = np.unique(values, return_counts=True)[1].astype(np.int64)
    return int((counts * (counts - 1) // 2).sum())


def _inversions(values: npt.NDArray[np.integer[Any]]) -> int:
    """Pairs i < j with a greater value first, counted bit by bit from the highest.

    A pair is inverted at the first bit in which its members differ, so at each bit it is enough
    to count, among values that agree in the bits above, ones that come before zeros.
    """
    total = 0
    for bit in reversed(range(int(values.max(initial=0)).bit_length())):
        # Groups of equal higher bits stand together, each in the order given.
        ordered = values[np.argsort(values >> (bit + 1), kind="stable")]
        ones, group = ordered >> bit & 1, ordered >> (bit + 1)
        before = np.cumsum(ones) - ones
        begins = np.flatnonzero(np.diff(group, prepend=-1))
        inside = before - np.repeat(before[begins], np.diff(begins, append=len(group)))
        total += int(inside[ones == 0].sum())
    return total
