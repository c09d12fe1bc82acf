"""Networks that nobody here wrote: wrapped, compiled, of tokens, in other types of numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from zero_cost_networks import Own, Residual, batch, cell  # noqa: E402

from nas_plugins.evaluators.latency.measured import measure  # noqa: E402
from nas_plugins.evaluators.zero_cost.engine import score_network  # noqa: E402
from nas_plugins.evaluators.zero_cost.evaluator import score  # noqa: E402


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


class Wrapper(nn.Module):
    """Holds a network, as a training framework does."""

    def __init__(self, held: nn.Module) -> None:
        super().__init__()
        self.held = held

    def forward(self, images: Tensor) -> object:
        """What the network returns."""
        return self.held(images)


def _compiled_inside() -> nn.Module:
    built = cell()
    for name, part in list(built.named_children()):
        if name != "stem":
            setattr(built, name, torch.compile(part))
    return built


def _compiled_in_place() -> nn.Module:
    built = cell()
    built.compile()
    return built


WRAPPED: dict[str, Callable[[], nn.Module]] = {
    "wrapped": lambda: Wrapper(cell()),
    "wrapped twice": lambda: Wrapper(Wrapper(cell())),
    "data parallel": lambda: nn.DataParallel(cell()),
    "compiled": lambda: torch.compile(cell()),
    "compiled in place": _compiled_in_place,
    "compiled inside": _compiled_inside,
}


@pytest.mark.parametrize("way", WRAPPED)
def test_a_wrapped_network_is_scored_as_what_it_holds(way: str) -> None:
    expected = score_network(cell(), batch(), "all")
    found = score_network(WRAPPED[way](), batch(), "all")
    assert found.reasons == expected.reasons == {}
    for name, value in expected.values.items():
        assert found.values[name] == pytest.approx(value, rel=1e-5), name


class Tokens(nn.Module):
    """A transformer of PyTorch's layers, the images or the sequence first."""

    def __init__(self, images_first: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=images_first)
        self.patches, self.head = nn.Conv2d(3, 8, 4, 4), nn.Linear(8, 5)
        self.encoder = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
        self.axis = 1 if images_first else 0

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        tokens = self.patches(images).flatten(2).permute(2, 0, 1)
        tokens = self.encoder(tokens.transpose(0, self.axis)).mean(self.axis)
        return self.head(tokens)


def test_tokens_may_come_before_the_images() -> None:
    names = "az_expressivity,az_progressivity,fisher,flops,grad_norm,nwot,swap,snip,zen"
    # Nine images and nine tokens: by the shape alone the two cannot be told apart.
    for images in (8, 9):
        expected = score_network(Tokens(True), batch(images), names)
        found = score_network(Tokens(False), batch(images), names)
        assert found.reasons == expected.reasons == {}
        for name, value in expected.values.items():
            assert found.values[name] == pytest.approx(value, rel=1e-4, abs=1e-5), name
    assert score_network(Tokens(True), batch(), "az_trainability").reasons == {}


class Encoder(nn.Module):
    """Layers, and an object instead of a tensor as their result; a stem beside them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Residual(width) for _ in range(3))

    def forward(self, maps: Tensor) -> dict[str, Tensor]:
        """The last map by a name."""
        for layer in self.layers:
            maps = layer(maps)
        return {"last": maps}


class Held(nn.Module):
    """A stem with parts, and layers: in an encoder that returns an object, or in sight."""

    def __init__(self, encoder: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, held = nn.Sequential(nn.Conv2d(3, 6, 3)), Encoder(6)
        self.first, self.head, self.encoder = Residual(6), nn.Linear(6, 5), encoder
        self.held = held if encoder else held.layers

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Logits by their name."""
        maps = self.first(self.stem(images))
        if self.encoder:
            maps = self.held(maps)["last"]
        else:
            for layer in self.held:
                maps = layer(maps)
        return {"logits": self.head(maps.mean((2, 3)))}


def test_blocks_are_found_in_what_returns_an_object() -> None:
    names = "az_expressivity,az_progressivity,az_trainability"
    expected = score_network(Held(False), batch(), names)
    assert expected.reasons == {}
    assert score_network(Held(True), batch(), names).values == expected.values


class LastChannels(nn.Module):
    """A block whose maps are `(B, H, W, C)`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(width), nn.Linear(width, width)

    def forward(self, maps: Tensor) -> Tensor:
        """Keeps the shape."""
        return maps + self.linear(self.norm(maps))


def test_maps_with_their_channels_last() -> None:
    class Windows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.stem, self.head = nn.Conv2d(3, 6, 4, 4), nn.Linear(6, 5)
            self.blocks = nn.ModuleList(LastChannels(6) for _ in range(3))

        def forward(self, images: Tensor) -> Tensor:
            maps = self.stem(images).permute(0, 2, 3, 1)
            for block in self.blocks:
                maps = block(maps)
            return self.head(maps.mean((1, 2)))

    built = Windows()
    kept = []
    for block in built.blocks:
        block.register_forward_hook(lambda _, __, output: kept.append(output.detach()))
    found = score_network(built, batch(), "az_expressivity,meco").values["az_expressivity"]
    stem = built.stem(batch().inputs).permute(0, 2, 3, 1).detach()
    expected = 0.0
    for maps in (stem, *kept[-3:]):
        covariance = torch.cov(maps.flatten(0, 2).T.double(), correction=0)
        shares = torch.linalg.eigvalsh(covariance).clamp_min(0)
        shares = shares / shares.sum()
        expected -= float((shares * (shares + 1e-8).log()).sum())
    assert found == pytest.approx(expected, rel=1e-4)
    # A linear layer over a map is no convolution.
    maps = built.stem(batch().inputs)[0].flatten(1).detach()
    smallest = float(torch.linalg.eigvalsh(torch.corrcoef(maps).double())[0])
    assert score_network(built, batch(), "meco").values["meco"] == pytest.approx(
        smallest, abs=1e-5
    )


RELUS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu6": nn.ReLU6(),
    "relu6 as a function": functional.relu6,
    "relu6 in place": nn.ReLU6(inplace=True),
    "hardtanh": nn.Hardtanh(0.0, 6.0),
    "clamp": lambda x: x.clamp(0, 6),
    "clamp by name": lambda x: torch.clamp(x, min=0, max=6),
    "clip": lambda x: x.clip(0.0, 6.0),
    "clamp from below": lambda x: x.clamp_min(0),
    "threshold": nn.Threshold(0.0, 0.0),
    "maximum": lambda x: torch.maximum(x, torch.zeros(())),
    "leaky": nn.LeakyReLU(),
    "randomised": nn.RReLU(),
    "parametric": nn.PReLU(),
}


class Activated(nn.Module):
    """A convolution, an activation, a head."""

    def __init__(self, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.head, self.activation = nn.Conv2d(3, 6, 3), nn.Linear(6, 5), activation
        self.scale = nn.Parameter(torch.ones(8, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        # A bound on parameters is no activation, though they are as many as the images.
        scale = self.scale.clamp(min=0).sum()
        return self.head(self.activation(self.stem(images)).mean((2, 3))) * scale


@pytest.mark.parametrize("kind", RELUS)
def test_what_is_flat_below_zero_is_a_relu(kind: str) -> None:
    expected = score_network(Activated(nn.ReLU()), batch(), "nwot,swap")
    assert expected.reasons == {}
    assert score_network(Activated(RELUS[kind]), batch(), "nwot,swap").values == expected.values


@pytest.mark.parametrize(
    "activation", [nn.GELU(), nn.Hardtanh(), lambda x: x.clamp(-1, 1), nn.Threshold(0.1, 20.0)]
)
def test_what_is_not_is_none(activation: Callable[[Tensor], Tensor]) -> None:
    found = score_network(Activated(activation), batch(), "nwot")
    assert found.reasons["nwot"] == "no ReLU was called"


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_the_network_s_type_of_numbers(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    built = Own()
    expected = score_network(built, batch(), "nwot,swap,snip,l2_norm,flops,synflow,meco,zen")
    found = score_network(built.to(dtype), batch(), list(expected.values))
    assert found.reasons == {}
    for name, value in expected.values.items():
        assert found.values[name] == pytest.approx(value, rel=0.1), name
    assert next(built.parameters()).dtype == dtype
    single = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).to(dtype)
    assert measure(single, (3, 8, 8), warmup=1, repeats=2).median_ms > 0


def test_reasons_say_what_to_do() -> None:
    pair = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(784, 2))
    reason = score(pair, "snip").reasons["snip"]
    assert reason.startswith("label 7 does not fit the network's 2 logits; score with classes=2")
    assert score(pair, "snip", classes=2).reasons == {}
    bare = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())
    for name, why in score(bare, "snip,synflow,zico,grasp,l2_norm", classes=5).reasons.items():
        assert why == "the network has no convolution or linear layer", name


def test_a_negative_synflow_is_a_reason() -> None:
    class Negative(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(432, 5, bias=False)

        def forward(self, images: Tensor) -> Tensor:
            return -self.linear(images.flatten(1))

    assert (
        "the sum is negative" in score_network(Negative(), batch(), "synflow").reasons["synflow"]
    )


def test_weights_that_two_layers_share_are_drawn_once() -> None:
    built = nn.Sequential(
        nn.Conv2d(3, 3, 3), nn.ReLU(), nn.Conv2d(3, 3, 3), nn.Flatten(), nn.Linear(192, 5)
    )
    built[2].weight = built[0].weight
    found = score_network(built, batch(), "zen,n_layers,synflow,snip")
    assert found.reasons == {}
    assert found.values["n_layers"] == 2
