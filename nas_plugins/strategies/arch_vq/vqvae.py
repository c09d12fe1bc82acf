"""The VQ-VAE over architecture graphs: GIN encoder, EMA codebook, graph decoder.

Arch-VQ, arXiv 2503.22063v2, equations 1-8; the options that leave the paper are described in
`VQVAEConfig`. An edge is a function of two codes and an operation a function of one, so that
decoding is a look-up in two tables.

With ``z`` the encodings of a batch's nodes and ``e`` their codes' vectors, the decoder sees ``z
+ stop_gradient(e - z)``, so that its gradient reaches the encoder (straight-through), and the
loss is ``CE(operations) + w BCE(edges) + beta mean |z - e|^2``: cross-entropies of the labels
and of the pairs i < j, and the commitment to the codes.
"""

from __future__ import annotations

from itertools import pairwise

from nas_plugins._torch import Tensor, functional, nn, torch
from nas_plugins.strategies.arch_vq.codebook import Codebook
from nas_plugins.strategies.arch_vq.config import VQVAEConfig


class GraphLayer(nn.Module):
    """A GIN layer, H <- ReLU(BN(MLP(aggregate(H)))), over `(B, N, C)` node features.

    Xu et al., "How Powerful are Graph Neural Networks?", ICLR 2019. Dense, as all graphs of a
    batch have N nodes.
    """

    def __init__(self, width_in: int, width: int, *, directed: bool) -> None:
        super().__init__()
        self.directed = directed
        self.eps = nn.Parameter(torch.zeros(()))
        self.mlp = nn.Sequential(
            nn.Linear(width_in * (3 if directed else 1), width), nn.ReLU(), nn.Linear(width, width)
        )
        self.norm = nn.BatchNorm1d(width)

    def forward(self, features: Tensor, adjacency: Tensor) -> Tensor:
        """`(B, N, C)` and directed adjacency `(B, N, N)` to `(B, N, width)`."""
        outgoing, incoming = adjacency @ features, adjacency.transpose(1, 2) @ features
        own = (1 + self.eps) * features
        if self.directed:
            hidden = torch.cat([own, incoming, outgoing], dim=-1)
        else:
            hidden = own + incoming + outgoing
        hidden = self.mlp(hidden)
        return functional.relu(self.norm(hidden.flatten(0, 1))).view_as(hidden)


class VQVAE(nn.Module):
    """Graphs to codes and back.

    Args:
        n_nodes: Nodes N per graph.
        n_labels: Node labels, padding included.
        config: Widths and options.
    """

    def __init__(self, n_nodes: int, n_labels: int, config: VQVAEConfig) -> None:
        super().__init__()
        self.n_nodes, self.n_labels, self.config = n_nodes, n_labels, config
        width_in = n_labels + (n_nodes if config.positions else 0)
        widths = [width_in] + [config.hidden] * config.layers
        self.layers = nn.ModuleList(
            GraphLayer(a, b, directed=config.directed) for a, b in pairwise(widths)
        )
        self.head = nn.Linear(config.hidden, config.latent)
        self.codebook = Codebook(config.codes, config.latent, config.decay)
        self.operation_head = nn.Linear(config.latent, n_labels)
        if config.bilinear:
            self.source = nn.Linear(config.latent, config.edge_width, bias=False)
            self.target = nn.Linear(config.latent, config.edge_width, bias=False)
            self.edge_bias = nn.Parameter(torch.zeros(()))
        self.upper: Tensor
        upper = torch.ones(n_nodes, n_nodes, dtype=torch.bool).triu(1)
        self.register_buffer("upper", upper, persistent=False)

    def encode(self, adjacency: Tensor, operations: Tensor) -> Tensor:
        """Adjacency `(B, N, N)` and labels `(B, N)` to node vectors `(B, N, D)`."""
        features = functional.one_hot(operations, self.n_labels).float()
        if self.config.positions:
            eye = torch.eye(self.n_nodes, device=features.device)
            features = torch.cat([features, eye.expand(len(features), -1, -1)], dim=-1)
        links = adjacency.float()
        for layer in self.layers:
            features = layer(features, links)
        vectors: Tensor = self.head(features)
        return vectors

    def codes(self, adjacency: Tensor, operations: Tensor) -> Tensor:
        """Code indices `(B, N)` of graphs."""
        return self.codebook.nearest(self.encode(adjacency, operations))

    def edge_logits(self, source: Tensor, target: Tensor) -> Tensor:
        """Logits of edges from rows of `source` `(..., N, D)` to rows of `target`."""
        if self.config.bilinear:
            score: Tensor = self.source(source) @ self.target(target).transpose(-1, -2)
            return score + self.edge_bias
        return source @ target.transpose(-1, -2)

    def loss(self, adjacency: Tensor, operations: Tensor, z: Tensor, codes: Tensor) -> Tensor:
        """Reconstruction and commitment with the straight-through estimator, weighted and added.

        Args:
            adjacency: `(B, N, N)`.
            operations: `(B, N)`.
            z: Encodings `(B, N, D)`.
            codes: Their codes `(B, N)`.
        """
        quantised = self.codebook.vectors[codes]
        commitment = functional.mse_loss(z, quantised)
        through = z + (quantised - z).detach()
        op_logits = self.operation_head(through).flatten(0, 1)
        edge_logits = self.edge_logits(through, through)[:, self.upper]
        edges = adjacency[:, self.upper].float()
        return (
            functional.cross_entropy(op_logits, operations.flatten())
            + self.config.edge_weight
            * functional.binary_cross_entropy_with_logits(edge_logits, edges)
            + self.config.commitment * commitment
        )

    @torch.no_grad()
    def tables(self) -> tuple[Tensor, Tensor]:
        """Decoding as look-ups: label per code `(K,)` and edge per ordered pair `(K, K)`."""
        vectors = self.codebook.vectors
        return self.operation_head(vectors).argmax(1), self.edge_logits(vectors, vectors) > 0
