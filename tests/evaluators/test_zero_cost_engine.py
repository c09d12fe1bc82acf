"""What the engine leaves behind, and what it says of networks that fail."""

from __future__ import annotations

import copy
import gc
import math
import weakref

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from zero_cost_networks import batch, cell, network  # noqa: E402

from nas_plugins.errors import UnknownNameError  # noqa: E402
from nas_plugins.evaluators.zero_cost.batch import Batch  # noqa: E402
from nas_plugins.evaluators.zero_cost.engine import score_network  # noqa: E402

COUNTS = {"params", "flops", "n_layers", "l2_norm"}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


class Broken(nn.Module):
    """Fails in a way of its choice."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.convolution, self.head, self.how = nn.Conv2d(3, 4, 3), nn.Linear(4, 5), how

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Raises, or returns what is no logits."""
        if self.how == "raises":
            raise RuntimeError("no such layer\nsecond line")
        maps = self.convolution(images)
        if self.how == "map":
            return maps
        if self.how == "ignores":
            return self.head(torch.ones(len(images), 4))
        if self.how == "rows":
            return self.head(maps.mean((2, 3)))[:2]
        logits = self.head(maps.mean((2, 3)))
        return logits * math.nan if self.how == "nan" else logits


def state(built: nn.Module) -> list[object]:
    """Everything about a network that scoring might change."""
    tensors = [*built.named_parameters(), *built.named_buffers()]
    return [
        [(name, id(t), t.requires_grad, t.grad is None, t.stride()) for name, t in tensors],
        [(type(m), m.training, len(m._forward_hooks), getattr(m, "inplace", None))
         for m in built.modules()],
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["nasbench201", "own"])
@pytest.mark.parametrize("training", [False, True])
def test_the_network_is_left_as_it_was(name: str, training: bool) -> None:
    built = network(name).train(training)
    next(built.parameters()).requires_grad_(False)
    before, values = state(built), copy.deepcopy(built.state_dict())
    torch.manual_seed(11)
    random = torch.get_rng_state()
    with torch.no_grad():  # of the caller, who does not want gradients
        found = score_network(built, batch(), "all")
    assert dict(found.reasons) == {}
    assert state(built) == before
    assert all(torch.equal(value, built.state_dict()[key]) for key, value in values.items())
    assert torch.equal(torch.get_rng_state(), random)
    assert not batch().inputs.requires_grad


def test_the_caller_s_images_are_left_alone_too() -> None:
    images = batch()
    before = images.inputs.clone()
    score_network(cell(), images, "all")
    assert torch.equal(images.inputs, before)
    assert not images.inputs.requires_grad


def test_nothing_waits_for_the_garbage_collector() -> None:
    built, kept = cell(), []

    def watch(module: nn.Module, inputs: object, output: torch.Tensor) -> None:
        kept.append(weakref.ref(output))

    built.stem[0].register_forward_hook(watch)
    gc.collect()
    gc.disable()
    try:
        score_network(built, batch(), "all")
        assert kept
        assert all(reference() is None for reference in kept)
    finally:
        gc.enable()


@pytest.mark.parametrize("how", ["raises", "map", "nan", "rows", "ignores"])
def test_a_network_that_fails_is_a_reason(how: str) -> None:
    built = Broken(how)
    before = state(built)
    found = score_network(built, batch(), "all")
    assert state(built) == before
    for name, value in found.values.items():
        assert math.isnan(value) == (name in found.reasons)
    assert {"params", "l2_norm", "n_layers"}.isdisjoint(found.reasons)
    expected = {
        "raises": "RuntimeError: no such layer",
        "map": "logits (batch, classes), got shape",
        "nan": "not finite",
        "rows": "2 rows of logits for 8 images",
        "ignores": "dead network",
    }[how]
    for name in ("nwot", "jacov", "grad_norm", "fisher", "grasp", "az_expressivity"):
        assert expected in found.reasons[name]
        assert "\n" not in found.reasons[name]


def test_a_dead_cell_has_counts_and_no_scores() -> None:
    found = score_network(cell("dead"), batch(), "all")
    assert set(found.values) - set(found.reasons) >= COUNTS
    for name in set(found.values) - COUNTS:
        assert math.isnan(found.values[name]), name
    assert found.reasons["synflow"].startswith("dead network")
    assert found.reasons["zen"].startswith("dead network")
    assert found.reasons["nwot"] == "dead network: its output does not depend on its input"
    assert found.values["flops"] > 0


def test_an_identity_cell_lives_but_is_no_good_for_training() -> None:
    found = score_network(cell("identity"), batch(), "all")
    assert set(found.reasons) == {"az_trainability"}
    assert "unchanged" in found.reasons["az_trainability"]


def test_without_relus_layers_or_blocks() -> None:
    linear = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    found = score_network(linear, batch(), "all")
    assert found.reasons["nwot"] == found.reasons["swap"] == "no ReLU was called"
    assert "no blocks" in found.reasons["az_expressivity"]
    assert found.values["grad_norm"] > 0
    bare = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    found = score_network(bare, batch(), "all")
    assert found.values["params"] == 0
    assert "no convolution or linear layer" in found.reasons["l2_norm"]
    assert math.isnan(found.values["grad_norm"])


class ComputedScale(nn.Module):
    """Scales its normalisation by its own weights."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits."""
        scale = self.convolution.weight.sum((1, 2, 3))
        maps = functional.batch_norm(
            self.convolution(images), None, None, scale, None, training=True
        )
        return self.head(maps.relu().mean((2, 3)))


def test_a_scale_that_is_computed_has_first_derivatives_only() -> None:
    found = score_network(ComputedScale(), batch(), "grasp,snip")
    assert math.isnan(found.values["grasp"])
    assert found.reasons["grasp"].startswith("a normalisation's scale or shift is computed from")
    assert found.values["snip"] > 0


def test_images_that_are_all_the_same_make_the_kernel_singular() -> None:
    one = batch()
    same = Batch(one.inputs[:1].expand(8, -1, -1, -1).contiguous(), one.labels)
    found = score_network(cell(), same, "nwot,jacov,epe_nas,params")
    assert set(found.reasons) >= {"nwot"}
    assert math.isfinite(found.values["params"])


def test_labels_that_do_not_fit() -> None:
    images = batch()
    wrong = Batch(images.inputs, images.labels + 20)
    found = score_network(cell(), wrong, "grad_norm,zico,nwot")
    assert "label 23 does not fit the network's 10 logits" in found.reasons["grad_norm"]
    assert "label" in found.reasons["zico"]
    assert math.isfinite(found.values["nwot"])
    single = Batch(images.inputs, torch.arange(8))
    assert "two images" in score_network(cell(), single, "epe_nas").reasons["epe_nas"]


def test_bad_arguments_raise() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'synflow'"):
        score_network(cell(), batch(), "sinflow")
    with pytest.raises(UnknownNameError, match="float32"):
        score_network(cell(), batch(), "params", precision="float")
    with pytest.raises(ValueError, match="`seed` must be >= 0"):
        score_network(cell(), batch(), "params", seed=-1)
    with pytest.raises(RuntimeError):
        score_network(cell(), batch(), "params", device="nowhere")


@pytest.mark.parametrize(
    ("inputs", "labels", "error"),
    [
        (torch.zeros(4), torch.zeros(4).long(), ValueError),
        (torch.zeros(4, 3, 8).long(), torch.zeros(4).long(), ValueError),
        (torch.zeros(4, 3, 8, 8), torch.zeros(3).long(), ValueError),
        (torch.zeros(1, 3, 8, 8), torch.zeros(1).long(), ValueError),
        (torch.zeros(4, 3, 8, 8), torch.zeros(4).long() - 1, ValueError),
        (torch.full((4, 3, 8, 8), math.nan), torch.zeros(4).long(), ValueError),
        (torch.zeros(4, 3, 8, 8), torch.zeros(4), TypeError),
        (torch.zeros(4, 3, 8, 8).double(), torch.zeros(4).long(), TypeError),
        ([[1.0]], torch.zeros(4).long(), TypeError),
    ],
)
def test_a_batch_is_checked(inputs: object, labels: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"`(inputs|labels)`"):
        Batch(inputs, labels)  # type: ignore[arg-type]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_cuda_device_gives_the_same_values() -> None:
    built = cell()
    here = score_network(built, batch(), "all")
    there = score_network(built, batch(), "all", device="cuda")
    assert dict(there.reasons) == {}
    assert next(built.parameters()).device.type == "cpu"
    assert dict(there.values) == pytest.approx(dict(here.values), rel=1e-2)
