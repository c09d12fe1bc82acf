"""NNI: every strategy in a ``NasExperiment``, and any of our evaluators beside it.

>>> import nas_plugins.nni
>>> from nni.nas.hub.pytorch import NasBench201
>>> from nni.nas.experiment import NasExperiment, NasExperimentConfig
>>> config = NasExperimentConfig("sequential", "simplified", max_trial_number=100)
>>> evaluator = nas_plugins.nni.evaluator("nasbench201/cifar10")
>>> experiment = NasExperiment(NasBench201(), evaluator, nas_plugins.nni.ArchVQ(seed=0), config)
>>> experiment.run()

Importing this package loads neither NNI nor PyTorch; the names below load them on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas_plugins._lazy import lazy
from nas_plugins.nni import _hook

if TYPE_CHECKING:
    from nas_plugins.nni._evaluator import ArchitectureEvaluator, evaluator
    from nas_plugins.nni._named import (
        ArchiveEvolution,
        ArchVQ,
        GraphGP,
        LLMCoEvolution,
        LocalSearch,
        NamedStrategy,
        RandomSearch,
        RegularizedEvolution,
        runs,
        strategy,
    )
    from nas_plugins.nni._registration import algo_meta, register_tuner
    from nas_plugins.nni._require import require_nni
    from nas_plugins.nni._shims import apply_shims
    from nas_plugins.nni._space import model_space
    from nas_plugins.nni._state import FrontEntry
    from nas_plugins.nni._strategy import NNIStrategy
    from nas_plugins.nni._translate import Translator, translator
    from nas_plugins.nni._tuner import (
        ArchVQTuner,
        ArchVQTunerOptions,
        StrategyTuner,
    )

# Module by name, and whether importing it needs `nni.nas` ("nas"), `nni` or nothing ("").
_EXPORTS = {
    "ArchVQ": ("_named", "nas"),
    "ArchiveEvolution": ("_named", "nas"),
    "GraphGP": ("_named", "nas"),
    "LLMCoEvolution": ("_named", "nas"),
    "LocalSearch": ("_named", "nas"),
    "NamedStrategy": ("_named", "nas"),
    "RandomSearch": ("_named", "nas"),
    "RegularizedEvolution": ("_named", "nas"),
    "runs": ("_named", "nas"),
    "strategy": ("_named", "nas"),
    "NNIStrategy": ("_strategy", "nas"),
    "FrontEntry": ("_state", ""),
    "Translator": ("_translate", "nas"),
    "translator": ("_translate", "nas"),
    "ArchitectureEvaluator": ("_evaluator", "nas"),
    "evaluator": ("_evaluator", "nas"),
    "model_space": ("_space", "nas"),
    "ArchVQTuner": ("_tuner", "nni"),
    "ArchVQTunerOptions": ("_tuner", "nni"),
    "StrategyTuner": ("_tuner", "nni"),
    "algo_meta": ("_registration", ""),
    "register_tuner": ("_registration", "nni"),
    "apply_shims": ("_shims", "nas"),
    "require_nni": ("_require", ""),
}


def _before(name: str) -> None:
    needs = _EXPORTS[name][1]
    if needs:
        from nas_plugins.nni._require import quieten, require_nni

        require_nni(nas=needs == "nas")
        quieten()


__getattr__, __dir__ = lazy(
    __name__, {name: module for name, (module, _) in _EXPORTS.items()}, before=_before
)

_hook.install()

__all__ = [
    "ArchVQ",
    "ArchVQTuner",
    "ArchVQTunerOptions",
    "ArchitectureEvaluator",
    "ArchiveEvolution",
    "FrontEntry",
    "GraphGP",
    "LLMCoEvolution",
    "LocalSearch",
    "NNIStrategy",
    "NamedStrategy",
    "RandomSearch",
    "RegularizedEvolution",
    "StrategyTuner",
    "Translator",
    "algo_meta",
    "apply_shims",
    "evaluator",
    "model_space",
    "register_tuner",
    "require_nni",
    "runs",
    "strategy",
    "translator",
]
