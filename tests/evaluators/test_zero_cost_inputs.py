"""Networks of rows, sequences and token ids beside those of images."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from zero_cost_networks import batch  # noqa: E402

import nas_plugins as nap  # noqa: E402
from nas_plugins.evaluators.zero_cost.batch import Batch  # noqa: E402
from nas_plugins.evaluators.zero_cost.engine import score_network  # noqa: E402
from nas_plugins.evaluators.zero_cost.evaluator import score  # noqa: E402

IDS = torch.arange(48).reshape(8, 6) * 7 % 11
LABELS = torch.arange(8) % 4


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


class Layer(nn.Module):
    """Attention and a product with a parameter."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.product = nn.Parameter(torch.randn(width, width) / width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Keeps the shape."""
        scores = self.query(tokens) @ self.key(tokens).transpose(1, 2)
        return tokens + functional.relu(scores.softmax(-1) @ tokens @ self.product)


class Text(nn.Module):
    """Layers over embeddings, which it looks up or is given."""

    def __init__(self, ids: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(11, 8)
        self.layers = nn.ModuleList([Layer(8), Layer(8)])
        self.norm, self.head, self.ids = nn.BatchNorm1d(6), nn.Linear(8, 5), ids

    def forward(self, given: Tensor) -> Tensor:
        """Logits."""
        tokens = self.embedding(given) if self.ids else given
        for layer in self.layers:
            tokens = layer(tokens)
        return self.head(functional.relu(self.norm(tokens)).mean(1))


def test_token_ids_give_what_their_embeddings_give() -> None:
    names = "nwot,swap,snip,plain,grad_norm,fisher,zico,grasp,n_layers,flops,l2_norm,params"
    embedded = Batch(Text(True).embedding(IDS).detach(), LABELS)
    expected = score_network(Text(False), embedded, names)
    found = score_network(Text(True), Batch(IDS, LABELS), names)
    assert found.reasons == expected.reasons == {}
    assert found.values["n_layers"] == 7
    for name, value in expected.values.items():
        assert found.values[name] == pytest.approx(value, rel=1e-5), name


def test_what_token_ids_cannot_have_is_said() -> None:
    found = score_network(Text(True), Batch(IDS, LABELS), "all")
    assert set(found.reasons) == {"jacov", "epe_nas", "synflow", "zen", "meco"}
    assert "token ids, which have no gradient" in found.reasons["jacov"]
    assert found.reasons["meco"] == "no convolution was called"
    still = nn.Sequential(nn.Embedding(11, 8), nn.Flatten(), nn.Linear(48, 5))
    nn.init.zeros_(still[2].weight)
    assert "all of 2.weight is zero" in score_network(still, Batch(IDS, LABELS)).reasons["snip"]


def test_rows_are_scored_as_images_that_are_flattened() -> None:
    def made() -> nn.Sequential:
        torch.manual_seed(0)
        norm = nn.BatchNorm1d(9)
        return nn.Sequential(nn.Linear(432, 9), norm, nn.ReLU(), nn.Linear(9, 9), nn.ReLU(),
                             nn.Linear(9, 5))  # fmt: skip

    images = batch()
    expected = score_network(nn.Sequential(nn.Flatten(), *made()), images, "all")
    found = score_network(made(), Batch(images.inputs.flatten(1), images.labels), "all")
    assert found.reasons == expected.reasons
    assert set(found.reasons) == {"meco", "az_expressivity", "az_progressivity", "az_trainability"}
    for name in found.values.keys() - found.reasons.keys():
        assert found.values[name] == pytest.approx(expected.values[name], rel=1e-4), name


def test_a_recurrent_network_of_sequences() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.head = nn.GRU(4, 6, batch_first=True), nn.Linear(6, 5)

        def forward(self, steps: Tensor) -> Tensor:
            return self.head(self.cell(steps)[0][:, -1])

    steps = np.random.default_rng(0).normal(size=(8, 7, 4))
    found = score(Recurrent(), "snip,jacov,zico,synflow,n_layers", batch=steps)
    assert found.reasons == {}
    assert found.values["n_layers"] == 3


def test_ids_as_users_give_them() -> None:
    found = score(Text(True), "snip,nwot", batch=(IDS.numpy().astype(np.uint8), LABELS.numpy()))
    assert found.reasons == {}
    with pytest.raises(ValueError, match=r"must be token ids \(B, L\) from 0"):
        score(Text(True), "snip", batch=IDS - 1)
    with pytest.raises(ValueError, match=r"`batch` must be images \(B, C, H, W\)"):
        nap.score("nasbench201", n=1, seed=0, proxies="params", batch=IDS, cache=False)
