"""Drawing valid graphs from the prior: independently, or without replacement.

Without replacement means stochastic beam search (Kool, van Hoof and Welling, "Stochastic Beams
and Where to Find Them", ICML 2019): perturbing log-probabilities with Gumbel noise and keeping
the k largest at each level draws k leaves without replacement. Here the leaves are graphs, not
code sequences: codes that would decode to the same label and edges are one branch, whose
probability is their sum, and one of them, drawn in proportion, carries the branch on. So no two
beams ever decode to the same graph.

Symbols
    ``p``       log-probability of a child of a beam
    ``g``       ``p`` plus standard Gumbel noise
    ``Z``       largest g of the beam's children
    ``T``       perturbed log-probability of the beam itself

The children's noise is drawn given that its maximum is T (appendix B.3 of the paper): ``v = T -
g + log(1 - exp(g - Z))`` and ``g' = T - max(v, 0) - log(1 + exp(-|v|))``. Of all ``g'`` of a
level the k largest go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins._torch import Tensor, torch
from nas_plugins.strategies.arch_vq.prior import Cache, Prior, select
from nas_plugins.strategies.arch_vq.rules import PrefixRule

Ints = npt.NDArray[np.int64]
Columns = npt.NDArray[np.signedinteger[Any]]

_SMALL = 2**20
_SEQUENCES, _MOST_EACH = 512, 64


@dataclass(frozen=True, eq=False)
class Decoder:
    """The two tables that decode codes, and where each code belongs.

    A code can decode to a node that fits a position although it never stands there. Its edges to
    later nodes then fit nothing, so that strict decoding is told where codes stand.

    Attributes:
        label: `(K,)` node label of each code.
        edge: `(K, K)` 1 where an edge leads from the first code's node to the second's.
        seen: `(N, K)` which codes stand at which node in the training set.
    """

    label: Ints
    edge: Columns
    seen: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, label: Tensor, edge: Tensor, seen: npt.NDArray[np.bool_]) -> Decoder:
        """From the tensors of `VQVAE.tables`."""
        kind = column_type(len(seen))
        return cls(label.cpu().numpy().astype(np.int64), edge.cpu().numpy().astype(kind), seen)

    def columns(self, codes: Ints) -> Columns:
        """Incoming edges of the nodes of code sequences, `(B, N)` to `(B, N)`, as bits."""
        columns = np.zeros(codes.shape, dtype=self.edge.dtype)
        for j in range(codes.shape[1]):
            for i in range(j):
                columns[:, j] |= self.edge[codes[:, i], codes[:, j]] << i
        return columns


def column_type(n_nodes: int) -> type[np.signedinteger[Any]]:
    """The smallest integers that hold the incoming edges of a node.

    Raises:
        ValueError: There are more than 63 nodes.
    """
    if n_nodes > 63:
        raise ValueError(f"`n_nodes` must be <= 63, got {n_nodes}")
    return np.int16 if n_nodes <= 15 else np.int32 if n_nodes <= 31 else np.int64


@dataclass(frozen=True, eq=False)
class CodedGraphs:
    """Graphs that were drawn, with one code sequence for each.

    The codes decode to the graph, but for nodes that were kept, see `Kept`.

    Attributes:
        codes: `(B, N)`.
        labels: `(B, N)` node labels; padding has the label after the last operation.
        columns: `(B, N)` incoming edges as bits: bit i of column j is the edge i to j.
    """

    codes: Ints
    labels: Ints
    columns: Columns

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, index: npt.NDArray[Any] | slice) -> CodedGraphs:
        return CodedGraphs(self.codes[index], self.labels[index], self.columns[index])


@dataclass(frozen=True, eq=False)
class Kept:
    """Nodes that must stay as they are, for `fill`.

    Attributes:
        graphs: One graph per row.
        fixed: `(B, N)` True where label and incoming edges are kept.
    """

    graphs: CodedGraphs
    fixed: npt.NDArray[np.bool_]


class _Prefixes:
    """Prefixes of a batch of sequences, grown by one code at a time."""

    def __init__(self, prior: Prior, decoder: Decoder, rule: PrefixRule | None, n: int) -> None:
        self.prior, self.decoder, self.rule = prior, decoder, rule
        empty = np.empty((n, 0), dtype=np.int64)
        self.drawn = CodedGraphs(empty, empty, empty.astype(decoder.edge.dtype))
        self.cache: Cache | None = None

    def next(
        self, temperature: float, kept: Kept | None = None, *, skip_certain: bool = False
    ) -> _Step:
        """What may come next; without a rule, everything.

        Args:
            temperature: Divides the logits.
            kept: What is already decided.
            skip_certain: Do not ask the prior about a last node that can only be one.
        """
        drawn, position = self.drawn, self.drawn.codes.shape[1]
        everything = np.ones(len(self.decoder.label), dtype=bool)
        codes = np.flatnonzero(everything if self.rule is None else self.decoder.seen[position])
        label, column = self.decoder.label[codes], self._columns(codes)
        allowed = np.ones(column.shape, dtype=bool)
        if kept is not None:
            column, allowed = _keep(kept, position, label, column)
        if self.rule is not None:
            allowed = allowed & self.rule.allowed(
                position, drawn.labels, drawn.columns, label, column
            )
        if (
            skip_certain
            and position + 1 == self.prior.n_nodes
            and _certain(label, column, allowed)
        ):
            log_p = torch.zeros(allowed.shape, dtype=torch.double)
            log_p = log_p.masked_fill_(torch.from_numpy(~allowed), -torch.inf)
            log_p = torch.log_softmax(log_p, dim=-1).nan_to_num_(nan=-torch.inf)
        else:
            log_p = self._log_p(codes, allowed, temperature)
        return _Step(codes, label, column, allowed, log_p)

    def _log_p(self, codes: Ints, allowed: npt.NDArray[np.bool_], temperature: float) -> Tensor:
        """Log-probabilities `(B, C)` among the allowed candidates."""
        position, n = self.drawn.codes.shape[1], len(self.drawn)
        forbidden = torch.from_numpy(~allowed)
        last = self.drawn.codes[:, -1] if position else np.zeros(n, dtype=np.int64)
        logits, self.cache = self.prior.step(torch.from_numpy(last), position, self.cache)
        scaled = logits[:, torch.from_numpy(codes)].double() / temperature
        log_p = torch.log_softmax(scaled.masked_fill_(forbidden, -torch.inf), dim=-1)
        return log_p.masked_fill_(forbidden, -torch.inf)

    def _columns(self, codes: Ints) -> Columns:
        """Incoming edges `(B, C)` that the given codes would have after each prefix."""
        table = self.decoder.edge[:, codes]
        column = np.zeros((len(self.drawn), len(codes)), dtype=table.dtype)
        for i, before in enumerate(self.drawn.codes.T):
            column |= table[before] << i
        return column

    def grow(self, step: _Step, rows: Ints, chosen: Ints) -> None:
        """Continues prefix ``rows[b]`` with candidate ``chosen[b]``."""
        old = self.drawn
        self.drawn = CodedGraphs(
            np.column_stack([old.codes[rows], step.codes[chosen]]),
            np.column_stack([old.labels[rows], step.label[chosen]]),
            np.column_stack([old.columns[rows], step.column[rows, chosen]]),
        )
        if self.drawn.codes.shape[1] < self.prior.n_nodes and self.cache is not None:
            self.cache = select(self.cache, torch.from_numpy(rows))


@dataclass(frozen=True, eq=False)
class _Step:
    """The candidates for the next node of every prefix.

    Attributes:
        codes: `(C,)` candidate codes.
        label: `(C,)` their labels.
        column: `(B, C)` their incoming edges after each prefix.
        allowed: `(B, C)` which of them the rule allows.
        log_p: `(B, C)` log-probabilities among those allowed, minus infinity for the others.
    """

    codes: Ints
    label: Ints
    column: Columns
    allowed: npt.NDArray[np.bool_]
    log_p: Tensor


def sample_independent(
    prior: Prior,
    decoder: Decoder,
    rule: PrefixRule | None,
    n: int,
    rng: np.random.Generator,
    *,
    temperature: float = 1.0,
    kept: Kept | None = None,
) -> tuple[CodedGraphs, npt.NDArray[np.bool_]]:
    """Draws `n` graphs independently, code by code.

    Args:
        prior: Gives the probabilities.
        decoder: Decodes.
        rule: Tells which codes keep a valid graph in reach; ``None`` allows everything.
        n: How many.
        rng: Source of randomness.
        temperature: Divides the logits.
        kept: What is already decided, for `n` graphs.

    Returns:
        The graphs and which of them came to an end, `(n,)`; the others met a prefix after which
        no code was allowed.
    """
    prefixes = _Prefixes(prior, decoder, rule, n)
    alive, everyone = np.ones(n, dtype=bool), np.arange(n)
    for _ in range(prior.n_nodes):
        step = prefixes.next(temperature, kept)
        alive &= step.allowed.any(axis=1)
        noise = torch.from_numpy(rng.gumbel(size=step.log_p.shape))
        prefixes.grow(step, everyone, (step.log_p + noise).argmax(1).numpy())
    return prefixes.drawn, alive


def sample_distinct(
    prior: Prior,
    decoder: Decoder,
    rule: PrefixRule,
    k: int,
    rng: np.random.Generator,
    *,
    temperature: float = 1.0,
) -> CodedGraphs:
    """Draws up to `k` distinct valid graphs, in the order of a sample without replacement.

    Fewer than `k` come back only when no more are in reach.

    Args:
        prior: Gives the probabilities.
        decoder: Decodes.
        rule: Tells which codes keep a valid graph in reach.
        k: How many.
        rng: Source of randomness.
        temperature: Divides the logits.
    """
    prefixes = _Prefixes(prior, decoder, rule, 1)
    total, perturbed = torch.zeros(1, dtype=torch.double), torch.zeros(1, dtype=torch.double)
    each = 1  # code sequences that stand for one beam
    for position in range(prior.n_nodes):
        step = prefixes.next(temperature, skip_certain=True)
        branch, n_branches = _branches(step, position)
        if not n_branches:
            nothing = np.empty((0, prior.n_nodes), dtype=np.int64)
            return CodedGraphs(nothing, nothing, nothing.astype(decoder.edge.dtype))
        mass = _branch_mass(step.log_p, branch, n_branches).view(-1, each, n_branches)
        child = total[:, None] + _log_shares(mass)
        noisy = _conditional_gumbel(child, perturbed, rng)
        chosen = _largest(noisy, k)
        total, perturbed = child.flatten()[chosen], noisy.flatten()[chosen]
        beams, outcomes = chosen // n_branches, chosen % n_branches
        last = position + 1 == prior.n_nodes
        heirs = 1 if last else min(max(max(k, _SEQUENCES) // len(chosen), 1), _MOST_EACH)
        parents = beams[:, None] * each + _weighted(mass[beams, :, outcomes], heirs, rng)
        rows, wanted = parents.flatten(), outcomes.repeat_interleave(heirs)
        prefixes.grow(step, rows.numpy(), _carriers(step.log_p, branch, rows, wanted, rng))
        each = heirs
    return prefixes.drawn


def _keep(
    kept: Kept, position: int, label: Ints, column: Columns
) -> tuple[Columns, npt.NDArray[np.bool_]]:
    """Incoming edges of candidates, and which candidates fit, where a node may be fixed.

    A fixed node takes a code that decodes to it after the prefix. There may be none, as a code
    tells of its surroundings too: then any code with its label stands for it.
    """
    fixed = kept.fixed[:, position, None]
    wanted = kept.graphs.columns[:, position, None]
    same = label == kept.graphs.labels[:, position, None]
    exact = same & (column == wanted)
    fits = np.where(exact.any(axis=1, keepdims=True), exact, same)
    return np.where(fixed, wanted, column), ~fixed | fits


def _certain(label: Ints, column: Columns, allowed: npt.NDArray[np.bool_]) -> bool:
    """Whether all allowed candidates decode to the same node."""
    columns, labels = column[allowed], label[allowed.any(axis=0)]
    return len(columns) > 0 and np.ptp(columns) == 0 and np.ptp(labels) == 0


def _branches(step: _Step, position: int) -> tuple[Tensor, int]:
    """Numbers the different outcomes (label and edges) of allowed candidates.

    Returns:
        `(B, C)` branch of each candidate, `n_branches` where it is not allowed; and the number.
    """
    n_labels = int(step.label.max()) + 1
    if n_labels << position > _SMALL:
        return _sorted_branches(step, n_labels)
    outcome = step.column.astype(np.int32) | (step.label << position).astype(np.int32)
    seen = np.zeros(n_labels << position, dtype=bool)
    seen[outcome[step.allowed]] = True
    numbers = np.cumsum(seen, dtype=np.int32) - 1
    n_branches = int(seen.sum())
    branch = np.where(step.allowed, numbers[outcome], n_branches)
    return torch.from_numpy(branch.astype(np.int64)), n_branches


def _sorted_branches(step: _Step, n_labels: int) -> tuple[Tensor, int]:
    """As `_branches`, where there are too many outcomes for a table of them."""
    allowed = step.allowed
    place = np.unique(step.column[allowed], return_inverse=True)[1]
    outcome = place * n_labels + np.broadcast_to(step.label, allowed.shape)[allowed]
    outcomes, numbers = np.unique(outcome, return_inverse=True)
    branch = np.full(allowed.shape, len(outcomes), dtype=np.int64)
    branch[allowed] = numbers
    return torch.from_numpy(branch), len(outcomes)


def _branch_mass(log_p: Tensor, branch: Tensor, n_branches: int) -> Tensor:
    """Probability of each branch, `(B, M)`: its codes' probabilities add."""
    mass = torch.zeros(len(log_p), n_branches + 1, dtype=torch.double)
    return mass.scatter_add_(1, branch, log_p.exp())[:, :n_branches]


def _log_shares(mass: Tensor) -> Tensor:
    """Log-probability of each branch of a beam, `(B, E, M)` to `(B, M)`: its sequences' mean."""
    summed = mass.sum(1)
    whole = summed.sum(1, keepdim=True).clamp_min(torch.finfo(torch.double).tiny)
    return (summed / whole).log()


def _weighted(weights: Tensor, n: int, rng: np.random.Generator) -> Tensor:
    """`n` positions per row, drawn in proportion to the weights, `(B, E)` to `(B, n)`."""
    rows, each = weights.shape
    if each == 1:
        return torch.zeros(rows, n, dtype=torch.long)
    noise = torch.from_numpy(rng.gumbel(size=(rows, n, each)))
    return noise.add_(weights.log()[:, None]).argmax(2)


def _conditional_gumbel(log_p: Tensor, perturbed: Tensor, rng: np.random.Generator) -> Tensor:
    """Gumbel-perturbed `log_p` `(B, M)` whose row maxima are `perturbed` `(B,)` (appendix B.3)."""
    gumbel = log_p + torch.from_numpy(rng.gumbel(size=log_p.shape))
    top = gumbel.amax(1, keepdim=True)
    target = perturbed[:, None]
    v = target - gumbel + torch.log1p(-torch.exp(gumbel - top))
    result = target - v.clamp_min(0) - torch.log1p(torch.exp(-v.abs()))
    # The maximum itself, where v is infinite, and branches without probability.
    result = torch.where(gumbel == top, target.expand_as(result), result)
    return torch.where(torch.isneginf(log_p), log_p, result)


def _largest(values: Tensor, k: int) -> Tensor:
    """Flat positions of the `k` largest finite values, largest first."""
    flat = values.flatten()
    best, order = flat.topk(min(k, len(flat)))
    return order[~torch.isneginf(best)]


def _carriers(
    log_p: Tensor, branch: Tensor, parents: Tensor, wanted: Tensor, rng: np.random.Generator
) -> Ints:
    """One candidate for each kept branch, drawn in proportion to the probabilities."""
    value = log_p[parents].masked_fill_(branch[parents] != wanted[:, None], -torch.inf)
    return value.add_(torch.from_numpy(rng.gumbel(size=value.shape))).argmax(1).numpy()
