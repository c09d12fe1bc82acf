"""Small networks of the shapes that public libraries have, each beside a plain twin."""

from __future__ import annotations

from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from zero_cost_networks import Residual, batch  # noqa: E402

from nas_plugins.evaluators.zero_cost.engine import Scores, score_network  # noqa: E402

AZ = ("az_expressivity", "az_progressivity", "az_trainability")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def built(make: Callable[[], nn.Module]) -> nn.Module:
    """A network with the weights of one seed."""
    torch.manual_seed(0)
    return make()


def same(found: Scores, expected: Scores) -> None:
    """Checks that all have values, and the same."""
    assert found.reasons == expected.reasons == {}
    for name, value in expected.values.items():
        assert found.values[name] == pytest.approx(value, rel=1e-4, abs=1e-6), name


class Viewed(nn.Module):
    """A convolution, and a head that views its maps as rows, or reshapes them."""

    def __init__(self, view: bool) -> None:
        super().__init__()
        self.stem, self.head, self.view = nn.Conv2d(3, 4, 3), nn.Linear(400, 5), view

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        maps = functional.relu(self.stem(images))
        return self.head(maps.view(len(maps), -1) if self.view else maps.flatten(1))


def test_a_network_that_views_its_maps_is_run_on_the_layout_that_it_needs() -> None:
    names = "nwot,snip,zico,synflow,zen,grasp,flops"
    network = built(lambda: Viewed(True))
    expected = score_network(built(lambda: Viewed(False)), batch(), names)
    same(score_network(network, batch(), names), expected)
    told = score_network(network, batch(), names, channels_last=True)
    assert "view size is not compatible" in told.reasons["nwot"]


class InPlace(nn.Module):
    """Blocks that activate what they are given, and layers' outputs, in place or not."""

    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 6, 3), nn.Linear(6, 5)
        self.blocks = nn.ModuleList(Activating(6, inplace) for _ in range(3))

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        maps = self.stem(images)
        for block in self.blocks:
            maps = block(maps)
        return self.head(maps.mean((2, 3)))


class Activating(nn.Module):
    """An activation before its layers and one between them."""

    def __init__(self, width: int, inplace: bool) -> None:
        super().__init__()
        self.parts = nn.Sequential(nn.Conv2d(width, width, 3, padding=1))
        self.inplace = inplace

    def forward(self, maps: Tensor) -> Tensor:
        """Keeps the shape."""
        maps = functional.silu(maps, inplace=self.inplace)
        return functional.silu(self.parts(maps), inplace=self.inplace)


def test_what_is_overwritten_in_place_counts_as_it_was() -> None:
    found = score_network(built(lambda: InPlace(True)), batch(), ["fisher", *AZ, "grad_norm"])
    expected = score_network(built(lambda: InPlace(False)), batch(), list(found.values))
    same(found, expected)


class Gated(nn.Module):
    """A convolution with a ReLU, whose maps a hard sigmoid gates."""

    def __init__(self, gate: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.stem, self.inner, self.head = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 1), nn.Linear(6, 5)
        self.gate = gate

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        maps = functional.relu(self.stem(images))
        return self.head((maps * self.gate(self.inner(maps))).mean((2, 3)))


GATES: dict[str, Callable[[Tensor], Tensor]] = {
    "relu6": lambda x: functional.relu6(x + 3) / 6,
    "a module": lambda x: nn.ReLU6()(3.0 + x) / 6,
    "clamped": lambda x: (x / 6 + 0.5).clamp(0, 1),
    "by names": lambda x: torch.clamp(x.add(3), min=0, max=6) / 6,
    "in place": lambda x: x.clone().add_(3.0).clamp_(0.0, 6.0).div_(6.0),
}


@pytest.mark.parametrize("way", GATES)
def test_a_hard_sigmoid_is_no_activation_however_it_is_written(way: str) -> None:
    expected = score_network(built(lambda: Gated(functional.hardsigmoid)), batch(), "nwot,swap")
    found = score_network(built(lambda: Gated(GATES[way])), batch(), "nwot,swap")
    assert expected.reasons == {}
    assert found.values == expected.values
    # Other bounds of a sum are an activation.
    other = score_network(built(lambda: Gated(lambda x: functional.relu6(x + 1))), batch(), "nwot")
    assert other.values["nwot"] > expected.values["nwot"]


def test_grasp_through_a_hard_sigmoid() -> None:
    names = "grasp,snip"
    expected = score_network(built(lambda: Gated(GATES["relu6"])), batch(), names)
    same(score_network(built(lambda: Gated(functional.hardsigmoid)), batch(), names), expected)
    hidden = Gated(lambda x: functional.hardsigmoid(x.clone(), inplace=True))
    reason = score_network(hidden, batch(), names).reasons
    assert reason == {"grasp": "PyTorch has no second derivative of hardsigmoid"}


class Headed(nn.Module):
    """Residual blocks and a head."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.stem, self.blocks = nn.Conv2d(3, 6, 3), nn.Sequential(Residual(6), Residual(6))
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        return self.head(self.blocks(self.stem(images)).mean((2, 3)))


def test_a_head_that_begins_at_zero_is_named() -> None:
    names = [*AZ, "meco", "nwot", "swap"]
    expected = score_network(built(lambda: Headed(nn.Linear(6, 5))), batch(), names)
    network = built(lambda: Headed(nn.Linear(6, 5)))
    nn.init.zeros_(network.head.weight)
    found = score_network(network, batch(), "all")
    assert {name: found.values[name] for name in names} == expected.values
    for name in ("grad_norm", "snip", "fisher", "zico", "jacov", "grasp", "synflow"):
        assert found.reasons[name].startswith("dead network: "), name
        assert "all of head.weight is zero: draw it first" in found.reasons[name]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_input_gradients_that_cancel_out_have_no_value(dtype: torch.dtype) -> None:
    normed = built(lambda: Headed(nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 5)))).to(dtype)
    found = score_network(normed, batch(), "jacov,epe_nas,grad_norm")
    assert set(found.reasons) == {"jacov", "epe_nas"}
    assert "cancel out" in found.reasons["jacov"]
    plain = built(lambda: Headed(nn.Linear(6, 5))).to(dtype)
    assert score_network(plain, batch(), "jacov,epe_nas").reasons == {}


class Asking(nn.Module):
    """Asks for gradients at its input, as audio encoders do to be trained in part."""

    def __init__(self, asks: bool) -> None:
        super().__init__()
        self.stem, self.head, self.asks = nn.Conv2d(3, 6, 3), nn.Linear(6, 5), asks

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        images = images * 1.0
        if self.asks and self.training:
            images.requires_grad = True
        return self.head(functional.relu(self.stem(images)).mean((2, 3)))


def test_a_network_may_ask_for_gradients_that_it_has() -> None:
    names = "jacov,nwot,grad_norm,zico"
    expected = score_network(built(lambda: Asking(False)), batch(), names)
    same(score_network(built(lambda: Asking(True)), batch(), names), expected)


class Projected(nn.Module):
    """Tokens through a linear layer, or through a product with its weight on the left."""

    def __init__(self, left: bool) -> None:
        super().__init__()
        self.patches, self.linear = nn.Conv2d(3, 6, 4, 4), nn.Linear(6, 7, bias=False)
        self.head, self.left = nn.Linear(7, 5), left

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        rows = self.patches(images).flatten(2)
        if self.left:
            return self.head((self.linear.weight @ rows).mean(2))
        return self.head(self.linear(rows.transpose(1, 2)).mean(1))


def test_a_product_may_have_its_weight_on_the_left() -> None:
    names = "fisher,grad_norm,flops,n_layers"
    expected = score_network(built(lambda: Projected(False)), batch(), names)
    same(score_network(built(lambda: Projected(True)), batch(), names), expected)


class NormAct(nn.BatchNorm2d):
    """A normalisation that holds the activation after it."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.act = nn.ReLU()

    def forward(self, maps: Tensor) -> Tensor:
        """Keeps the shape."""
        return self.act(super().forward(maps))


class Pool(nn.Module):
    """A global pooling of parts."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, maps: Tensor) -> Tensor:
        """`(B, C, 1, 1)`."""
        return self.pool(maps)


def test_a_normalisation_and_a_pooling_of_parts_are_no_blocks() -> None:
    def made(parts: bool) -> nn.Module:
        norm = NormAct(6) if parts else nn.Sequential(nn.BatchNorm2d(6), nn.ReLU())
        pool = Pool() if parts else nn.AdaptiveAvgPool2d(1)
        return nn.Sequential(
            nn.Conv2d(3, 6, 3), norm, Residual(6), Residual(6), pool, nn.Flatten(), nn.Linear(6, 5)
        )

    for pixels in (12, 3):  # maps of many positions and of one
        images = batch(pixels=pixels)
        expected = score_network(built(lambda: made(False)), images, AZ)
        same(score_network(built(lambda: made(True)), images, AZ), expected)


class RowBlock(nn.Module):
    """A convolution of rows beside the identity, in one or two dimensions."""

    def __init__(self, rows: bool) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(6, 6, 1) if rows else nn.Conv2d(6, 6, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Keeps the shape."""
        return maps + functional.relu(self.convolution(maps))


class Rows(nn.Module):
    """Images as rows of positions."""

    def __init__(self, rows: bool) -> None:
        super().__init__()
        self.stem, self.head, self.rows = nn.Conv2d(3, 6, 3), nn.Linear(6, 5), rows
        self.blocks = nn.ModuleList([RowBlock(rows), RowBlock(rows)])

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        maps = self.stem(images).flatten(2)
        maps = maps if self.rows else maps[..., None]
        for block in self.blocks:
            maps = block(maps)
        return self.head(maps.flatten(2).mean(2))


def test_maps_of_one_dimension_have_their_channels_second() -> None:
    expected = score_network(built(lambda: Rows(False)), batch(), AZ)
    same(score_network(built(lambda: Rows(True)), batch(), AZ), expected)


class Masked(nn.Module):
    """Blocks that are given a mask beside the tokens."""

    def __init__(self, mask: bool) -> None:
        super().__init__()
        self.patches, self.head, self.mask = nn.Conv2d(3, 6, 4, 4), nn.Linear(6, 5), mask
        self.blocks = nn.ModuleList([MaskedBlock(6), MaskedBlock(6)])

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        length = tokens.shape[1]
        mask = torch.zeros(len(images), 1, length, length) if self.mask else None
        for block in self.blocks:
            tokens = block(tokens, mask=mask)
        return self.head(tokens.mean(1))


class MaskedBlock(nn.Module):
    """A linear layer beside the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """Keeps the shape."""
        return tokens + torch.tanh(self.linear(tokens))


def test_a_mask_is_no_feature_map() -> None:
    expected = score_network(built(lambda: Masked(False)), batch(), AZ)
    same(score_network(built(lambda: Masked(True)), batch(), AZ), expected)


class Pooled(nn.Module):
    """Maps with their channels second or last, and the mean over their positions."""

    def __init__(self, last: bool) -> None:
        super().__init__()
        self.stem, self.linear, self.last = nn.Conv2d(3, 6, 4, 4), nn.Linear(6, 6), last
        self.head = nn.Linear(6, 5)

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        maps = torch.relu(self.linear(self.stem(images).permute(0, 2, 3, 1)))
        pooled = maps.mean((1, 2)) if self.last else maps.permute(0, 3, 1, 2).mean((2, 3))
        return self.head(pooled)


def test_the_features_of_zen_may_have_their_channels_last() -> None:
    expected = score_network(built(lambda: Pooled(False)), batch(), "zen")
    same(score_network(built(lambda: Pooled(True)), batch(), "zen"), expected)


def test_what_meco_needs_is_said() -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Linear(432, 5))
    assert score_network(flat, batch(), "meco").reasons["meco"] == "no convolution was called"


class Turned(nn.Module):
    """A stem that turns its maps, without a normalisation that would tell."""

    def __init__(self, last: bool) -> None:
        super().__init__()
        self.convolution, self.last = nn.Sequential(nn.Conv2d(3, 6, 4, 4)), last

    def forward(self, images: Tensor) -> Tensor:
        """Channels last, or as tokens."""
        maps = self.convolution(images).permute(0, 2, 3, 1)
        return maps if self.last else maps.flatten(1, 2)


class Normed(nn.Module):
    """A block that normalises the last side."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(6), nn.Linear(6, 6)

    def forward(self, maps: Tensor) -> Tensor:
        """Keeps the shape."""
        return maps + self.linear(self.norm(maps))


def test_the_next_block_tells_where_the_channels_are() -> None:
    def made(last: bool) -> nn.Module:
        class Head(nn.Linear):
            def forward(self, maps: Tensor) -> Tensor:
                return super().forward(maps.flatten(1, -2).mean(1))

        return nn.Sequential(Turned(last), Normed(), Normed(), Head(6, 5))

    expected = score_network(built(lambda: made(False)), batch(), AZ)
    same(score_network(built(lambda: made(True)), batch(), AZ), expected)


def test_meco_of_maps_with_fewer_positions_than_channels_is_zero() -> None:
    patches = nn.Sequential(nn.Conv2d(3, 16, 4, 4), nn.Flatten(), nn.Linear(144, 5))
    assert score_network(patches, batch(), "meco").values["meco"] == 0


class Scale:
    """What is no tensor, and knows how to be added to one."""

    def __radd__(self, maps: Tensor) -> Tensor:
        return maps * 2


def test_what_is_no_tensor_may_be_added_to_one() -> None:
    expected = score_network(built(lambda: Gated(lambda x: x * 2)), batch(), "nwot,snip")
    same(
        score_network(built(lambda: Gated(lambda x: x + Scale())), batch(), "nwot,snip"), expected
    )
