"""The fused values equal those of the plain way, one proxy at a time on a copy."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch")

from zero_cost_networks import Functional, batch, network  # noqa: E402
from zero_cost_reference import reference  # noqa: E402

from nas_plugins.evaluators.zero_cost import proxy as proxy_module  # noqa: E402
from nas_plugins.evaluators.zero_cost.engine import score_network  # noqa: E402
from nas_plugins.evaluators.zero_cost.passes import cross_entropy  # noqa: E402
from nas_plugins.evaluators.zero_cost.proxy import Need, proxy, resolve  # noqa: E402
from nas_plugins.evaluators.zero_cost.recording import theta  # noqa: E402

NAMES = [one.name for one in resolve("all") if one.compute.__module__.startswith("nas_plugins.")]
NETWORKS = ["nasbench201", "nasbench101", "darts", "own"]
# A ReLU that is called as a function has no module for the plain way to hook.
NO_MODULE = {"darts": {"nwot", "swap"}}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("name", "layout"), [*((name, False) for name in NETWORKS), ("nasbench201", True)]
)
def test_values_equal_the_plain_way(name: str, layout: bool) -> None:
    built, images = network(name), batch()
    found = score_network(built, images, NAMES, seed=3, channels_last=layout)
    assert dict(found.reasons) == {}
    for proxy_name in set(NAMES) - NO_MODULE.get(name, set()):
        expected = reference(proxy_name, _single_output(built), images, 3)
        # Other convolution kernels round differently, and ZiCo divides by small differences.
        rel = 1e-2 if layout and proxy_name == "zico" else 1e-4
        assert found.values[proxy_name] == pytest.approx(expected, rel=rel), proxy_name


@pytest.mark.parametrize("name", NETWORKS)
def test_float64_networks_equal_to_the_last_digits(name: str) -> None:
    built = network(name).double()
    single, images = _single_output(built), batch()
    inputs = images.inputs.double()
    weights = list(theta(single))
    loss = cross_entropy(single.train()(inputs), images.labels)
    first = torch.autograd.grad(loss, weights, create_graph=True)
    second = torch.autograd.grad(sum((g.detach() * g).sum() for g in first), weights)
    expected = -sum(float((w.detach() * h).sum()) for w, h in zip(weights, second, strict=True))
    for layout in (False, True):
        found = score_network(built, images, "grasp", channels_last=layout)
        assert found.values["grasp"] == pytest.approx(expected, rel=1e-9)


def test_each_value_is_the_same_alone_and_in_any_company() -> None:
    built, images = network("nasbench201"), batch()
    together = score_network(built, images, NAMES, seed=5)
    for name in NAMES:
        alone = score_network(built, images, name, seed=5)
        assert alone.values[name] == pytest.approx(together.values[name], rel=1e-5, abs=1e-7)
    backwards = score_network(built, images, NAMES[::-1], seed=5)
    assert backwards.values == together.values
    assert list(backwards.values) == sorted(NAMES)


def test_the_seed_decides_what_is_random() -> None:
    built, images = network("nasbench201"), batch()
    one, again, other = (score_network(built, images, "all", seed=s) for s in (1, 1, 2))
    assert one.values == again.values
    differ = {name for name in NAMES if one.values[name] != other.values[name]}
    assert differ == {"zen", "az_trainability"}


def test_a_relu_counts_as_a_function_as_well() -> None:
    images = batch()
    as_module, as_function = Functional(True), Functional(False)
    as_function.load_state_dict(as_module.state_dict())
    names = [name for name in NAMES if not name.startswith("az_")]
    one, two = (score_network(n, images, names) for n in (as_module, as_function))
    assert dict(one.reasons) == {}
    assert dict(two.values) == pytest.approx(dict(one.values), rel=1e-5)


def test_more_images_than_bits_in_a_word() -> None:
    built, images = network("own"), batch(images=70, pixels=6)
    found = score_network(built, images, "swap,nwot", channels_last=False)
    for name in ("swap", "nwot"):
        expected = reference(name, _single_output(built), images, 0)
        assert found.values[name] == pytest.approx(expected)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_low_precision_leaves_alone_what_it_would_spoil(precision: str) -> None:
    built, images = network("nasbench201"), batch()
    exact = score_network(built, images, NAMES, channels_last=False)
    found = score_network(built, images, NAMES, channels_last=False, precision=precision)
    kept = {"jacov", "epe_nas", "plain", "grasp", "synflow", "params", "flops"}
    for name in kept:
        assert found.values[name] == pytest.approx(exact.values[name], rel=1e-5)
    assert found.values["nwot"] == pytest.approx(exact.values["nwot"], rel=0.02)
    assert found.values["snip"] == pytest.approx(exact.values["snip"], rel=0.1)


def test_a_third_party_reads_the_same_recordings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_module, "_DECLARED", dict(proxy_module._DECLARED))

    @proxy("test_largest_gradient", needs=[Need.LOSS_GRADIENT, Need.INPUT_GRADIENT])
    def largest(recording):  # type: ignore[no-untyped-def]
        """max |dL/dw|."""
        assert recording.input_gradient.shape == (8, 3 * 12 * 12)
        return max(float(g.abs().max()) for g in recording.weight_gradients)

    @proxy("test_undeclared")
    def undeclared(recording):  # type: ignore[no-untyped-def]
        return recording.macs

    found = score_network(network("own"), batch(), [largest, undeclared, "params"])
    assert found.values["test_largest_gradient"] > 0
    assert "Need.MACS" in found.reasons["test_undeclared"]
    assert largest.description == "max |dL/dw|."


def _single_output(built: torch.nn.Module) -> torch.nn.Module:
    """The plain way knows no tuples."""
    twin = copy.deepcopy(built)
    twin.register_forward_hook(lambda _, __, out: out[0] if isinstance(out, tuple) else out)
    return twin
