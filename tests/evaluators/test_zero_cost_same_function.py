"""One function written in several ways has one score, whatever its layers are called."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from torch.nn.utils import parametrizations, parametrize, prune  # noqa: E402
from zero_cost_networks import batch  # noqa: E402
from zero_cost_reference import reference  # noqa: E402

import nas_plugins as nap  # noqa: E402
from nas_plugins.evaluators.zero_cost.engine import score_network  # noqa: E402

WEIGHTS = ("fisher", "grad_norm", "grasp", "l2_norm", "n_layers", "plain", "snip", "synflow")
EVERY = (*WEIGHTS, "flops", "jacov", "meco", "nwot", "swap", "zen", "zico")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


class Plain(nn.Module):
    """Two convolutions and a linear layer."""

    def __init__(self, convolution: type[nn.Conv2d] = nn.Conv2d) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.first_norm = convolution(3, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.second, self.second_norm = convolution(6, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.head = nn.Linear(6, 5)

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        maps = functional.relu(self.first_norm(self.first(images)))
        maps = functional.relu(self.second_norm(self.second(maps)))
        return self.head(maps.mean((2, 3)))


class ByHand(nn.Module):
    """The same with parameters of its own and functions."""

    def __init__(self, plain: Plain) -> None:
        super().__init__()
        twin = copy.deepcopy(plain)
        self.kernel, self.shift = twin.first.weight, twin.first.bias
        self.kernels = nn.ParameterList([twin.second.weight, twin.second.bias])
        self.matrix, self.offset = (
            nn.Parameter(twin.head.weight.detach().T.clone()),
            twin.head.bias,
        )
        self.norms = nn.ModuleList([twin.first_norm, twin.second_norm])

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        maps = functional.conv2d(images, self.kernel, self.shift, padding=1)
        maps = self.norms[0](maps).relu()
        maps = functional.conv2d(maps, *self.kernels, padding=1)
        return torch.addmm(self.offset, self.norms[1](maps).relu().mean((2, 3)), self.matrix)


class Twice(nn.Module):
    """Twice the weight; of half of it, the weight."""

    def forward(self, weight: Tensor) -> Tensor:
        """What the layer uses."""
        return weight * 2

    def right_inverse(self, weight: Tensor) -> Tensor:
        """What is kept."""
        return weight / 2


def twice(built: Plain) -> None:
    for layer in (built.first, built.second, built.head):
        parametrize.register_parametrization(layer, "weight", Twice())
    parametrize.register_parametrization(built.head, "bias", Twice())


WAYS: dict[str, Callable[[Plain], object]] = {
    "weight norm": lambda n: parametrizations.weight_norm(n.second),
    "old weight norm": lambda n: nn.utils.weight_norm(n.second),
    "a parametrisation of one's own": twice,
    "masks that hide nothing": lambda n: [
        prune.identity(n.first, "weight"),
        prune.identity(n.head, "bias"),
    ],
}


def assert_same(one: nn.Module, other: nn.Module, names: tuple[str, ...] = EVERY) -> None:
    images = batch()
    with torch.no_grad():
        torch.testing.assert_close(one.eval()(images.inputs), other.eval()(images.inputs))
    expected = score_network(one, images, names)
    found = score_network(other, images, names)
    assert dict(found.reasons) == dict(expected.reasons) == {}
    for name in names:
        # ZiCo divides by small differences.
        rel = 1e-2 if name == "zico" else 1e-4
        assert found.values[name] == pytest.approx(expected.values[name], rel=rel), name


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.parametrize("way", WAYS)
def test_a_computed_weight_counts_as_the_weight_that_is_used(way: str) -> None:
    other = Plain()
    WAYS[way](other)
    assert_same(Plain(), other)
    counted = sum(parameter.numel() for parameter in other.parameters())
    assert score_network(other, batch(), "params").values["params"] * 1e6 == pytest.approx(counted)


@pytest.mark.parametrize(
    "change",
    [
        lambda n: prune.l1_unstructured(n.second, "weight", 0.5),
        lambda n: parametrizations.spectral_norm(n.second),
        lambda n: nn.utils.spectral_norm(n.second),
        lambda n: parametrizations.orthogonal(n.head),
    ],
)
def test_a_weight_that_is_changed_counts_as_changed(change: Callable[[Plain], object]) -> None:
    changed, plain = Plain(), Plain()
    change(changed)
    changed.eval()(batch().inputs)  # the older spectral norm's weight is that of the last call
    with torch.no_grad():
        plain.second.weight.copy_(changed.second.weight)
        plain.head.weight.copy_(changed.head.weight)
    assert_same(plain, changed)


def test_functions_count_like_modules() -> None:
    plain = Plain()
    names = tuple(name for name in EVERY if name != "zen")
    assert_same(plain, ByHand(plain), names)  # other weights are drawn for a turned matrix
    assert score_network(ByHand(plain), batch(), "zen").values["zen"] == pytest.approx(
        score_network(plain, batch(), "zen").values["zen"], abs=0.5
    )


class Composed(nn.Module):
    """A linear layer whose weight `forward` computes, maybe more than once."""

    def __init__(self, weight: Tensor | None, times: int = 1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.left, self.right = nn.Parameter(torch.randn(6, 2)), nn.Parameter(torch.randn(2, 6))
        self.stem, self.head, self.times = nn.Conv2d(3, 6, 3), nn.Linear(6, 5), times
        self.middle = None if weight is None else nn.Parameter(weight)

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        found = self.stem(images).relu().mean((2, 3))
        for _ in range(self.times):
            weight = self.left @ self.right if self.middle is None else self.middle
            found = functional.linear(found, weight).relu()
        return self.head(found)


@pytest.mark.parametrize("times", [1, 2])
def test_a_weight_that_forward_computes(times: int) -> None:
    computed = Composed(None, times)
    plain = Composed((computed.left @ computed.right).detach(), times)
    images = batch()
    expected = score_network(plain, images, WEIGHTS)
    found = score_network(computed, images, WEIGHTS)
    assert found.values["n_layers"] == 3
    names = [name for name in WEIGHTS if name not in ("synflow", "grasp")]
    for name in (*names, "grasp"):
        assert found.values[name] == pytest.approx(expected.values[name], rel=1e-4), name
    assert "cannot be drawn" in score_network(computed, images, "zen").reasons["zen"]


class Standardised(nn.Conv2d):
    """Standardises its weight by a batch normalisation, as some public networks do."""

    def forward(self, images: Tensor) -> Tensor:
        """The convolution."""
        rows = self.weight.reshape(1, self.out_channels, -1)
        rows = functional.batch_norm(rows, None, None, training=True, momentum=0.0, eps=1e-6)
        weight = rows.reshape_as(self.weight)
        return functional.conv2d(images, weight, self.bias, self.stride, self.padding)


class StandardisedByHand(nn.Conv2d):
    """The same, written out."""

    def forward(self, images: Tensor) -> Tensor:
        """The convolution."""
        rows = self.weight.flatten(1)
        centred = rows - rows.mean(1, keepdim=True)
        rows = centred / (rows.var(1, unbiased=False, keepdim=True) + 1e-6).sqrt()
        weight = rows.reshape_as(self.weight)
        return functional.conv2d(images, weight, self.bias, self.stride, self.padding)


def test_a_batch_normalisation_of_weights_is_none_of_the_network() -> None:
    one, other = Plain(Standardised), Plain(StandardisedByHand)
    assert_same(one, other)
    found = score_network(one, batch(), WEIGHTS)
    for name in ("fisher", "grad_norm", "snip"):
        expected = reference(name, one, batch(), 0)
        assert found.values[name] == pytest.approx(expected, rel=1e-4), name


class Attention(nn.Module):
    """Patches and attention: PyTorch's module, or linear layers of one's own."""

    def __init__(self, module: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches, self.head = nn.Conv2d(3, 8, 4, 4), nn.Linear(8, 5)
        self.attention = attention = nn.MultiheadAttention(8, 2, batch_first=True)
        if not module:
            self.mixed, self.out = nn.Linear(8, 24), attention.out_proj
            self.mixed.weight, self.mixed.bias = attention.in_proj_weight, attention.in_proj_bias
            self.attention = None

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        if self.attention is not None:
            return self.head(self.attention(tokens, tokens, tokens, need_weights=False)[0].mean(1))
        parts = self.mixed(tokens).unflatten(2, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        found = functional.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2)
        return self.head(self.out(found).mean(1))


def test_attention_as_a_module_and_by_hand() -> None:
    assert_same(Attention(False), Attention(True), (*WEIGHTS, "flops", "params", "zico"))
    # Patches, projections, attention's two products, the head.
    expected = 9 * 48 * 8 + 9 * 8 * 24 + 2 * 9 * 9 * 8 + 9 * 8 * 8 + 8 * 5
    found = score_network(Attention(True), batch(), "flops").values["flops"]
    assert found * 1e6 == pytest.approx(expected)


class Windows(nn.Module):
    """A layer that sees the positions of an image in its rows, or parts of it as rows."""

    def __init__(self, parts: tuple[int, ...]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches, self.mixed, self.head = (
            nn.Conv2d(3, 6, 3, 3),
            nn.Linear(6, 6),
            nn.Linear(6, 5),
        )
        self.parts = parts

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        found = self.mixed(tokens.reshape(*self.parts, 6)).relu()
        return self.head(found.reshape(tokens.shape).mean(1))


@pytest.mark.parametrize("parts", [(-1, 4), (-1,), (-1, 2, 2)])
def test_windows_of_an_image_are_its_positions(parts: tuple[int, ...]) -> None:
    names = tuple(name for name in EVERY if name != "zen")
    assert_same(Windows((-1, 16)), Windows(parts), names)


class FramesOrRows(nn.Module):
    """A convolution of parts of each image: its frames as images of their own, or side by side."""

    def __init__(self, frames: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution, self.head, self.frames = nn.Conv2d(3, 6, (1, 3)), nn.Linear(6, 5), frames

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        found = images.transpose(1, 2).flatten(0, 1)[:, :, None] if self.frames else images
        found = self.convolution(found).relu()
        if self.frames:
            found = found.unflatten(0, (len(images), -1)).squeeze(3).transpose(1, 2)
        return self.head(found.mean((2, 3)))


def test_frames_of_an_image_are_its_positions() -> None:
    names = tuple(name for name in EVERY if name not in ("zen", "meco"))
    assert_same(FramesOrRows(False), FramesOrRows(True), names)


class Rows(nn.Module):
    """Convolutions along the rows, of one dimension or of two."""

    def __init__(self, one: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        first, second = nn.Conv1d(3, 6, 5), nn.ConvTranspose1d(6, 4, 3, 2)
        if not one:
            wide, up = nn.Conv2d(3, 6, (1, 5)), nn.ConvTranspose2d(6, 4, (1, 3), (1, 2))
            with torch.no_grad():
                for mine, theirs in zip([*wide.parameters(), *up.parameters()],
                                        [*first.parameters(), *second.parameters()],
                                        strict=True):  # fmt: skip
                    mine.copy_(theirs.reshape(mine.shape))
            first, second = wide, up
        torch.manual_seed(1)
        self.first, self.second, self.head, self.one = first, second, nn.Linear(4, 5), one

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        rows = images.flatten(2) if self.one else images.flatten(2)[:, :, None]
        return self.head(self.second(self.first(rows).relu()).relu().flatten(2).mean(2))


def test_a_convolution_of_one_dimension_is_one_of_two() -> None:
    assert_same(Rows(False), Rows(True), tuple(name for name in EVERY if name != "zen"))


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_layers_count(kind: type[nn.RNNBase]) -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.recurrent, self.head = kind(36, 7, batch_first=True), nn.Linear(7, 5)

        def forward(self, images: Tensor) -> Tensor:
            return self.head(self.recurrent(images.transpose(1, 2).flatten(2))[0].mean(1))

    torch.manual_seed(0)
    built = Recurrent()
    found = score_network(built, batch(), "flops,n_layers,l2_norm,snip,zen,fisher")
    weights = [built.recurrent.weight_ih_l0, built.recurrent.weight_hh_l0, built.head.weight]
    used = 12 * (weights[0].numel() + weights[1].numel()) + weights[2].numel()
    assert found.values["flops"] * 1e6 == pytest.approx(used)
    assert found.values["n_layers"] == 3
    assert found.values["l2_norm"] == pytest.approx(sum(float(w.detach().norm()) for w in weights))
    assert "recurrent" in found.reasons["fisher"]
    # Every weight is drawn, so the network's own do not matter.
    with torch.no_grad():
        built.recurrent.weight_hh_l0.mul_(100)
    assert score_network(built, batch(), "zen").values["zen"] == found.values["zen"]


def test_a_script_is_counted_and_says_what_it_hides() -> None:
    plain = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(6, 5),
    )  # fmt: skip
    names = "flops,n_layers,l2_norm,params,grad_norm,snip,zico,jacov"
    expected = score_network(plain, batch(), names)
    found = score_network(torch.jit.script(plain), batch(), "all")
    for name, value in expected.values.items():
        assert found.values[name] == pytest.approx(value, rel=1e-3), name
    for name in ("fisher", "meco", "nwot", "synflow", "zen"):
        assert "TorchScript" in found.reasons[name]


def test_what_cannot_be_counted_is_a_reason() -> None:
    class Pairs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pairs = nn.Bilinear(3, 3, 5)

        def forward(self, images: Tensor) -> Tensor:
            return self.pairs(images.mean((2, 3)), images.mean((2, 3)))

    found = score_network(Pairs(), batch(), "flops,n_layers")
    assert "are not known" in found.reasons["flops"]
    assert found.values["n_layers"] == 1


def test_a_vision_transformer_s_count_is_that_of_its_space() -> None:
    space = nap.space("vit")
    architecture = space.sample(np.random.default_rng(1))
    options = {"resolution": 12, "patch": 4, "classes": 10}
    torch.manual_seed(0)
    built = space.network(architecture, **options, relative_position=False)
    found = score_network(built, batch(), "flops").values["flops"]
    expected = space.complexity(architecture, **options, relative_position=False).flops
    assert found == pytest.approx(expected / 1e6)
