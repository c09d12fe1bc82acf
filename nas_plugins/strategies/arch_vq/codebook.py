"""The codebook: an exponential moving average of the encodings that its codes stand for.

Symbols
    ``e_k``     vector of code k of K
    ``n_k``     encodings of a batch whose nearest code is k; their sum is ``S_k``
    ``N_k``     moving average of ``n_k``; ``N`` is the sum of all
    ``M_k``     moving average of ``S_k``

With decay g, ``N_k <- g N_k + (1 - g) n_k``, ``M_k <- g M_k + (1 - g) S_k`` and ``e_k = M_k /
((N_k + 1e-5) / (N + K 1e-5) N)``, where the smoothing keeps a code that is out of use from a
division by 0.
"""

from __future__ import annotations

from nas_plugins._torch import Tensor, nn, torch

_DEAD = 1e-2
_FARTHEST = 6e4
_SMOOTHING = 1e-5


class Codebook(nn.Module):
    """K code vectors of dimension D, updated without gradients.

    van den Oord et al., "Neural Discrete Representation Learning", NeurIPS 2017, appendix A.1;
    Arch-VQ, equations 6 and 7.

    Args:
        codes: K.
        latent: D.
        decay: Decay gamma of the moving averages.
    """

    def __init__(self, codes: int, latent: int, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.vectors: Tensor
        self.counts: Tensor
        self.sums: Tensor
        self.register_buffer("vectors", torch.randn(codes, latent))
        self.register_buffer("counts", torch.zeros(codes))
        self.register_buffer("sums", self.vectors.clone())

    def nearest(self, z: Tensor) -> Tensor:
        """Index of the nearest code, `(..., D)` to `(...)`."""
        flat = z.flatten(0, -2)
        distance = self.vectors.square().sum(1) - 2 * flat @ self.vectors.T
        return distance.argmin(1).view(z.shape[:-1])

    @torch.no_grad()
    def initialise(self, z: Tensor) -> None:
        """Starts from distinct encodings `(M, D)`; where they run out, from noisy copies."""
        rows = torch.unique(z, dim=0)
        picks = torch.randperm(len(rows), device=z.device)[: len(self.vectors)]
        if len(picks) < len(self.vectors):
            missing = len(self.vectors) - len(picks)
            extra = torch.randint(len(rows), (missing,), device=z.device)
            picks = torch.cat([picks, extra])
        noise = 1e-3 * z.std() * torch.randn_like(self.vectors)
        self.vectors.copy_(rows[picks] + noise)
        self.sums.copy_(self.vectors)
        self.counts.fill_(1.0)

    @torch.no_grad()
    def update(self, z: Tensor, codes: Tensor, *, revive: bool) -> None:
        """One step of the moving averages, with Laplace smoothing of the counts.

        Args:
            z: Encodings `(..., D)`.
            codes: Their codes `(...)`.
            revive: Replace codes whose average count has fallen below .01 by encodings.
        """
        flat, index = z.flatten(0, -2), codes.flatten()
        k = len(self.vectors)
        hits = torch.bincount(index, minlength=k).to(flat)
        total = torch.zeros_like(self.sums).index_add_(0, index, flat)
        self.counts.lerp_(hits, 1 - self.decay)
        self.sums.lerp_(total, 1 - self.decay)
        if revive:
            dead = torch.nonzero(self.counts < _DEAD)[:, 0]
            picks = torch.randint(len(flat), (len(dead),), device=flat.device)
            self.sums[dead] = flat[picks]
            self.counts[dead] = 1.0
        n = self.counts.sum()
        smooth = (self.counts + _SMOOTHING) / (n + k * _SMOOTHING) * n
        # Without revival a code that nothing is near runs away, to infinity in the half precision
        # that models are kept in; nearer than that it is nobody's nearest code all the same.
        self.vectors.copy_((self.sums / smooth[:, None]).clamp(-_FARTHEST, _FARTHEST))
