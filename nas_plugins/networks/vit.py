"""Vision transformers of the AutoFormer space.

Chen et al., "AutoFormer", ICCV 2021: pre-norm layers whose queries, keys and values are 64 wide
per head, absolute and relative positions (Shaw et al., NAACL 2018, in two dimensions), and the
mean of the patches before the classifier.
"""

from __future__ import annotations

from nas_plugins._torch import nn, torch
from nas_plugins.networks._blocks import checked_space
from nas_plugins.spaces.base import Architecture
from nas_plugins.spaces.vit import HEAD_DIMENSION, Layer, ViT, ViTShape


def build(
    architecture: Architecture,
    *,
    resolution: int = 224,
    patch: int = 16,
    classes: int = 1000,
    in_channels: int = 3,
    relative_position: bool = True,
) -> ViTNetwork:
    """Builds the network of an architecture; maps `(B, C, H, W)` to logits `(B, classes)`.

    Images of another size than `resolution` are taken too: the absolute positions are
    interpolated, and relative positions beyond the learned ones count as the farthest.

    Args:
        architecture: An architecture of ``vit``.
        resolution: Height and width of the images that the positions are learned for.
        patch: Height and width of a patch.
        classes: Outputs of the classifier.
        in_channels: Channels of the images.
        relative_position: Whether attention learns relative positions, as AutoFormer's does.

    Raises:
        ValueError: A number is not positive, the resolution is no multiple of the patch, or the
            architecture is of another space.
    """
    space = checked_space(architecture, ViT)
    shape = ViTShape(
        resolution=resolution,
        patch=patch,
        in_channels=in_channels,
        classes=classes,
        relative_position=relative_position,
    )
    return ViTNetwork(space.embed_dim(architecture), space.layers(architecture), shape)


class ViTNetwork(nn.Module):
    """Patches, a class token, positions, layers, and a linear classifier of the mean patch.

    Args:
        width: Width of the tokens.
        layers: The layers.
        shape: Images, patches and classes.
    """

    def __init__(self, width: int, layers: tuple[Layer, ...], shape: ViTShape) -> None:
        super().__init__()
        self.grid = shape.grid
        self.embedding = nn.Conv2d(shape.in_channels, width, shape.patch, stride=shape.patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, shape.grid**2 + 1, width))
        reach = shape.grid if shape.relative_position else 0
        self.layers = nn.ModuleList(TransformerLayer(width, layer, reach) for layer in layers)
        self.norm = nn.LayerNorm(width)
        self.classifier = nn.Linear(width, shape.classes)
        for parameter in (self.class_token, self.positions):
            nn.init.trunc_normal_(parameter, std=0.02)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Maps `(B, C, H, W)` images to `(B, classes)` logits."""
        patches = self.embedding(images)
        rows, columns = patches.shape[2:]
        tokens = patches.flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(len(tokens), -1, -1), tokens], dim=1)
        tokens = tokens + self._positions(rows, columns)
        for layer in self.layers:
            tokens = layer(tokens, columns)
        logits: torch.Tensor = self.classifier(self.norm(tokens)[:, 1:].mean(dim=1))
        return logits

    def _positions(self, rows: int, columns: int) -> torch.Tensor:
        """Absolute positions of the class token and a grid of patches, `(1, N, width)`."""
        positions: torch.Tensor = self.positions
        if (rows, columns) == (self.grid, self.grid):
            return positions
        own = positions[:, 1:].transpose(1, 2).reshape(1, -1, self.grid, self.grid)
        other = nn.functional.interpolate(
            own, size=(rows, columns), mode="bicubic", align_corners=False
        )
        return torch.cat([positions[:, :1], other.flatten(2).transpose(1, 2)], dim=1)


class TransformerLayer(nn.Module):
    """Self-attention and an MLP, each on normalised tokens and added to them.

    Args:
        width: Width of the tokens.
        layer: Heads and ratio.
        reach: Farthest relative position that is learned, in patches; 0 for none.
    """

    def __init__(self, width: int, layer: Layer, reach: int) -> None:
        super().__init__()
        hidden = int(width * layer.mlp_ratio)
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, layer.num_heads, reach)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, tokens: torch.Tensor, columns: int) -> torch.Tensor:
        """Maps `(B, N, width)` to the same shape, for patches in rows of `columns`."""
        tokens = tokens + self.attention(self.attention_norm(tokens), columns)
        result: torch.Tensor = tokens + self.mlp(self.mlp_norm(tokens))
        return result


class Attention(nn.Module):
    """Multi-head self-attention with heads of a fixed width.

    Args:
        width: Width of the tokens.
        heads: Number of heads.
        reach: Farthest relative position that is learned, in patches; 0 for none.
    """

    def __init__(self, width: int, heads: int, reach: int) -> None:
        super().__init__()
        self.heads = heads
        self.queries_keys_values = nn.Linear(width, 3 * heads * HEAD_DIMENSION)
        self.projection = nn.Linear(heads * HEAD_DIMENSION, width)
        self.key_positions = RelativePositions(reach) if reach else None
        self.value_positions = RelativePositions(reach) if reach else None

    def forward(self, tokens: torch.Tensor, columns: int) -> torch.Tensor:
        """Maps `(B, N, width)` to the same shape, for patches in rows of `columns`."""
        n, length, _ = tokens.shape
        parts = self.queries_keys_values(tokens).view(n, length, 3, self.heads, HEAD_DIMENSION)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4)
        scores = queries @ keys.transpose(-2, -1)
        if self.key_positions is not None:
            table = self.key_positions(tokens.shape[1], columns)
            scores = scores + torch.einsum("bhnd,nmd->bhnm", queries, table)
        weights = (scores * HEAD_DIMENSION**-0.5).softmax(dim=-1)
        mixed = weights @ values
        if self.value_positions is not None:
            table = self.value_positions(tokens.shape[1], columns)
            mixed = mixed + torch.einsum("bhnm,nmd->bhnd", weights, table)
        projected: torch.Tensor = self.projection(mixed.transpose(1, 2).flatten(2))
        return projected


class RelativePositions(nn.Module):
    """A learned vector for every pair of tokens by their distance in rows and in columns.

    Row 0 of either table stands for the class token.

    Args:
        reach: Farthest distance that has a vector of its own.
    """

    def __init__(self, reach: int) -> None:
        super().__init__()
        self.reach = reach
        self.rows = nn.Parameter(torch.zeros(2 * reach + 2, HEAD_DIMENSION))
        self.columns = nn.Parameter(torch.zeros(2 * reach + 2, HEAD_DIMENSION))
        for table in (self.rows, self.columns):
            nn.init.trunc_normal_(table, std=0.02)

    def forward(self, tokens: int, columns: int) -> torch.Tensor:
        """Vectors of a class token and `tokens` - 1 patches, `(N, N, 64)`."""
        places = torch.arange(tokens - 1, device=self.rows.device)
        rows = self._indices(torch.div(places, columns, rounding_mode="floor"))
        return self.rows[rows] + self.columns[self._indices(places % columns)]

    def _indices(self, coordinates: torch.Tensor) -> torch.Tensor:
        distances = coordinates[None, :] - coordinates[:, None]
        clipped = distances.clamp(-self.reach, self.reach) + self.reach + 1
        return nn.functional.pad(clipped, (1, 0, 1, 0))
