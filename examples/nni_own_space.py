"""A model space of one's own, trained on real images: two objectives and a learned strategy.

pip install 'nas-plugins[nni]' scikit-learn
python examples/nni_own_space.py
"""

from __future__ import annotations

from typing import Annotated

import nas_plugins.nni

# isort: split
# After ours, which silences two warnings that NNI prints with a current PyTorch.
import nni
import torch
import typer
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.experiment import NasExperiment, NasExperimentConfig
from nni.nas.nn.pytorch import (
    LayerChoice,
    ModelSpace,
    MutableBatchNorm2d,
    MutableConv2d,
    MutableLinear,
    Repeat,
)
from sklearn.datasets import load_digits
from torch import nn

OBJECTIVES = ("val_accuracy:max", "params_k:min")


class DigitsSpace(ModelSpace):
    """240 small networks: one to four layers, each of one of three kinds, two widths."""

    def __init__(self) -> None:
        super().__init__()
        width = nni.choice("width", [8, 16])
        self.stem = nn.Sequential(
            MutableConv2d(1, width, 3, padding=1), MutableBatchNorm2d(width), nn.ReLU()
        )
        self.layers = Repeat(
            lambda index: LayerChoice(
                {
                    "conv3": MutableConv2d(width, width, 3, padding=1),
                    "conv1": MutableConv2d(width, width, 1),
                    "pool": nn.MaxPool2d(3, stride=1, padding=1),
                },
                label=f"layer{index}",
            ),
            (1, 4),
            label="depth",
        )
        self.head = nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.classifier = MutableLinear(width * 4, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Maps images `(B, 1, 8, 8)` to logits `(B, 10)`."""
        return self.classifier(self.head(self.layers(self.stem(images))))


def train(model: nn.Module, epochs: int) -> None:
    """Trains on 1,200 of scikit-learn's digits and reports the accuracy on the others."""
    images, labels = load_digits(return_X_y=True)
    x = torch.tensor(images, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16
    y = torch.tensor(labels)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    generator = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for batch in torch.randperm(1200, generator=generator).split(100):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimiser.step()
    model.eval()
    with torch.no_grad():
        accuracy = (model(x[1200:]).argmax(1) == y[1200:]).double().mean().item()
    params = sum(weight.numel() for weight in model.parameters())
    metrics = {"val_accuracy": 100 * accuracy, "params_k": params / 1000}
    nni.report_final_result({"default": metrics["val_accuracy"], **metrics})


def main(
    trials: Annotated[int, typer.Option(min=1)] = 25,
    epochs: Annotated[int, typer.Option(min=1)] = 5,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Searches, then prints the front and the best model."""
    nni.silence_stdout()
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    evaluator = FunctionalEvaluator(train, epochs=epochs)
    # Arch-VQ learns a latent space of these networks before the first trial, without a GPU.
    strategy = nas_plugins.nni.ArchVQ(seed=seed, objectives=OBJECTIVES)
    config = NasExperimentConfig("sequential", "simplified", max_trial_number=trials)
    experiment = NasExperiment(DigitsSpace(), evaluator, strategy, config)
    experiment.run()
    seen = strategy.history.seen
    print(f"{len(seen)} different networks in {len(strategy.history)} trials")
    print("accuracy [%]  parameters [1000]  network")
    for entry in sorted(strategy.pareto_front(), key=lambda entry: entry.values["params_k"]):
        chosen = entry.sample
        layers = [chosen[f"layer{i}"] for i in range(chosen["depth"])]
        print(
            f"{entry.values['val_accuracy']:12.2f} {entry.values['params_k']:18.2f}  "
            f"width {chosen['width']}: {' '.join(layers)}"
        )
    experiment.stop()


if __name__ == "__main__":
    typer.run(main)
