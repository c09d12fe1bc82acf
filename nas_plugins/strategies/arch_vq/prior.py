"""The prior over code sequences: a decoder-only transformer with a key-value cache."""

from __future__ import annotations

from nas_plugins._torch import Tensor, functional, nn, torch
from nas_plugins.strategies.arch_vq.config import PriorConfig

Cache = list[tuple[Tensor, Tensor]]


class Block(nn.Module):
    """Pre-norm self-attention and feed-forward layers."""

    def __init__(self, config: PriorConfig) -> None:
        super().__init__()
        width = config.width
        self.heads, self.dropout = config.heads, config.dropout
        self.norm_attention, self.norm_feed = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.drop = nn.Dropout(config.dropout)

    def forward(
        self, x: Tensor, past: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """`(B, T, W)` to `(B, T, W)`; with `past` the T = 1 new position attends to it too."""
        b, t, w = x.shape
        q, k, v = (
            part.view(b, t, self.heads, -1).transpose(1, 2)
            for part in self.qkv(self.norm_attention(x)).split(w, dim=-1)
        )
        if past is not None:
            k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
        attended = functional.scaled_dot_product_attention(
            q, k, v, is_causal=past is None, dropout_p=self.dropout if self.training else 0.0
        )
        x = x + self.drop(self.out(attended.transpose(1, 2).reshape(b, t, w)))
        x = x + self.drop(self.feed(self.norm_feed(x)))
        return x, (k, v)


class Prior(nn.Module):
    """p(s_1 .. s_N) over codes, one position after the other.

    The sequence always has N codes, so there is no end symbol and no wrong length.

    Args:
        n_nodes: Sequence length N.
        n_codes: Codebook size K.
        config: Widths and depth.
    """

    def __init__(self, n_nodes: int, n_codes: int, config: PriorConfig) -> None:
        super().__init__()
        self.n_nodes, self.n_codes, self.config = n_nodes, n_codes, config
        self.tokens = nn.Embedding(n_codes + 1, config.width)  # the last one starts a sequence
        self.positions = nn.Embedding(n_nodes, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, n_codes)
        self.drop = nn.Dropout(config.dropout)
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=0.02)
                if isinstance(module, nn.Linear):
                    nn.init.zeros_(module.bias)

    def forward(self, codes: Tensor) -> Tensor:
        """Logits `(B, N, K)` of every code given those before it, from codes `(B, N)`."""
        start = torch.full_like(codes[:, :1], self.n_codes)
        x = self.tokens(torch.cat([start, codes[:, :-1]], dim=1)) + self.positions.weight
        x = self.drop(x)
        for block in self.blocks:
            x, _ = block(x)
        logits: Tensor = self.head(self.norm(x))
        return logits

    @torch.no_grad()
    def step(self, last: Tensor, position: int, cache: Cache | None) -> tuple[Tensor, Cache]:
        """Log-probabilities `(B, K)` at `position`, given the code before it `(B,)`.

        `cache` holds keys and values per block of the positions before; reorder it with
        `select` when the batch is reordered. At position 0 `last` is ignored.
        """
        if position == 0:
            last = torch.full_like(last, self.n_codes)
        x = (self.tokens(last) + self.positions.weight[position])[:, None]
        grown: Cache = []
        for i, block in enumerate(self.blocks):
            x, pair = block(x, cache[i] if cache else None)
            grown.append(pair)
        return functional.log_softmax(self.head(self.norm(x[:, 0])), dim=-1), grown


def select(cache: Cache, rows: Tensor) -> Cache:
    """The cache of the given batch rows."""
    return [(k[rows], v[rows]) for k, v in cache]
