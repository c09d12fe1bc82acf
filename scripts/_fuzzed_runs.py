"""Kinds that `fuzz.py` changes: what runs leave behind, and what people write."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from _fuzzed import Kind
from _fuzzed_files import result


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")


# -- results, lists and kept runs --------------------------------------------------------------


def _read_result_folder(path: Path) -> object:
    from nas_plugins.results import SearchResult

    folder = path.with_name("out")
    folder.mkdir(exist_ok=True)
    (folder / "result.json").write_bytes(path.read_bytes())
    found = SearchResult.load(folder)
    return found.summary(), found.front, found.settings


def _scores() -> bytes:
    return json.dumps({"space": "nasbench201", "rows": [{"values": {"a": 1.0}}]}).encode()


def _read_scores(path: Path) -> object:
    from nas_plugins.runner.scoring import is_scores

    file = path.with_suffix(".json")
    file.write_bytes(path.read_bytes())
    return is_scores(file), is_scores(path)


def _samples() -> bytes:
    import nas_plugins as nap

    rng, space = np.random.default_rng(0), nap.space("nasbench201")
    return "".join(f"{space.sample(rng)}\n" for _ in range(3)).encode()


def _read_samples(path: Path) -> object:
    import nas_plugins as nap
    from nas_plugins.runner.sampling import is_samples

    return is_samples(path, space=nap.space("nasbench201"), model=None)


def _search_run() -> bytes:
    counts = {"proposed": 3}
    run = {"cells": [1, 2, -1], "searched": [[1.0, 2.0], [0.5, None], [None, None]]}
    run |= {"seconds": 1.5, "spearman": None, "calls": 2, "tokens": [10, 20], "call_seconds": 0.5}
    return json.dumps({**run, "counts": counts, "origins": counts, "fallbacks": {}}).encode()


def _read_search_run(path: Path) -> object:
    from nas_plugins.reproduction.llm_nas.runs import SearchRun

    run = SearchRun.read(path)
    if run is None:
        return None
    np.array(run.searched, dtype=np.float64), np.array(run.cells, dtype=np.int64)
    return sum(run.tokens), run.seconds + run.call_seconds + run.calls + run.spearman


def _seed_run() -> bytes:
    values = [[0.5, 1.0], [None, None], [0.25, 2.0]]
    run = {"strategy": "random", "seed": 0, "searched": values, "reported": values}
    return json.dumps({**run, "distinct": [1, 2, 3], "seconds": [0.1, 0.2, 0.3]}).encode()


def _read_seed_run(path: Path) -> object:
    from nas_plugins.history import Objective
    from nas_plugins.reproduction.seed_runs import Competitor, SeedJob, kept_run

    goals = (Objective("a", "max"), Objective("b", "min"))
    job = SeedJob(Competitor("random", "random"), "nasbench201", goals, goals, 3, 0, path)
    run = kept_run(job)
    return None if run is None else (run.wasted(3), run.seconds_per_trial(3))


# -- Arch-VQ's training state ------------------------------------------------------------------


def _fit(file: Path) -> Any:
    from nas_plugins._torch import nn, torch
    from nas_plugins.strategies.arch_vq.config import Schedule
    from nas_plugins.strategies.arch_vq.fit import Fit

    class Line:
        name, size, module = "vqvae", 4, nn.Linear(2, 1)

        def loss(self, index: Any) -> Any:
            return self.module(torch.ones(len(index), 2)).square().mean()

        def evaluate(self) -> dict[str, float]:
            return {"loss": 1.0}

        def score(self, metrics: Any) -> tuple[float, ...]:
            return (-metrics["loss"],)

    schedule = Schedule(epochs=1, batch_size=4, learning_rate=0.1)
    return Fit(Line(), schedule, run={"seed": 0}, state_file=file)


def _state() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "a")
        _fit(file)._save()
        return file.read_bytes()


def _read_state(path: Path) -> object:
    return _fit(path).run(resume=True)


# -- storages ----------------------------------------------------------------------------------


def _trials(url: str) -> None:
    from nas_plugins.optuna import create_study, suggest
    from nas_plugins.runner.storage import StorageURL, open_storage

    opened = open_storage(StorageURL.parse(url), create=True)
    goals = ["a:max"]
    study = create_study("nasbench201", goals, strategy="random", seed=0, storage=opened, name="s")
    for _ in range(2):
        trial = study.ask()
        suggest(trial, "nasbench201")
        study.tell(trial, 1.0)


def _file(scheme: str) -> Callable[[], bytes]:
    def sample() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "a")
            _trials(f"{scheme}:///{file}")
            return file.read_bytes()

    return sample


def _study_of(scheme: str) -> Callable[[Path], object]:
    def read(path: Path) -> object:
        import nas_plugins as nap

        found = nap.load_study(f"{scheme}:///{path}", "s")
        return found.summary(), found.front

    return read


@lru_cache(maxsize=1)
def _attributes() -> tuple[dict[str, Any], dict[str, Any]]:
    import optuna

    from nas_plugins.optuna import create_study, suggest

    study = create_study(
        "nasbench201", ["a:max"], strategy="regularized-evolution", seed=0, settings={"space": "a"}
    )
    trial = study.ask()
    suggest(trial, "nasbench201")
    study.tell(trial, 1.0)
    frozen: optuna.trial.FrozenTrial = study.trials[0]
    return dict(study.user_attrs), {**frozen.user_attrs, **frozen.system_attrs}


def _study_attributes() -> bytes:
    return json.dumps(_attributes()[0]).encode()


def _trial_attributes() -> bytes:
    return json.dumps(_attributes()[1]).encode()


def _given(path: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """What a storage could hold of it: the value, or else its text under every name."""
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else dict.fromkeys(wanted, _text(path))


def _assembled(study: dict[str, Any], trial: dict[str, Any]) -> object:
    import optuna

    from nas_plugins.optuna._study import study_settings
    from nas_plugins.runner.results import assemble

    made = optuna.create_study(direction="maximize")
    for name, value in study.items():
        made.set_user_attr(name, value)
    space = {f"edge_{i}": optuna.distributions.CategoricalDistribution(["a"]) for i in range(2)}
    one = optuna.trial.create_trial(
        params=dict.fromkeys(space, "a"), distributions=space, value=1.0, user_attrs=trial
    )
    made.add_trial(one)
    found = assemble(made)
    return found.summary(), found.front, study_settings(made)


def _read_study_attributes(path: Path) -> object:
    study, trial = _attributes()
    return _assembled(_given(path, study), trial)


def _read_trial_attributes(path: Path) -> object:
    study, trial = _attributes()
    return _assembled(study, _given(path, trial))


def _score_cache() -> bytes:
    from nas_plugins.evaluators.zero_cost.cache import CachedScore, ScoreCache

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "a.sqlite")
        with ScoreCache(file, {"p": 1}) as cache:
            cache.put("arch", {"p": CachedScore(0.5, "")})
        return file.read_bytes()


def _read_score_cache(path: Path) -> object:
    from nas_plugins.evaluators.zero_cost.cache import CachedScore, ScoreCache

    with ScoreCache(path, {"p": 1}) as cache:
        found = cache.get(["arch"])
        cache.put("arch", {"p": CachedScore(0.5, "")})
    for file in path.parent.glob(f"{path.name}?*"):
        file.unlink()
    return found


# -- NNI, whose package reading needs not ------------------------------------------------------


def _experiment() -> bytes:
    return json.dumps({"executionEngine": {"name": "ts"}, "trialConcurrency": 2}).encode()


def _read_experiment(path: Path) -> object:
    from nas_plugins.nni.folder import engine_of, experiments_in

    folder = path.with_name("nni") / "one" / "checkpoint"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_bytes(path.read_bytes())
    return engine_of(folder.parents[1], "one"), experiments_in(folder.parents[1])


def _log() -> Any:
    import nas_plugins as nap
    from nas_plugins.nni._state import ExperimentLog

    strategy = nap.strategy("random")
    return ExperimentLog(
        strategy, nap.space("nasbench201"), [nap.Objective("a", "max")], entropy=1
    )


def _checkpoint() -> bytes:
    log = _log()
    for _ in range(2):
        log.tell(log.ask().number, {"a": 1.0, "default": 0.5}, intermediates=[0.25])
    return json.dumps(log.to_json()).encode()


def _read_checkpoint(path: Path) -> object:
    try:
        data = json.loads(path.read_bytes())
    except (ValueError, RecursionError):  # as NNI itself would say
        return None
    log = _log()
    if isinstance(data, dict):
        log.restore(data)
    return log.history


def _secrets() -> bytes:
    return json.dumps({"nas_plugins:secret-json": "NAS_PLUGINS_SECRET_A", "b": [1, 2]}).encode()


def _read_secrets(path: Path) -> object:
    from nas_plugins.nni.secret_options import put_back

    text = _text(path).replace("\0", "")
    os.environ["NAS_PLUGINS_SECRET_A"] = text.encode("utf-8", "replace").decode()
    return put_back({"a": {"nas_plugins:secret-json": "NAS_PLUGINS_SECRET_A"}})


# -- what people and language models write -----------------------------------------------------


def _architecture(space: str) -> Callable[[], bytes]:
    def sample() -> bytes:
        import nas_plugins as nap

        return str(nap.space(space).sample(np.random.default_rng(0))).encode()

    return sample


def _read_architecture(space: str) -> Callable[[Path], object]:
    def read(path: Path) -> object:
        import nas_plugins as nap

        return nap.space(space).parse(_text(path))

    return read


def _choices() -> bytes:
    return json.dumps({"width": 2, "kind": "a", "rate": 0.5, "on": True}).encode()


def _read_choices(path: Path) -> object:
    import nas_plugins as nap

    given = {"width": [1, 2], "kind": ["a", "b"], "rate": [0.5, 1.0], "on": [True, False]}
    return nap.space("categorical", decisions=given).parse(_text(path))


def _space() -> bytes:
    import nas_plugins as nap

    decisions = {"width": [1, 2], "kind": ["a", "b"]}
    return json.dumps(nap.space("categorical", decisions=decisions).to_json()).encode()


def _read_space(path: Path) -> object:
    from nas_plugins.errors import DataError
    from nas_plugins.spaces.base import space_from_json

    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError("no JSON") from error
    return space_from_json(found).sample(np.random.default_rng(0))


def _note() -> bytes:
    note = {"v": 1, "origin": "random", "niche": 0, "label": "a", "generation": 1, "reason": ""}
    return json.dumps({**note, "rationale": "", "batch": None}).encode()


def _read_note(path: Path) -> object:
    import nas_plugins as nap
    from nas_plugins.strategies.llm_coevolution.log import NOTE, coevolution_log

    space = nap.space("nasbench201")
    trial = nap.Trial(
        0, space.sample(np.random.default_rng(0)), values=(1.0,), notes={NOTE: _text(path)}
    )
    return coevolution_log(nap.History(space, (nap.Objective("a", "max"),), (trial,)))


def _prices_toml() -> bytes:
    return b'date = "2026-01-01"\n[m]\ninput = 1.0\noutput = 2.0\n'


def _read_prices_toml(path: Path) -> object:
    from nas_plugins.llm.prices import Prices

    file = path.with_suffix(".toml")
    file.write_bytes(path.read_bytes())
    return Prices.of(file)


_SPACES = ("nasbench201", "darts", "darts-cell", "fbnet", "vit")

KINDS: dict[str, Kind] = {
    "result folder": Kind(result, _read_result_folder),
    "scores": Kind(_scores, _read_scores),
    "sampled list": Kind(_samples, _read_samples),
    "run of a reproduction": Kind(_search_run, _read_search_run),
    "run of a comparison": Kind(_seed_run, _read_seed_run),
    "arch-vq state": Kind(_state, _read_state),
    "journal storage": Kind(_file("journal"), _study_of("journal")),
    "sqlite storage": Kind(_file("sqlite"), _study_of("sqlite")),
    "study attributes": Kind(_study_attributes, _read_study_attributes),
    "trial attributes": Kind(_trial_attributes, _read_trial_attributes),
    "zero-cost cache": Kind(_score_cache, _read_score_cache),
    "nni experiment": Kind(_experiment, _read_experiment),
    "nni checkpoint": Kind(_checkpoint, _read_checkpoint),
    "nni secret": Kind(_secrets, _read_secrets),
    **{f"{name} text": Kind(_architecture(name), _read_architecture(name)) for name in _SPACES},
    "categorical text": Kind(_choices, _read_choices),
    "space": Kind(_space, _read_space),
    "co-evolution note": Kind(_note, _read_note),
    "prices.toml": Kind(_prices_toml, _read_prices_toml),
}
