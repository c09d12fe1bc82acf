"""`ArchVQModel`: a trained VQ-VAE and prior over one space; encode, decode, sample, fill."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins._checks import at_least, positive
from nas_plugins._reading import refusing
from nas_plugins._torch import Tensor, torch
from nas_plugins._wording import excerpt
from nas_plugins.errors import DataError, unknown_name
from nas_plugins.spaces.base import Architecture, Rows, SearchSpace, space_from_json
from nas_plugins.strategies.arch_vq import checkpoint
from nas_plugins.strategies.arch_vq.beam import CodedGraphs, Decoder, Kept, sample_independent
from nas_plugins.strategies.arch_vq.data import GraphSet, digest, n_labels, split
from nas_plugins.strategies.arch_vq.prior import Prior
from nas_plugins.strategies.arch_vq.rules import PrefixRule, rule_for
from nas_plugins.strategies.arch_vq.sampling import Exclude, Excluded, StrictSampler
from nas_plugins.strategies.arch_vq.shipped import CHECKPOINTS, shipped_names
from nas_plugins.strategies.arch_vq.vqvae import VQVAE

Codes = npt.NDArray[np.int64]

DECODINGS = ("strict", "paper")
_BATCH = 4096
_FILLS = 4


@dataclass(frozen=True, eq=False)
class ArchVQModel:
    """A discrete latent space of architectures and a prior over it.

    Attributes:
        space: The space that was learned.
        vqvae: Encoder, codebook and decoder, in evaluation mode.
        prior: Autoregressive prior over code sequences, in evaluation mode.
        seen: `(N, K)` which codes stand at which node in the training set.
        card: What the checkpoint says about itself.
    """

    space: SearchSpace
    vqvae: VQVAE
    prior: Prior
    seen: npt.NDArray[np.bool_]
    card: checkpoint.Card

    def __post_init__(self) -> None:
        self.vqvae.eval().requires_grad_(False)
        self.prior.eval().requires_grad_(False)

    # -- checkpoints -----------------------------------------------------------------------

    @classmethod
    def load(cls, folder: Path | str) -> ArchVQModel:
        """Reads a checkpoint folder.

        Raises:
            DataError: The checkpoint is torn, foreign or of a space that encodes otherwise now.
        """
        folder = Path(folder)
        card, tensors = checkpoint.load(folder)
        with refusing(folder, "a readable checkpoint"):
            return cls._restored(folder, card, tensors)

    @classmethod
    def _restored(
        cls, folder: Path, card: checkpoint.Card, tensors: dict[str, Tensor]
    ) -> ArchVQModel:
        space = space_from_json(card.space)
        if tuple(space.node_operations) != card.vocabulary:
            raise DataError(f"checkpoint {folder} was made for another encoding of {space.name!r}")
        _check_sizes(card, tensors)
        with torch.device("meta"):  # which allocates nothing
            _networks(card, space, tensors, folder)
        vqvae, prior = _networks(card, space, tensors, folder)
        for name, module in (("vqvae.", vqvae), ("prior.", prior)):
            module.load_state_dict(_of_part(name, tensors))
        tables = [tensors[f"decode.{name}"] for name in ("label", "edge", "seen")]
        label, edge, seen = tables[0], _unpacked(tables[1]), _unpacked(tables[2])
        _check_tables(card, n_labels(space), label, edge, seen)
        model = cls(space, vqvae, prior, seen, card)
        # The saved tables decode, so that rounding on another machine cannot flip an edge.
        vars(model)["decoder"] = Decoder.of(label, torch.from_numpy(edge), seen)
        return model

    @classmethod
    def shipped(cls, name: str) -> ArchVQModel:
        """Loads a checkpoint that comes with the package: see `shipped_names`.

        Raises:
            UnknownNameError: There is none of this name.
        """
        known = shipped_names()
        if name not in known:
            raise unknown_name("shipped Arch-VQ checkpoint", name, known)
        return cls.load(CHECKPOINTS / name)

    def save(self, folder: Path | str) -> None:
        """Writes a checkpoint folder; floating-point weights in half precision."""
        tensors = {f"vqvae.{name}": t for name, t in self.vqvae.state_dict().items()}
        tensors |= {f"prior.{name}": t for name, t in self.prior.state_dict().items()}
        tensors["decode.label"] = torch.from_numpy(self.decoder.label.astype(np.int16))
        for name, bits in (("edge", self.decoder.edge != 0), ("seen", self.seen)):
            tensors[f"decode.{name}"] = torch.from_numpy(np.packbits(bits, axis=1))
        checkpoint.save(Path(folder), self.card, tensors)

    # -- encoding --------------------------------------------------------------------------

    @cached_property
    def decoder(self) -> Decoder:
        """The two decoding tables, and which codes stand where."""
        return Decoder.of(*self.vqvae.tables(), self.seen)

    @cached_property
    def rule(self) -> PrefixRule:
        """What strict decoding allows after a prefix."""
        return rule_for(self.space, self.prior.n_nodes)

    @cached_property
    def _strict(self) -> StrictSampler:
        return StrictSampler(self.space, self.prior, self.decoder, self.rule)

    @torch.no_grad()
    def encode(self, rows: Rows) -> Codes:
        """Codes `(B, N)` of architectures given as rows of choices `(B, D)`."""
        parts = [np.empty((0, self.prior.n_nodes), dtype=np.int64)]
        for start in range(0, len(rows), _BATCH):
            graphs = GraphSet.of(self.space, rows[start : start + _BATCH])
            parts.append(self.vqvae.codes(graphs.adjacency, graphs.operations).numpy())
        return np.concatenate(parts)

    def vectors(self, codes: Codes) -> npt.NDArray[np.float32]:
        """Code vectors `(B, N, 16)` of codes `(B, N)`."""
        return self.vqvae.codebook.vectors.numpy()[codes]

    def decode(self, codes: Codes) -> CodedGraphs:
        """The graphs of code sequences `(B, N)`, valid or not, by look-up in the two tables."""
        return CodedGraphs(codes, self.decoder.label[codes], self.decoder.columns(codes))

    def strict_rows(self, graphs: CodedGraphs) -> tuple[Rows, npt.NDArray[np.bool_]]:
        """Rows of choices of the graphs that are exactly those of an architecture.

        Returns:
            Rows `(V, D)` of the valid graphs and which of the graphs are valid, `(B,)`.
        """
        valid = self.rule.valid(graphs.labels, graphs.columns)
        kept = graphs[valid]
        return self.rule.rows(kept.labels, kept.columns), valid

    @torch.no_grad()
    def log_probability(self, codes: Codes) -> npt.NDArray[np.float64]:
        """Log-probability of code sequences under the prior, `(B, N)` to `(B,)`, in nats."""
        parts = [np.empty(0)]
        for part in torch.split(torch.from_numpy(codes), _BATCH):
            log_p = torch.log_softmax(self.prior(part).double(), dim=-1)
            parts.append(log_p.gather(2, part[..., None])[..., 0].sum(1).numpy())
        return np.concatenate(parts)

    def train_keys(self) -> npt.NDArray[Any]:
        """Canonical keys of the training architectures, drawn again from the recorded seed.

        Raises:
            DataError: They are not those that the card names.
        """
        recipe = self.card.recipe
        parts = split(self.space, recipe.architectures, recipe.held_out, self.card.seed)
        keys = self.space.keys(parts.train)
        if digest(keys) != self.card.train_digest:
            raise DataError(
                f"the training set of the {self.space.name!r} checkpoint cannot be drawn again: "
                "its digest is not the one on the card"
            )
        return keys

    # -- sampling --------------------------------------------------------------------------

    def sample(
        self,
        n: int,
        *,
        temperature: float = 1.0,
        seed: int | np.random.Generator = 0,
        decoding: str = "strict",
        unique: bool = True,
        exclude: Exclude = frozenset(),
    ) -> list[Architecture]:
        """Draws architectures.

        Args:
            n: How many.
            temperature: Divides the logits of the prior; above 1 is more even.
            seed: Seed or generator.
            decoding: ``"strict"``: only codes that keep a valid architecture in reach are
                drawn, so every draw is valid. ``"paper"``: codes are drawn as they come and the
                graphs that are no architectures are left out, so fewer than `n` come back.
            unique: Draw without replacement: no two share a canonical key. Otherwise, and
                always with ``"paper"``, the draws are independent.
            exclude: Canonical keys not to draw, e.g. `train_keys`.

        Raises:
            ValueError: `n` is negative, `temperature` not positive, `decoding` unknown.
            SpaceExhaustedError: Fewer than `n` architectures are in reach.
        """
        rows = self.sample_rows(
            n,
            temperature=temperature,
            seed=seed,
            decoding=decoding,
            unique=unique,
            exclude=exclude,
        )
        return self.space.architectures(rows)

    def sample_rows(
        self,
        n: int,
        *,
        temperature: float = 1.0,
        seed: int | np.random.Generator = 0,
        decoding: str = "strict",
        unique: bool = True,
        exclude: Exclude = frozenset(),
    ) -> Rows:
        """As `sample`, as rows of choices `(n, D)`."""
        at_least(0, n=n)
        positive(temperature=temperature)
        if decoding not in DECODINGS:
            raise ValueError(f"`decoding` must be one of {DECODINGS}, got {decoding!r}")
        rng = np.random.default_rng(seed)
        avoid = Excluded(exclude)
        if decoding == "paper":
            rows, _ = self.strict_rows(self.draw(n, temperature=temperature, seed=rng))
            return rows[~avoid.contains(self.space.keys(rows))]
        draw = self._strict.distinct if unique else self._strict.independent
        return draw(n, rng, temperature, avoid)

    @torch.no_grad()
    def draw(
        self, n: int, *, temperature: float = 1.0, seed: int | np.random.Generator = 0
    ) -> CodedGraphs:
        """Draws as the paper does: codes one after the other, and whatever graph comes out."""
        at_least(0, n=n)
        positive(temperature=temperature)
        rng = np.random.default_rng(seed)
        parts = [self.decode(np.empty((0, self.prior.n_nodes), dtype=np.int64))]
        for start in range(0, n, _BATCH):
            size = min(_BATCH, n - start)
            drawn, _ = sample_independent(
                self.prior, self.decoder, None, size, rng, temperature=temperature
            )
            parts.append(drawn)
        return _joined(parts)

    def stream(
        self,
        *,
        temperature: float = 1.0,
        seed: int | np.random.Generator = 0,
        exclude: Exclude = frozenset(),
        batch: int = 64,
    ) -> Iterator[Architecture]:
        """Yields distinct valid architectures one at a time, until none is left.

        Args:
            temperature: Divides the logits of the prior.
            seed: Seed or generator.
            exclude: Canonical keys not to draw.
            batch: Architectures drawn at once, doubled as they are used up.
        """
        rng = np.random.default_rng(seed)
        taken = set(exclude.tolist()) if isinstance(exclude, np.ndarray) else set(exclude)
        while True:
            rows = self._strict.found(batch, rng, temperature, Excluded(taken))[0]
            if not len(rows):
                return
            taken.update(self.space.keys(rows).tolist())
            yield from self.space.architectures(rows)
            batch = min(2 * batch, _BATCH)

    @torch.no_grad()
    def fill(
        self,
        rows: Rows,
        fixed: npt.NDArray[np.bool_],
        *,
        temperature: float = 1.0,
        seed: int | np.random.Generator = 0,
    ) -> tuple[Rows, npt.NDArray[np.bool_]]:
        """Draws some nodes of architectures anew and keeps the others.

        Args:
            rows: One architecture per row `(B, D)`.
            fixed: `(B, N)`, or `(N,)` for all: which nodes keep their label and incoming edges.
            temperature: Divides the logits of the prior.
            seed: Seed or generator.

        Returns:
            Rows `(V, D)` of the architectures that could be completed, and which those are,
            `(B,)`.
        """
        positive(temperature=temperature)
        rng = np.random.default_rng(seed)
        graphs = self.decode(self.encode(rows))
        mask = np.broadcast_to(np.asarray(fixed, dtype=bool), graphs.codes.shape)
        result, done = np.array(rows, dtype=np.int16), np.zeros(len(rows), dtype=bool)
        for _ in range(_FILLS):
            # What is drawn early may leave no way to what is fixed later: draw those again.
            open_ = np.flatnonzero(~done)
            if not len(open_):
                break
            drawn, alive = sample_independent(
                self.prior,
                self.decoder,
                self.rule,
                len(open_),
                rng,
                temperature=temperature,
                kept=Kept(graphs[open_], mask[open_]),
            )
            kept, ended = drawn[alive], open_[alive]
            result[ended], done[ended] = self.rule.rows(kept.labels, kept.columns), True
        return result[done], done


def _check_sizes(card: checkpoint.Card, tensors: dict[str, Tensor]) -> None:
    """Refuses a card that claims more layers or nodes than the weights have."""
    recipe = card.recipe
    most = max(len(tensors), *(max(tensor.shape, default=0) for tensor in tensors.values()))
    for name, claimed in (
        ("n_nodes", card.n_nodes),
        ("layers", recipe.vqvae.layers),
        ("layers", recipe.prior.layers),
        ("codes", recipe.vqvae.codes),
    ):
        if not 1 <= claimed <= most:
            raise ValueError(f"`{name}` on its card is {claimed:,}, and its weights are smaller")


def _networks(
    card: checkpoint.Card, space: SearchSpace, tensors: dict[str, Tensor], folder: Path
) -> tuple[VQVAE, Prior]:
    """The networks of a card, whose weights must have the shapes of those in the file."""
    vqvae = VQVAE(card.n_nodes, n_labels(space), card.recipe.vqvae)
    prior = Prior(card.n_nodes, card.recipe.vqvae.codes, card.recipe.prior)
    for name, module in (("vqvae.", vqvae), ("prior.", prior)):
        needed = {key: tensor.shape for key, tensor in module.state_dict().items()}
        found = {key: tensor.shape for key, tensor in _of_part(name, tensors).items()}
        if wrong := sorted(key for key in {*needed, *found} if needed.get(key) != found.get(key)):
            raise DataError(
                f"checkpoint {folder} does not fit its card: {excerpt(name + wrong[0])} has the "
                f"shape {found.get(wrong[0])}, not {needed.get(wrong[0])}"
            )
    return vqvae, prior


def _of_part(name: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k[len(name) :]: tensor for k, tensor in tensors.items() if k.startswith(name)}


def _check_tables(
    card: checkpoint.Card,
    labels: int,
    label: Tensor,
    edge: npt.NDArray[np.bool_],
    seen: npt.NDArray[np.bool_],
) -> None:
    codes = card.recipe.vqvae.codes
    if label.shape != (codes,) or not 0 <= int(label.min()) <= int(label.max()) < labels:
        raise ValueError(f"`decode.label` must give {codes:,} codes one of {labels} labels")
    packed = -(-codes // 8) * 8  # bits come in whole bytes
    if edge.shape != (codes, packed) or seen.shape != (card.n_nodes, packed):
        raise ValueError(f"`decode.edge` and `decode.seen` must be of {codes:,} codes")


def _joined(parts: list[CodedGraphs]) -> CodedGraphs:
    names = ("codes", "labels", "columns")
    return CodedGraphs(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


def _unpacked(bits: Tensor) -> npt.NDArray[np.bool_]:
    return np.unpackbits(bits.numpy(), axis=1).astype(bool)
